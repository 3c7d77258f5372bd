package scrub

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// An oracle finds values the slow way: from each place of a text on it tries
// each form, and at each escape each way to read it. It shares no code and no
// table with the package.
type oracle struct {
	forms []oracleForm
}

type oracleForm struct {
	text   string
	fold   bool
	secret int
}

func newOracle(values []Named) (o oracle) {
	for i, v := range values {
		if len(v.Value) < 4 {
			continue
		}
		texts := []string{string(v.Value)}
		if len(v.Value) >= 6 {
			for before := range 3 {
				for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
					// The characters that are the same with zeros and with ones around.
					one := enc.EncodeToString(slices.Concat(make([]byte, before), v.Value, make([]byte, 3)))
					other := enc.EncodeToString(slices.Concat(bytes.Repeat([]byte{0xff}, before), v.Value, bytes.Repeat([]byte{0xff}, 3)))
					from := (before*8 + 5) / 6
					to := from
					for to < len(one) && one[to] == other[to] && (to+1)*6 <= (before+len(v.Value))*8 {
						to++
					}
					texts = append(texts, one[from:to])
				}
			}
		}
		for _, text := range texts {
			o.forms = append(o.forms, oracleForm{text, false, i})
		}
		if len(v.Value) >= 6 {
			o.forms = append(o.forms, oracleForm{hex.EncodeToString(v.Value), true, i})
		}
	}
	// Of equal forms the first counts.
	var kept []oracleForm
	for _, f := range o.forms {
		if !slices.ContainsFunc(kept, func(k oracleForm) bool { return k.text == f.text && k.fold == f.fold }) {
			kept = append(kept, f)
		}
	}
	o.forms = kept
	return o
}

// find returns every place of a value in text, in order and each once.
func (o oracle) find(text []byte) (found []span) {
	for lo := range text {
		for _, f := range o.forms {
			p := lo // of the first escape, if there is one
			for ; ; p++ {
				if p-lo == len(f.text) {
					found = append(found, span{lo, p, f.secret})
					break
				}
				if p == len(text) {
					break
				}
				if kind := text[p]; strings.IndexByte(`%+\&`, kind) >= 0 {
					for depth := 1; depth <= 2; depth++ {
						if hi := f.end(text, p, p-lo, kind, depth); hi > 0 {
							found = append(found, span{lo, hi, f.secret})
						}
					}
				}
				if !f.is(text[p], p-lo) {
					break
				}
			}
		}
	}
	slices.SortFunc(found, bySpan)
	return slices.Compact(found)
}

func (f oracleForm) is(c byte, j int) bool {
	return f.text[j] == c || f.fold && 'A' <= c && c <= 'F' && f.text[j] == c+'a'-'A'
}

// end returns where the form ends whose character j is at text[p], with escapes
// of that kind from there on; 0 if it does not. Of the ways to read an escape the
// deepest that fits is taken.
func (f oracleForm) end(text []byte, p, j int, kind byte, depth int) int {
	if kind == '+' {
		kind = '%'
	}
	for j < len(f.text) {
		if p == len(text) {
			return 0
		}
		width, size := 1, 0
		if text[p] == kind || kind == '%' && text[p] == '+' {
			for _, r := range readEscape(string(text[p:min(len(text), p+24)]), kind, depth) {
				if n := f.stands(r, j, kind == '%'); n > 0 {
					width, size = r.width, n
				}
			}
		}
		if size == 0 {
			if !f.is(text[p], j) {
				return 0
			}
			size = 1
		}
		p, j = p+width, j+size
	}
	return p
}

func (f oracleForm) stands(r oracleEscape, j int, octet bool) int {
	if !octet && r.char >= 0x80 && strings.HasPrefix(f.text[j:], string(r.char)) {
		return len(string(r.char))
	}
	if r.char < 0x100 && f.is(byte(r.char), j) {
		return 1
	}
	return 0
}

type oracleEscape struct {
	char  rune
	width int
}

// readEscape returns the ways to read what text begins with, up to that depth.
func readEscape(text string, kind byte, depth int) (all []oracleEscape) {
	add := func(char rune, width int) { all = append(all, oracleEscape{char, width}) }
	code := func(at, n int) (r rune, ok bool) {
		if len(text) < at+n {
			return 0, false
		}
		for _, c := range text[at : at+n] {
			d := strings.IndexRune("0123456789abcdef0123456789ABCDEF", c)
			if d < 0 {
				return 0, false
			}
			r = r*16 + rune(d%16)
		}
		return r, true
	}
	switch kind {
	case '%':
		if text[0] == '+' {
			add(' ', 1)
			break
		}
		if r, ok := code(1, 2); ok {
			add(r, 3)
		}
		if r, ok := code(3, 2); ok && depth == 2 && strings.HasPrefix(text, "%25") {
			add(r, 5)
		}
	case '\\':
		for _, lead := range []string{`\`, `\\`, `\\\`}[:2*depth-1] {
			at := len(lead)
			if !strings.HasPrefix(text, lead) || len(text) == at {
				continue
			}
			c := text[at]
			short, simple := map[byte]rune{'b': 8, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11}[c]
			punct := strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) >= 0
			switch {
			case punct && (c != '\\' || at != 2):
				add(rune(c), at+1)
			case at == 3 || punct:
			case simple:
				add(short, at+1)
			case c == 'x':
				if r, ok := code(at+1, 2); ok {
					add(r, at+3)
				}
			case c == 'u':
				r, ok := code(at+1, 4)
				if ok && utf16.IsSurrogate(r) {
					low, also := code(at+5+at+1, 4)
					if r = utf16.DecodeRune(r, low); also && text[at+5:at+5+at+1] == lead+"u" && r != utf8.RuneError {
						add(r, 2*(at+5))
					}
				} else if ok {
					add(r, at+5)
				}
			}
		}
	case '&':
		for _, lead := range []string{"&", "&amp;"}[:depth] {
			rest, ok := strings.CutPrefix(text, lead)
			end := strings.IndexByte(rest, ';')
			if !ok || end <= 0 {
				continue
			}
			var r rune
			name, width := rest[:end], len(lead)+end+1
			switch n, numeric := strings.CutPrefix(name, "#"); {
			case !numeric:
				if end > 8 {
					continue
				}
				plain := html.UnescapeString("&" + name + ";")
				if strings.Trim(name, decimals+letters) == "" && (name == "semi" || !strings.HasSuffix(plain, ";")) {
					r, _ = utf8.DecodeRuneInString(plain)
					add(r, width)
				}
			case len(n) > 1 && len(n) <= 8 && (n[0] == 'x' || n[0] == 'X'):
				if k, err := fmt.Sscanf(n[1:]+" ", "%x ", &r); k == 1 && err == nil && strings.Trim(n[1:], hexits) == "" && r <= utf8.MaxRune {
					add(r, width)
				}
			case n != "" && len(n) <= 7 && strings.Trim(n, decimals) == "":
				_, _ = fmt.Sscanf(n, "%d", &r)
				if r <= utf8.MaxRune {
					add(r, width)
				}
			}
		}
	}
	return all
}

// kin are values that have much in common: parts of each other, the same bytes
// in another order, equal beginnings and ends.
func kin(r *rand.Rand, n int) (values []Named) {
	for len(values) < n {
		v := randomSecret(r)
		switch kind := r.IntN(8); {
		case kind == 0:
			v = bytes.Repeat([]byte{"aA0+/%\\& \n\xffé\""[r.IntN(14)]}, MinLen+r.IntN(20))
		case kind == 1:
			v = make([]byte, MinLen+r.IntN(30))
			for i := range v {
				v[i] = byte(r.Uint32())
			}
		case kind <= 4 && len(values) > 0:
			old := values[r.IntN(len(values))].Value
			from := r.IntN(len(old))
			v = slices.Concat(old[from:from+r.IntN(len(old)-from+1)], v[:r.IntN(len(v)+1)])
		case kind == 5:
			v = v[:min(len(v), MinLen+r.IntN(6))]
		}
		if len(v) >= MinLen {
			values = append(values, Named{"V", v})
		}
	}
	return values
}

// likely is a body that is full of what is a value, or nearly one.
func likely(r *rand.Rand, names []string, values []Named, size int) (body []byte) {
	for size = r.IntN(size); len(body) < size; {
		form := encodings[names[r.IntN(len(names))]](r, values[r.IntN(len(values))].Value)
		if r.IntN(8) == 0 { // of one kind on another
			form = encodings[names[r.IntN(len(names))]](r, form)
		}
		switch r.IntN(6) {
		case 0:
			form = form[:r.IntN(len(form)+1)]
		case 1:
			form = form[r.IntN(len(form)+1):]
		case 2:
			form = bytes.Clone(form)
			form[r.IntN(len(form))] ^= 1 << r.IntN(8)
		case 3:
			at := r.IntN(len(form) + 1)
			form = slices.Concat(form[:at], noise(r, 1), form[at:])
		}
		around := 10
		if r.IntN(4) == 0 {
			around = 200
		}
		body = slices.Concat(body, form, noise(r, r.IntN(around)))
	}
	return body
}

func TestScanFindsWhatTheOracleFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	names := slices.Sorted(maps.Keys(encodings))
	places := 0
	for _, n := range []int{1, 1, 1, 2, 2, 3, 4, 16, 40} { // with and without windows
		for range 5 {
			values := kin(r, n)
			s, o := Compile(values), newOracle(values)
			for range 20 {
				places += compare(t, s, o, values, likely(r, names, values, 700))
			}
		}
	}
	if places < 4000 {
		t.Errorf("only %d places", places)
	}
}

// compare expects of scan the oracle's places, no more and no less.
func compare(t *testing.T, s *Set, o oracle, values []Named, body []byte) int {
	t.Helper()
	got, _ := s.scan(body, true, nil)
	slices.SortFunc(got, bySpan)
	got, want := slices.Compact(got), o.find(body)
	for _, sp := range want {
		if _, ok := slices.BinarySearchFunc(got, sp, bySpan); !ok {
			t.Fatalf("%q is not found in %q, where %q stands for it", values[sp.secret].Value, body, body[sp.lo:sp.hi])
		}
	}
	for _, sp := range got {
		if _, ok := slices.BinarySearchFunc(want, sp, bySpan); !ok {
			t.Fatalf("%q is found in %q, where %q stands for something else", values[sp.secret].Value, body, body[sp.lo:sp.hi])
		}
	}
	return len(want)
}
