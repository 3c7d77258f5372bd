package scrub

// leadTable tells the escapes that may stand for a character of a needle from
// those that don't, which most do.
type leadTable struct {
	teddy
	slash  [256]bool // a backslash before the character may stand for one
	stands [256]byte // for which, where that takes no more
	name   [256]bool // a named entity that begins with the character may stand for one
}

// The teddy's patterns.
const (
	percentLow   = iota // %2f
	percentDigit        // %30
	percentOther        // %41
	slashOne            // \n, \x41
	slashCode           // \u00
	slashTwo            // \\n
	slashThree          // \\\"
	entityOrPlus        // &quot; +
)

// isLead says where an escape may begin.
var isLead = [256]bool{percent: true, plus: true, backslash: true, ampersand: true}

const (
	decimals = "0123456789"
	letters  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	hexits   = decimals + "abcdefABCDEF"
)

// newLeadTable is for needles that hold the characters in, and bytes above ASCII
// if wide.
func newLeadTable(in *[256]bool, wide bool) leadTable {
	var t leadTable
	t.notePercent(in)
	t.noteBackslash(in, wide)
	t.noteAmpersand(in, wide)
	if in[' '] {
		t.add(entityOrPlus, "+", every, every, every)
	}
	return t
}

func (t *leadTable) notePercent(in *[256]bool) {
	for c := range 256 {
		if !in[c] && c != percent {
			continue
		}
		i := percentOther
		switch c >> 4 {
		case 2:
			i = percentLow
		case 3:
			i = percentDigit
		}
		t.add(i, "%", hexitsOf(c>>4), hexitsOf(c&15), every)
	}
}

// hexitsOf returns the digits that stand for d.
func hexitsOf(d int) string {
	if d < 10 {
		return decimals[d : d+1]
	}
	return "aAbBcCdDeEfF"[2*(d-10) : 2*(d-10)+2]
}

func (t *leadTable) noteBackslash(in *[256]bool, wide bool) {
	for c := range 256 {
		char, width := backslashEscape([]byte{'\\', byte(c)}, 1)
		t.slash[c] = width < 0 || width > 0 && in[char]
		t.stands[c] = byte(char)
		after := every[c : c+1]
		switch {
		case c == '\\':
			t.slash[c] = true
			if in[c] {
				t.add(slashOne, `\`, `\`, every, every)
			}
			continue
		case !t.slash[c]:
			continue
		case c == 'u' && wide:
			t.add(slashCode, `\`, `u`, every, every)
		case c == 'u':
			t.add(slashCode, `\`, `u`, `0`, `0`)
		default:
			t.add(slashOne, `\`, after, every, every)
		}
		t.add(slashTwo, `\`, `\`, after, every)
		if !isAlnum(byte(c)) {
			t.add(slashThree, `\`, `\`, `\`, after)
		}
	}
}

func (t *leadTable) noteAmpersand(in *[256]bool, wide bool) {
	t.name['#'] = true
	t.add(entityOrPlus, "&", "#", decimals+"xX", hexits+";")
	for name, c := range entities {
		if in[c] {
			t.name[name[0]] = true
		}
		if text := "&" + name + ";"; in[c] || c == ampersand {
			t.add(entityOrPlus, text[:1], text[1:2], text[2:3], text[3:4])
		}
	}
	if wide {
		for _, c := range []byte(decimals + letters) {
			t.name[c] = true
		}
		t.add(entityOrPlus, "&", decimals+letters, every, every)
	}
}

// reading is what a glance at the beginning of an escape tells.
type reading int

const (
	nothing reading = iota // it stands for no character of a needle, however it is read
	one                    // if for any, then for this one
	several                // that takes a closer look
)

// glanceLen is how many bytes of an escape a glance has to see.
const glanceLen = 8

// glance looks at the escape that b[p] begins: most stand for nothing, and most
// of the others can be read in one way only, as c in so many bytes.
func (t *symbolTable) glance(b []byte, p int) (c byte, width int, r reading) {
	text := b[p:]
	if len(text) < glanceLen {
		return 0, 0, several
	}
	switch text[0] {
	case percent:
		c, width, r = t.glancePercent(text)
	case backslash:
		c, width, r = t.glanceBackslash(text)
	case ampersand:
		c, width, r = t.glanceAmpersand(text)
	default:
		c, width, r = ' ', 1, one
	}
	if r == one && !t.in[c] {
		r = nothing
	}
	return c, width, r
}

func (t *symbolTable) glancePercent(text []byte) (c byte, width int, r reading) {
	c, ok := hexPair(text[1], text[2])
	if ok && c == percent {
		if t.in[percent] {
			return 0, 0, several
		}
		c, ok = hexPair(text[3], text[4])
		width = 2
	}
	if !ok {
		return 0, 0, nothing
	}
	return c, width + 3, one
}

func (t *symbolTable) glanceBackslash(text []byte) (c byte, width int, r reading) {
	run := 1
	if text[1] == '\\' {
		if t.in['\\'] {
			return 0, 0, several
		}
		for run < 4 && text[run] == '\\' {
			run++
		}
	}
	next := text[run]
	ok := run < 4 && t.leads.slash[next] && (run < 3 || !isAlnum(next))
	switch {
	case !ok:
		return 0, 0, nothing
	case t.wide && (next == 'u' || next == 'x'):
		return 0, 0, several
	case next == 'u':
		c, ok = hexPair(text[run+3], text[run+4])
		ok, width = ok && text[run+1] == '0' && text[run+2] == '0', run+5
	case next == 'x':
		c, ok = hexPair(text[run+1], text[run+2])
		width = run + 3
	default:
		c, width = t.leads.stands[next], run+1
	}
	if !ok {
		return 0, 0, nothing
	}
	return c, width, one
}

func (t *symbolTable) glanceAmpersand(text []byte) (c byte, width int, r reading) {
	at := 1
	if string(text[1:5]) == "amp;" {
		if t.in[ampersand] {
			return 0, 0, several
		}
		at = 5
	}
	if text[at] != '#' {
		if t.leads.name[text[at]] {
			return 0, 0, several
		}
		return 0, 0, nothing
	}
	switch char, width := numericEntity(text, at+1); {
	case width < 0 || char >= 0x80 && t.wide:
		return 0, 0, several
	case width > 0 && char < 0x80:
		return byte(char), width, one
	}
	return 0, 0, nothing
}

// hexPair returns what two hex digits stand for.
func hexPair(high, low byte) (c byte, ok bool) {
	h, l := digits[high], digits[low]
	return h<<4 | l, h|l <= 15
}

// digits holds the value of each hex digit, and 0xff for what is none.
var digits = func() (d [256]uint8) {
	for c := range d {
		d[c] = uint8(unhex(byte(c)))
	}
	return d
}()
