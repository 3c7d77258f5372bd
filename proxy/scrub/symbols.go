package scrub

import "iter"

// symbolTable says where in the needles a character stands. It finds needles
// with an escape in them, which a gramTable can't: from what the first escape
// stands for and what is before it.
type symbolTable struct {
	places []place
	from   [257]int32 // places[from[c]:from[c+1]] are those of c: beginnings, then by what is before
	firsts [256]int32 // so many of them are beginnings
	bitmap *[1 << 16 / 64]uint64
	in     [256]bool // a needle holds the character
	wide   bool      // a needle holds a byte above ASCII
	leads  leadTable
}

// place is a character of a needle.
type place struct {
	needle int32
	index  int32
	before byte // the character before it, folded; 0 at a beginning
}

func newSymbolTable(needles []needle) symbolTable {
	t := symbolTable{bitmap: new([1 << 16 / 64]uint64)}
	for i := range needles {
		for j, c := range needles[i].text {
			t.wide = t.wide || c >= 0x80
			for _, c := range []byte(needles[i].cases(c)) {
				t.in[c] = true
				t.from[int(c)+1]++
				if j == 0 {
					t.firsts[c]++
				}
			}
		}
	}
	for c := range 256 {
		t.from[c+1] += t.from[c]
	}
	t.sort(needles)
	for i := range needles {
		t.noteNear(needles[i].text)
	}
	t.leads = newLeadTable(&t.in, t.wide)
	return t
}

// sort fills in places: it sorts them by what is before, and then by character,
// each time counting.
func (t *symbolTable) sort(needles []needle) {
	var next [257]int32
	for i := range needles {
		for j, c := range needles[i].text {
			next[int(needles[i].keyBefore(j))+1] += int32(len(needles[i].cases(c)))
		}
	}
	for c := range 256 {
		next[c+1] += next[c]
	}
	type placed struct {
		place
		c byte
	}
	byBefore := make([]placed, t.from[256])
	for i := range needles {
		n := &needles[i]
		for j, c := range n.text {
			key := n.keyBefore(j)
			for _, c := range []byte(n.cases(c)) {
				byBefore[next[key]] = placed{place{int32(i), int32(j), key}, c}
				next[key]++
			}
		}
	}
	t.places = make([]place, len(byBefore))
	next = t.from
	var later [256]int32
	for c := range later {
		later[c] = next[c] + t.firsts[c]
	}
	for _, p := range byBefore {
		to := &later[p.c]
		if p.index == 0 {
			to = &next[p.c]
		}
		t.places[*to] = p.place
		*to++
	}
	clear(byBefore)
}

// keyBefore is what place.before is for character j.
func (n *needle) keyBefore(j int) byte {
	if j == 0 {
		return 0
	}
	return n.text[j-1] | 0x20
}

// noteNear notes each character together with the three before it, those near
// the beginning with the one before. The bitmap so rules out nearly every escape.
func (t *symbolTable) noteNear(text []byte) {
	for j := 1; j < len(text); j++ {
		g := pair(text[j-1], text[j])
		if j >= gramLen-1 {
			g = gram(text[j-gramLen+1:])
		}
		h := hash(g)
		t.bitmap[h>>6] |= 1 << (h & 63)
	}
}

func (t *symbolTable) noted(g uint32) bool {
	h := hash(g)
	return t.bitmap[h>>6]&(1<<(h&63)) != 0
}

// pair is the gram of a character and the one before it.
func pair(before, c byte) uint32 {
	return (uint32(before) | uint32(c)<<8 | 1<<16) | 0x20202020
}

// fits reports whether some needle may have its first escape at b[p:end], which
// stands for c, as far as a glance at what is around tells.
func (t *symbolTable) fits(b []byte, p, end int, c byte) bool {
	switch {
	case !t.in[c]:
		return false
	case p >= gramLen-1 && t.noted(gramBefore(b[p-gramLen+1:], c)), p > 0 && t.noted(pair(b[p-1], c)):
		return true
	case t.firsts[c] == 0:
		return false
	case c >= 0x80 || end >= len(b) || isLead[b[end]]:
		return true // it begins a needle, and what follows is not so plain
	}
	return t.noted(pair(c, b[end]))
}

// cases returns the characters that stand for c in the needle.
func (n *needle) cases(c byte) string {
	if n.fold && 'a' <= c && c <= 'f' {
		return "aAbBcCdDeEfF"[2*(c-'a') : 2*(c-'a')+2]
	}
	return every[c : int(c)+1]
}

// every holds each byte once.
var every = func() string {
	var all [256]byte
	for c := range all {
		all[c] = byte(c)
	}
	return string(all[:])
}()

func (t *symbolTable) of(c byte) []place     { return t.places[t.from[c]:t.from[int(c)+1]] }
func (t *symbolTable) starts(c byte) []place { return t.of(c)[:t.firsts[c]] }

// near returns the places of c that the escape at b[p] can be at: beginnings, and
// those with the right character before.
func (t *symbolTable) near(b []byte, p int, c byte) iter.Seq[place] {
	return func(yield func(place) bool) {
		for _, at := range t.starts(c) {
			if !yield(at) {
				return
			}
		}
		if p == 0 {
			return
		}
		for _, at := range t.after(b[p-1], c) {
			if !yield(at) {
				return
			}
		}
	}
}

// after returns the places of c that may follow the character before.
func (t *symbolTable) after(before, c byte) []place {
	rest, key := t.of(c)[t.firsts[c]:], before|0x20
	lo, hi := 0, len(rest)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); rest[mid].before < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for hi < len(rest) && rest[hi].before == key {
		hi++
	}
	return rest[lo:hi]
}
