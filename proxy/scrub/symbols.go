package scrub

// symbolTable says where in the needles a character stands. It finds needles
// with an escape in them, which grams can't: from what the escape stands for.
type symbolTable struct {
	places []place
	from   [257]int32 // places[from[c]:from[c+1]] are those of c, beginnings first
	firsts [256]int32 // so many of them are beginnings
	pairs  *[1 << 16 / 64]uint64
	space  bool // a needle holds a space, so "+" is an escape
	wide   bool // a needle holds a byte above ASCII
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
			t.space = t.space || c == ' '
			t.wide = t.wide || c >= 0x80
			for _, c := range []byte(needles[i].cases(c)) {
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
	return t
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

// paired reports whether c follows before in some needle.
func (t *symbolTable) paired(before, c byte) bool {
	pair := uint16(before)<<8 | uint16(c)
	return t.pairs[pair>>6]&(1<<(pair&63)) != 0
}
