package scrub

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func values(texts ...string) (named []Named) {
	for i, text := range texts {
		named = append(named, Named{fmt.Sprint("S", i), []byte(text)})
	}
	return named
}

func TestEveryListedFormIsReplaced(t *testing.T) {
	const token, phrase, accents = "ghp_abcDEF0123456789xyz", `p"s's/w\o<r>d & m+re%`, "pässwörd€😀x"
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	s := Compile(values(token, phrase, accents, "?>~abc?>~xyz"))
	for _, c := range []struct{ in, want string }{
		{token, "#"},
		{"x" + token + "y", "x#y"},
		{token + token, "##"},
		{token + " and " + phrase, "# and #"},
		{b64(token), "#o="}, // "o" holds the last four bits of "z"
		{b64("x-access-token:" + token), "eC1hY2Nlc3MtdG9rZW46#o="},
		{b64("a:" + token + ":b"), "YTp#jpi"},
		{b64("?>~abc?>~xyz"), "#"},
		{"Pz5-YWJjPz5-eHl6", "#"},
		{strings.ReplaceAll(b64("?>~abc?>~xyz"), "+", "%2B"), "#"},
		{hex.EncodeToString([]byte(token)), "#"},
		{strings.ToUpper(hex.EncodeToString([]byte(token))), "#"},
		{`p\"s's\/w\\o\u003cr\u003Ed \u0026 m+re%`, "#"},
		{`p\\\"s's\\/w\\\\o\\u003cr\\u003Ed \\u0026 m+re%`, "#"},
		{"p%22s%27s%2Fw%5Co%3Cr%3Ed+%26+m%2Bre%25", "#"},
		{"p%22s's/w%5Co%3Cr%3Ed%20&%20m+re%25", "#"},
		{"p%2522s%2527s%252Fw%255Co%253Cr%253Ed%2520%2526%2520m%252Bre%2525", "#"},
		{"p&quot;s&#39;s/w\\o&lt;r&gt;d &amp; m+re%", "#"},
		{"p&#34;s&apos;s&sol;w&bsol;o&#x3C;r&#x003e;d & m&plus;re&percnt;", "#"},
		{"p&amp;quot;s&amp;#39;s/w\\o&amp;lt;r&amp;gt;d &amp;amp; m+re%", "#"},
		{`p\x22s\x27s\x2fw\x5co\x3cr\x3ed\x20\x26\x20m\x2bre\x25`, "#"},
		{accents, "#"},
		{`p\u00e4ssw\u00F6rd\u20ac\ud83d\ude00x`, "#"},
		{`p\\u00e4ssw\\u00F6rd\\u20ac\\ud83d\\uDE00x`, "#"},
		{"p&auml;ssw&ouml;rd&euro;&#x1F600;x", "#"},
		{"p%C3%A4ssw%c3%b6rd%E2%82%AC%F0%9F%98%80x", "#"},
		{token[:len(token)-1], token[:len(token)-1]},
		{"ghp\n" + token[3:], "ghp\n" + token[3:]},
		{strings.ToUpper(token), strings.ToUpper(token)},
	} {
		want := strings.ReplaceAll(c.want, "#", Replacement)
		if got := s.String(c.in, nil); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", c.in, got, want)
		}
		if got := s.String(c.in+c.in, nil); strings.Count(got, Replacement) != 2*strings.Count(c.want, "#") {
			t.Errorf("twice in a row: %s", got)
		}
	}
}

func TestOverlappingValuesAreReplacedAsOne(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []Named
		in     string
		want   string
		hits   []int
	}{
		{"prefix", values("abcdef", "abcdefgh"), "xabcdefghy", "x#y", []int{0, 1}},
		{"prefix alone", values("abcdef", "abcdefgh"), "xabcdefg", "x#g", []int{0}},
		{"suffix", values("efghij", "abcdefghij"), "xabcdefghijy", "x#y", []int{1, 0}},
		{"inside", values("cdef", "abcdefgh"), "xabcdefghy", "x#y", []int{1, 0}},
		{"chained", values("abcd", "cdef", "efgh"), "xabcdefghy", "x#y", []int{0, 1, 2}},
		{"periodic", values("abab"), "xabababy", "x#y", []int{0, 0}},
		{"repeated partial prefix", values("aaab"), "aaaaaab", "aaa#", []int{0}},
		{"side by side", values("abcd", "efgh"), "abcdefgh", "##", []int{0, 1}},
		{"equal values", values("abcd", "abcd"), "abcd", "#", []int{0}},
		{"escaped in raw", values(`a\"b`, `a"b!`), `a\"b!`, "#", []int{0, 1}},
		{"percent as it is", values("a%41b%"), "a%41b%", "#", []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Compile(c.values)
			var hits []int
			got := s.String(c.in, func(i int) { hits = append(hits, i) })
			if want := strings.ReplaceAll(c.want, "#", Replacement); got != want || !slices.Equal(hits, c.hits) {
				t.Errorf("got %s %v, want %s %v", got, hits, want, c.hits)
			}
			for cut := range len(c.in) {
				r := s.Reader(io.MultiReader(strings.NewReader(c.in[:cut]), strings.NewReader(c.in[cut:])), nil)
				if out, err := io.ReadAll(r); err != nil || string(out) != got {
					t.Errorf("cut at %d: %s %v", cut, out, err)
				}
			}
		})
	}
}

func TestShortValuesAreSearchedForAsFarAsIsSafe(t *testing.T) {
	if s := Compile(values("", "a", "abc")); s != nil {
		t.Error("values below MinLen are searched for")
	}
	s := Compile(values("abc", "1234"))
	for in, want := range map[string]string{
		"abc": "abc", "1234": "#", "%31234": "#", `\u0031234`: "#", "31323334": "31323334", "MTIzNA==": "MTIzNA==",
	} {
		if got := s.String(in, nil); got != strings.ReplaceAll(want, "#", Replacement) {
			t.Errorf("%s: %s", in, got)
		}
	}
	if s := Compile(values("hunter")); s.Contains([]byte("hunte")) || !s.Contains([]byte("aHVudGVy")) || !s.Contains([]byte("68756E746572")) {
		t.Error("a value of MinEncodedLen is not found in base64 or hex")
	}
}

func TestNilSetPassesEverything(t *testing.T) {
	var s *Set
	src := strings.NewReader("x")
	if s.Reader(src, nil) != io.Reader(src) || s.String("x", nil) != "x" || s.Contains([]byte("x")) || s.MaxLen() != 0 || string(s.Bytes([]byte("x"), nil)) != "x" {
		t.Error("a nil Set is not transparent")
	}
	if Compile(nil) != nil {
		t.Error("a Set without values is not nil")
	}
}

// once gives one piece and fails the test if it is asked for more before that
// was handed on.
type once struct {
	t     *testing.T
	piece string
	asked bool
}

func (o *once) Read(p []byte) (int, error) {
	if o.asked {
		o.t.Errorf("%q was held back", o.piece)
		return 0, io.EOF
	}
	o.asked = true
	return copy(p, o.piece), nil
}

func TestReaderHoldsBackNothingThatCannotBecomeAMatch(t *testing.T) {
	s := Compile(values("ghp_abcDEF0123456789xyz"))
	for piece, held := range map[string]int{
		"event: delta\ndata: {\"text\":\"hello\"}\n\n": 0,
		"{\"a\":1}\n":             0,
		"AT&T &nbsp; 100% \\n ":   0,
		"x ghp_ab!":               0,
		"%0":                      0,
		"x\\":                     1,
		"\\\"":                    0,
		`\u00`:                    4,
		`\u00b`:                   0,
		`\ud8`:                    0,
		"&":                       1,
		"&lt":                     0,
		"&#1":                     3,
		"&#2":                     0,
		"&#x6":                    4,
		"&#x00067":                8,
		"x ghp_abc":               7,
		"x gh%70_":                6,
		"x gh%70_%6":              8,
		"x gh%70_%7":              0,
		"ghp_abcDEF0123456789xy ": 0,
		"ghghp_":                  4,
		"Z2hwX2FiY0":              10, // base64
		"6768705F":                8,  // hex
	} {
		want := piece[:len(piece)-held]
		if want == "" {
			piece, want = "  "+piece, "  "
		}
		p := make([]byte, 100)
		n, err := s.Reader(&once{t: t, piece: piece}, nil).Read(p)
		if err != nil || string(p[:n]) != want {
			t.Errorf("of %q came %q %v, want %q", piece, p[:n], err, want)
		}
	}
}

func TestReplacementComesBeforeTheTextAfterIt(t *testing.T) {
	s := Compile(values("ghp_abcDEF0123456789xyz"))
	p := make([]byte, 100)
	n, err := s.Reader(&once{t: t, piece: "data: ghp_abcDEF0123456789xyz"}, nil).Read(p)
	if err != nil || string(p[:n]) != "data: "+Replacement {
		t.Errorf("%q %v", p[:n], err)
	}
}

func TestNoMoreIsInTheBufferOfAReadThanWhatItGave(t *testing.T) {
	s := Compile(values("ghp_abcDEF0123456789xyz"))
	for piece, want := range map[string]string{
		"data: ghp_abcDEF0":                     "data: ",
		"data: ghp_abcDEF0123456789xyz ghp_abc": "data: " + Replacement + " ",
		"ghp_abcDEF0123456789xyz":               Replacement,
	} {
		p := make([]byte, inPlace)
		n, err := s.Reader(&once{t: t, piece: piece}, nil).Read(p)
		if err != nil || string(p[:n]) != want || bytes.ContainsFunc(p[n:], func(r rune) bool { return r != 0 }) {
			t.Errorf("of %q came %q %v, and %q was left behind it", piece, p[:n], err, bytes.TrimRight(p[n:], "\x00"))
		}
	}
}

func TestNothingIsHeldBackBeyondMaxLen(t *testing.T) {
	secret := "ghp_abcDEF0123456789xyz"
	s := Compile(values(secret))
	var escaped strings.Builder
	for _, c := range secret {
		fmt.Fprintf(&escaped, "&amp;#x00%05x;", c)
	}
	text := escaped.String()[:escaped.Len()-1]
	if got, held := s.scan([]byte(text), false, nil); len(got) != 0 || held != 0 || len(text) > s.MaxLen() {
		t.Errorf("%d of %d bytes held back, MaxLen %d", len(text)-held, len(text), s.MaxLen())
	}
	if got := s.String(escaped.String(), nil); got != Replacement {
		t.Error(got)
	}
}

func TestSearchWithoutAMatchDoesNotAllocate(t *testing.T) {
	s := Compile(values("ghp_abcDEF0123456789xyz", "päss wörd\n\"'"))
	header, body := "text/html; q=0.8, %20&amp;\\n\\u0041 &eacute ghp_abc", bytes.Repeat([]byte("some text \\\" "), 100)
	if n := testing.AllocsPerRun(100, func() {
		if s.String(header, nil) != header || s.Contains(body) || len(s.Bytes(body, nil)) != len(body) {
			t.Fatal("a match")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestBytesDoesNotChangeItsArgument(t *testing.T) {
	s := Compile(values("secret"))
	b := []byte("a secret in a body")
	if got := s.Bytes(b, nil); string(got) != "a "+Replacement+" in a body" || string(b) != "a secret in a body" {
		t.Errorf("%q from %q", got, b)
	}
}

func TestNothingOfAValueIsLeftAfterWipe(t *testing.T) {
	s := Compile(benchSecrets(8))
	s.Wipe()
	for _, n := range s.needles {
		if bytes.ContainsFunc(n.text, func(r rune) bool { return r != 0 }) {
			t.Fatal("a form of a value is left")
		}
	}
	for _, e := range s.grams.entries {
		if e != (gramEntry{}) {
			t.Fatal("four bytes of a value are left")
		}
	}
	for _, p := range s.marks.places {
		if p != (place{}) {
			t.Fatal("the place of a character is left")
		}
	}
	if *s.grams.bitmap != [len(s.grams.bitmap)]uint64{} || slices.Max(s.marks.bitmap) != 0 {
		t.Fatal("a bitmap is left")
	}
}

// TestDoubledBackslashesAtTheEndAreReplacedWhole: what follows a pair of them has
// no say in what the pair stands for.
func TestDoubledBackslashesAtTheEndAreReplacedWhole(t *testing.T) {
	for n := 1; n < 7; n++ {
		value := "secret" + strings.Repeat(`\`, n)
		s := Compile(values(value))
		body := string(inJSON([]byte(value)))
		if got := s.String(body, nil); got != Replacement {
			t.Errorf("%s became %s", body, got)
		}
	}
}

// TestOneTextThatStandsForTwoValuesIsTheFirst: which it is must not depend on how
// many others there are, or on how a body is cut.
func TestOneTextThatStandsForTwoValuesIsTheFirst(t *testing.T) {
	for _, pair := range [][]string{{"%a1b2c3", "%25a1b2c3"}, {"%25a1b2c3", "%a1b2c3"}} {
		got := Compile(values(pair...)).Matches(nil, []byte("x%25a1b2c3x"))
		if len(got) != 1 || got[0] != (Match{1, 10, 0}) {
			t.Errorf("%q: %v", pair, got)
		}
	}
}
