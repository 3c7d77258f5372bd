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

// glance is how many bytes of an escape dull has to see.
const glance = 8

// dull reports whether it takes but a glance to see that the escape at b[p] is
// none, or stands for nothing that a needle has there. Most are dull.
func (t *symbolTable) dull(b []byte, p int) bool {
	text := b[p:]
	if len(text) < glance {
		return false
	}
	switch text[0] {
	case percent:
		return t.dullPercent(b, p, text)
	case backslash:
		return t.dullBackslash(b, p, text)
	case ampersand:
		return t.dullAmpersand(b, p, text)
	}
	return !t.fits(b, p, p+1, ' ')
}

func (t *symbolTable) dullPercent(b []byte, p int, text []byte) bool {
	c, ok := hexPair(text[1], text[2])
	if c != percent || !ok {
		return !ok || !t.fits(b, p, p+3, c)
	}
	if t.in[percent] {
		return false
	}
	c, ok = hexPair(text[3], text[4])
	return !ok || !t.fits(b, p, p+5, c)
}

func (t *symbolTable) dullBackslash(b []byte, p int, text []byte) bool {
	run := 1
	if text[1] == '\\' {
		if t.in['\\'] {
			return false
		}
		for run < 4 && text[run] == '\\' {
			run++
		}
	}
	next := text[run]
	if run == 4 || !t.leads.slash[next] || run == 3 && isAlnum(next) {
		return true
	}
	switch {
	case isAlnum(next) && t.wide:
		return false
	case next == 'u':
		c, ok := hexPair(text[run+3], text[run+4])
		return !ok || text[run+1] != '0' || text[run+2] != '0' || !t.fits(b, p, p+run+5, c)
	case next == 'x':
		c, ok := hexPair(text[run+1], text[run+2])
		return !ok || !t.fits(b, p, p+run+3, c)
	}
	return !t.fits(b, p, p+run+1, t.leads.stands[next])
}

func (t *symbolTable) dullAmpersand(b []byte, p int, text []byte) bool {
	at := 1
	if string(text[1:5]) == "amp;" {
		if t.in[ampersand] {
			return false
		}
		at = 5
	}
	if text[at] != '#' {
		return !t.leads.name[text[at]]
	}
	r, width := numericEntity(text, at+1)
	if width < 0 || r >= 0x80 && t.wide {
		return false
	}
	return width == 0 || r >= 0x80 || !t.fits(b, p, p+width, byte(r))
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
