package scrub

// symbolTable says where in the needles a character stands. It finds needles
// with an escape in them, which grams can't: from what the escape stands for.
type symbolTable struct {
	places []place
	from   [257]int32 // places[from[c]:from[c+1]] are those of c, beginnings first
	firsts [256]int32 // so many of them are beginnings
	pairs  *[1 << 16 / 64]uint64
	in     [256]bool // a needle holds the character
	slash  [256]bool // a backslash before the character may stand for one
	name   [256]bool // a named entity that begins with the character may do so
	wide   bool      // a needle holds a byte above ASCII
}

// place is a character of a needle.
type place struct {
	needle int32
	index  int32
}

func newSymbolTable(needles []needle) symbolTable {
	t := symbolTable{pairs: new([1 << 16 / 64]uint64)}
	for i := range needles {
		for _, c := range needles[i].text {
			t.wide = t.wide || c >= 0x80
			for _, c := range []byte(needles[i].cases(c)) {
				t.in[c] = true
				t.from[int(c)+1]++
			}
		}
	}
	for c := range 256 {
		t.from[c+1] += t.from[c]
	}
	t.places = make([]place, t.from[256])
	next := t.from
	put := func(i, j int) {
		for _, c := range []byte(needles[i].cases(needles[i].text[j])) {
			t.places[next[c]] = place{int32(i), int32(j)}
			next[c]++
			if j == 0 {
				t.firsts[c]++
				continue
			}
			for _, before := range []byte(needles[i].cases(needles[i].text[j-1])) {
				pair := uint16(before)<<8 | uint16(c)
				t.pairs[pair>>6] |= 1 << (pair & 63)
			}
		}
	}
	for i := range needles {
		put(i, 0)
	}
	for i := range needles {
		for j := 1; j < len(needles[i].text); j++ {
			put(i, j)
		}
	}
	t.noteEscapes()
	return t
}

// noteEscapes finds out which escapes can stand for a character of a needle.
func (t *symbolTable) noteEscapes() {
	for c := range 256 {
		char, width := backslashEscape([]byte{'\\', byte(c)}, 1)
		t.slash[c] = width < 0 || c == '\\' || width > 0 && t.in[char]
	}
	for name, c := range entities {
		t.name[name[0]] = t.name[name[0]] || t.in[c]
	}
	for c := range 256 {
		t.name[c] = c == '#' || t.name[c] || t.wide && isAlnum(byte(c))
	}
}

// dull reports whether it takes but a glance to see that the escape at b[p] is
// none, or stands for nothing that a needle holds. Most are dull.
func (t *symbolTable) dull(b []byte, p int) bool {
	if b = b[p:]; len(b) < 6 {
		return false
	}
	switch next := b[1]; b[0] {
	case backslash:
		if next == 'u' && !t.wide {
			c := digits[b[4]]<<4 | digits[b[5]]
			return b[2] != '0' || b[3] != '0' || digits[b[4]]|digits[b[5]] > 15 || !t.in[c]
		}
		return !t.slash[next]
	case percent:
		c := digits[next]<<4 | digits[b[2]]
		return digits[next]|digits[b[2]] > 15 || c != percent && !t.in[c]
	case ampersand:
		if string(b[1:5]) == "amp;" {
			return b[5] != '#' && !isAlnum(b[5]) && !t.in['&']
		}
		return !t.name[next]
	}
	return false
}

// digits holds the value of each hex digit, and 0xff for what is none.
var digits = func() (d [256]uint8) {
	for c := range d {
		d[c] = uint8(unhex(byte(c)))
	}
	return d
}()

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

// paired reports whether c follows before in some needle.
func (t *symbolTable) paired(before, c byte) bool {
	pair := uint16(before)<<8 | uint16(c)
	return t.pairs[pair>>6]&(1<<(pair&63)) != 0
}
