package scrub

import (
	"bytes"
	"html"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// An escape begins with one of these leads, which says its kind.
const (
	percent   = '%'  // %41; RFC 3986 §2.1
	plus      = '+'  // a space; application/x-www-form-urlencoded
	backslash = '\\' // \n \" \/ \u0041 \x41; RFC 8259 §7, ECMAScript
	ampersand = '&'  // &amp; &#65; &#x41; HTML §13.1.4
)

// maxDepth is how many times over a text may be escaped: at depth 2 the lead
// itself is escaped once more, as in %2541, \\u0041 and &amp;#65;.
const maxDepth = 2

const (
	maxDigits = 7 // of a numeric entity, leading zeros included
	maxName   = 8 // of a named one

	// maxEscape is the length of the longest escape of one byte:
	// &amp;#x0000041; or &amp;UnderBar;, rounded up.
	maxEscape = 16
)

// escape reads the escape that begins at b[p] at the given depth. width is its
// length, 0 if there is none, and negative if b ends inside what may be one.
// wide asks for the named characters above ASCII too.
func escape(b []byte, p, depth int, wide bool) (r rune, width int) {
	b = b[p:]
	switch b[0] {
	case plus:
		if depth == 1 {
			return ' ', 1
		}
	case percent:
		return percentEscape(b, depth)
	case backslash:
		return backslashEscape(b, depth)
	case ampersand:
		return ampersandEscape(b, depth, wide)
	}
	return 0, 0
}

// body returns how long the lead of an escape is: "%" or "%25", "&" or "&amp;".
// It is negative if b ends inside and 0 if it is not there.
func body(b []byte, lead string) int {
	have := b[:min(len(b), len(lead))]
	switch {
	case string(have) != lead[:len(have)]:
		return 0
	case len(have) < len(lead):
		return -1
	}
	return len(lead)
}

func percentEscape(b []byte, depth int) (rune, int) {
	at := 1
	if depth == 2 {
		if at = body(b, "%25"); at <= 0 {
			return 0, at
		}
	}
	return hexEscape(b, at, 2)
}

// hexEscape reads exactly n hex digits at b[at:].
func hexEscape(b []byte, at, n int) (r rune, width int) {
	for i := at; i < at+n; i++ {
		if i >= len(b) {
			return 0, -1
		}
		d := unhex(b[i])
		if d < 0 {
			return 0, 0
		}
		r = r<<4 | rune(d)
	}
	return r, at + n
}

// backslashEscape reads the escapes of JSON, and of JavaScript and Python where
// they are more. At depth 2 each backslash of \n is doubled, and \" is \\\".
func backslashEscape(b []byte, depth int) (rune, int) {
	run := 1
	for run < len(b) && run < 4 && b[run] == '\\' {
		run++
	}
	switch {
	case depth == 1 && run > 1:
		return '\\', 2
	case run == 2*depth:
		return '\\', run
	case run == len(b):
		return 0, -1
	case depth == 2 && (run == 1 || run == 3 && isAlnum(b[run])):
		return 0, 0
	}
	switch c := b[run]; c {
	case 'u':
		r, width := hexEscape(b, run+1, 4)
		if width > 0 && utf16.IsSurrogate(r) {
			return surrogates(b, run, r)
		}
		return r, width
	case 'x':
		return hexEscape(b, run+1, 2)
	default:
		if i := strings.IndexByte("b\bf\fn\nr\rt\tv\v", c); i >= 0 && i%2 == 0 {
			return rune("b\bf\fn\nr\rt\tv\v"[i+1]), run + 1
		}
		if c > ' ' && c < 0x7f && !isAlnum(c) {
			return rune(c), run + 1
		}
		return 0, 0
	}
}

// surrogates reads the second half of a pair, written like the first.
func surrogates(b []byte, run int, high rune) (rune, int) {
	first := run + 5
	for i := range run + 1 {
		switch {
		case first+i >= len(b):
			return 0, -1
		case b[first+i] != b[i]:
			return 0, 0
		}
	}
	low, width := hexEscape(b, first+run+1, 4)
	if width <= 0 {
		return 0, width
	}
	if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
		return r, width
	}
	return 0, 0
}

func ampersandEscape(b []byte, depth int, wide bool) (rune, int) {
	at := 1
	if depth == 2 {
		if at = body(b, "&amp;"); at <= 0 {
			return 0, at
		}
	}
	if at == len(b) {
		return 0, -1
	}
	if b[at] == '#' {
		return numericEntity(b, at+1)
	}
	i := at
	for i < len(b) && i-at < maxName && isAlnum(b[i]) {
		i++
	}
	switch {
	case i == len(b):
		return 0, -1
	case i == at || b[i] != ';':
		return 0, 0
	}
	if c, ok := entities[string(b[at:i])]; ok {
		return rune(c), i + 1
	}
	if wide {
		name := "&" + string(b[at:i+1])
		if r, size := utf8.DecodeRuneInString(html.UnescapeString(name)); size > 1 {
			return r, i + 1
		}
	}
	return 0, 0
}

func numericEntity(b []byte, at int) (r rune, width int) {
	base := rune(10)
	if at < len(b) && lower(b[at]) == 'x' {
		base = 16
		at++
	}
	i := at
	for ; i < len(b) && i-at < maxDigits; i++ {
		d := rune(unhex(b[i]))
		if d < 0 || d >= base {
			break
		}
		r = r*base + d
	}
	switch {
	case i == len(b):
		return 0, -1
	case i == at || b[i] != ';' || r > utf8.MaxRune:
		return 0, 0
	}
	return r, i + 1
}

// mayStandFor reports whether an escape that b[p:] is only the beginning of can
// still turn out to stand for c. It may err towards yes where c is not ASCII.
func mayStandFor(b []byte, p, depth int, c byte) bool {
	b = b[p:]
	if c >= 0x80 {
		return true
	}
	switch b[0] {
	case percent:
		b = b[1:]
		if depth == 2 {
			b = b[min(2, len(b)):]
		}
		return isHexOf(b, 2, c)
	case backslash:
		switch b = bytes.TrimLeft(b, `\`); {
		case len(b) == 0:
			return true
		case b[0] == 'u':
			return isHexOf(b[1:], 4, c)
		}
		return isHexOf(b[1:], 2, c)
	}
	b = b[1:]
	if depth == 2 {
		b = b[min(len("amp;"), len(b)):]
	}
	return isEntityOf(string(b), c)
}

// isHexOf reports whether b can go on to be c in n hex digits.
func isHexOf(b []byte, n int, c byte) bool {
	for i, digit := range b {
		if shift := 4 * (n - 1 - i); unhex(digit) != int(c)>>shift&15 {
			return false
		}
	}
	return true
}

// isEntityOf reports whether s can go on to be the name or number of c.
func isEntityOf(s string, c byte) bool {
	digits, numeric := strings.CutPrefix(s, "#")
	if !numeric {
		for name, char := range entities {
			if char == c && strings.HasPrefix(name, s) {
				return true
			}
		}
		return s == ""
	}
	base := 10
	if digits != "" && lower(digits[0]) == 'x' {
		base, digits = 16, digits[1:]
	}
	digits = strings.TrimLeft(digits, "0")
	want := 0
	for v, unit := int(c), 1; v > 0; v, unit = v/base, unit*base {
		want++
	}
	got := 0
	for _, d := range []byte(digits) {
		got = got*base + unhex(d)
	}
	v := int(c)
	for range want - len(digits) {
		v /= base
	}
	return len(digits) <= want && got == v
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// entities holds the named character references of HTML for ASCII, up to
// maxName long.
var entities = map[string]byte{
	"Tab": '\t', "NewLine": '\n', "excl": '!', "quot": '"', "QUOT": '"', "num": '#', "dollar": '$', "percnt": '%',
	"amp": '&', "AMP": '&', "apos": '\'', "lpar": '(', "rpar": ')', "ast": '*', "midast": '*', "plus": '+', "comma": ',',
	"period": '.', "sol": '/', "colon": ':', "semi": ';', "lt": '<', "LT": '<', "equals": '=', "gt": '>', "GT": '>',
	"quest": '?', "commat": '@', "lsqb": '[', "lbrack": '[', "bsol": '\\', "rsqb": ']', "rbrack": ']', "Hat": '^',
	"lowbar": '_', "UnderBar": '_', "grave": '`', "lcub": '{', "lbrace": '{', "verbar": '|', "vert": '|', "rcub": '}', "rbrace": '}',
}
