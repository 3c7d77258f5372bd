package scrub

import (
	"iter"
	"math/bits"
	"sort"
)

// symbolTable says where in the needles a character stands. It finds needles
// with an escape in them, which a gramTable can't: from what the first escape
// stands for and what is before it.
type symbolTable struct {
	places []place
	from   [257]int32 // places[from[c]:from[c+1]] are those of c: beginnings, then by what is before
	firsts [256]int32 // so many of them are beginnings
	bitmap []uint64   // of grams, by the high bits of a hash
	shift  uint
	in     [256]bool // a needle holds the character
	wide   bool      // a needle holds a byte above ASCII
	leads  leadTable
}

// place is a character of a needle.
type place struct {
	needle int32
	index  int32
}

func newSymbolTable(needles []needle) symbolTable {
	var t symbolTable
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
	log := bits.Len(uint(16 * len(t.places))) // less than one gram in sixteen is there by chance
	t.bitmap, t.shift = make([]uint64, 1<<log/64), 32-uint(log)
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
		for j := range needles[i].text {
			next[int(needles[i].before(j))+1]++
		}
	}
	for key := range 256 {
		next[key+1] += next[key]
	}
	byBefore := make([]place, next[256])
	for i := range needles {
		for j := range needles[i].text {
			to := &next[needles[i].before(j)]
			byBefore[*to] = place{int32(i), int32(j)}
			*to++
		}
	}
	t.places = make([]place, t.from[256])
	next = t.from
	var later [256]int32
	for c := range later {
		later[c] = next[c] + t.firsts[c]
	}
	for _, at := range byBefore {
		n := &needles[at.needle]
		for _, c := range []byte(n.cases(n.text[at.index])) {
			to := &later[c]
			if at.index == 0 {
				to = &next[c]
			}
			t.places[*to] = at
			*to++
		}
	}
	clear(byBefore)
}

// before returns the character before character j, folded; 0 if there is none.
func (n *needle) before(j int) byte {
	if j == 0 {
		return 0
	}
	return n.text[j-1] | 0x20
}

// noteNear notes each character together with the three before it, or with the
// two or the one before it at the beginning. The bitmap so rules out nearly
// every escape.
func (t *symbolTable) noteNear(text []byte) {
	t.note(pair(text[0], text[1]))
	t.note(triple(text[0], text[1], text[2]))
	for j := gramLen - 1; j < len(text); j++ {
		t.note(gram(text[j-gramLen+1:]))
	}
}

func (t *symbolTable) note(g uint32) {
	h := t.hash(g)
	t.bitmap[h>>6] |= 1 << (h & 63)
}

func (t *symbolTable) noted(g uint32) bool {
	h := t.hash(g)
	return t.bitmap[h>>6]&(1<<(h&63)) != 0
}

func (t *symbolTable) hash(g uint32) uint32 { return g * 0x9E3779B1 >> t.shift }

// pair, triple and quad are the grams of so many characters.
func pair(a, b byte) uint32      { return triple(a, b, 0) }
func triple(a, b, c byte) uint32 { return quad(a, b, c, 1) }
func quad(a, b, c, d byte) uint32 {
	return uint32(a) | uint32(b)<<8 | uint32(c)<<16 | uint32(d)<<24 | 0x20202020
}

// dull reports whether no needle can have its first escape at b[p], as far as a
// glance tells.
func (t *symbolTable) dull(b []byte, p int) bool {
	c, width, r := t.glance(b, p)
	return r == nothing || r == one && !t.fits(b, p, p+width, c)
}

// fits reports whether some needle may have its first escape at b[p:end], which
// stands for c, as far as a glance at what is before and after tells.
func (t *symbolTable) fits(b []byte, p, end int, c byte) bool {
	switch {
	case !t.in[c]:
		return false
	case p >= 3 && t.noted(quad(b[p-3], b[p-2], b[p-1], c)):
		return true
	case p >= 2 && t.noted(triple(b[p-2], b[p-1], c)):
		return true
	}
	begins, second := t.firsts[c] > 0, p >= 1 && t.noted(pair(b[p-1], c))
	switch {
	case !begins && !second:
		return false
	case c >= 0x80 || end >= len(b): // what follows need not be the next character
		return true
	}
	next := b[end]
	if begins && t.noted(pair(c, next)) || second && t.noted(triple(b[p-1], c, next)) {
		return true
	}
	if !isLead[next] {
		return false
	}
	next, _, r := t.glance(b, end)
	return r == several || r == one && (begins && t.noted(pair(c, next)) || second && t.noted(triple(b[p-1], c, next)))
}

// mayGoOn reports whether b[p:] may stand for the needle's character j, as far
// as a glance tells.
func (t *symbolTable) mayGoOn(n *needle, b []byte, p, j int) bool {
	switch {
	case j >= len(n.text) || p >= len(b) || n.is(b[p], j):
		return true
	case !isLead[b[p]]:
		return false
	}
	c, _, r := t.glance(b, p)
	return r == several || r == one && n.is(c, j)
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
func (s *Set) near(b []byte, p int, c byte) iter.Seq[place] {
	return func(yield func(place) bool) {
		for _, at := range s.marks.starts(c) {
			if !yield(at) {
				return
			}
		}
		if p == 0 {
			return
		}
		rest, key := s.marks.of(c)[s.marks.firsts[c]:], b[p-1]|0x20
		before := func(i int) byte { return s.needles[rest[i].needle].before(int(rest[i].index)) }
		for i := sort.Search(len(rest), func(i int) bool { return before(i) >= key }); i < len(rest) && before(i) == key; i++ {
			if !yield(rest[i]) {
				return
			}
		}
	}
}
