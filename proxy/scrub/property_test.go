package scrub

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unicode/utf8"
)

// encodings writes a value in each form that the package promises to find.
// They are made by other programs' encoders where there are such, and by hand,
// choosing at random, where a program could have chosen.
var encodings = map[string]func(r *rand.Rand, v []byte) []byte{
	"raw":          func(_ *rand.Rand, v []byte) []byte { return v },
	"base64":       func(r *rand.Rand, v []byte) []byte { return inBase64(r, base64.StdEncoding, v) },
	"base64 raw":   func(r *rand.Rand, v []byte) []byte { return inBase64(r, base64.RawStdEncoding, v) },
	"base64url":    func(r *rand.Rand, v []byte) []byte { return inBase64(r, base64.URLEncoding, v) },
	"base64urlraw": func(r *rand.Rand, v []byte) []byte { return inBase64(r, base64.RawURLEncoding, v) },
	"hex":          func(_ *rand.Rand, v []byte) []byte { return []byte(hex.EncodeToString(v)) },
	"HEX":          func(_ *rand.Rand, v []byte) []byte { return bytes.ToUpper([]byte(hex.EncodeToString(v))) },
	"hEx": func(r *rand.Rand, v []byte) []byte {
		out := []byte(hex.EncodeToString(v))
		for i := range out {
			if r.IntN(2) == 0 {
				out[i] = bytes.ToUpper(out[i : i+1])[0]
			}
		}
		return out
	},
	"query":        func(_ *rand.Rand, v []byte) []byte { return []byte(url.QueryEscape(string(v))) },
	"path":         func(_ *rand.Rand, v []byte) []byte { return []byte(url.PathEscape(string(v))) },
	"query twice":  func(_ *rand.Rand, v []byte) []byte { return []byte(url.QueryEscape(url.PathEscape(string(v)))) },
	"percent all":  func(r *rand.Rand, v []byte) []byte { return inPercent(r, v, 0) },
	"percent some": func(r *rand.Rand, v []byte) []byte { return inPercent(r, v, 3) },
	"json":         func(_ *rand.Rand, v []byte) []byte { return inJSON(v) },
	"json in json": func(_ *rand.Rand, v []byte) []byte { return inJSON(inJSON(v)) },
	"json all":     func(r *rand.Rand, v []byte) []byte { return inBackslash(r, v, 0) },
	"json some":    func(r *rand.Rand, v []byte) []byte { return inBackslash(r, v, 3) },
	"json PHP":     func(_ *rand.Rand, v []byte) []byte { return bytes.ReplaceAll(inJSON(v), []byte("/"), []byte(`\/`)) },
	"html":         func(_ *rand.Rand, v []byte) []byte { return []byte(html.EscapeString(string(v))) },
	"html twice":   func(_ *rand.Rand, v []byte) []byte { return []byte(html.EscapeString(html.EscapeString(string(v)))) },
	"html all":     func(r *rand.Rand, v []byte) []byte { return inEntities(r, v, 0) },
	"html some":    func(r *rand.Rand, v []byte) []byte { return inEntities(r, v, 3) },
	"base64 PHP": func(r *rand.Rand, v []byte) []byte {
		return bytes.ReplaceAll(inBase64(r, base64.StdEncoding, v), []byte("/"), []byte(`\/`))
	},
	"base64 query": func(r *rand.Rand, v []byte) []byte {
		return []byte(url.QueryEscape(string(inBase64(r, base64.StdEncoding, v))))
	},
	"base64 entity": func(r *rand.Rand, v []byte) []byte { return inEntities(r, inBase64(r, base64.StdEncoding, v), 3) },
}

func inBase64(r *rand.Rand, enc *base64.Encoding, v []byte) []byte {
	whole := slices.Concat(noise(r, r.IntN(6)), v, noise(r, r.IntN(6)))
	return []byte(enc.EncodeToString(whole))
}

func inPercent(r *rand.Rand, v []byte, keep int) (out []byte) {
	for _, c := range v {
		switch {
		case c == ' ' && r.IntN(2) == 0:
			out = append(out, '+')
		case c != '%' && c != '+' && keep > 0 && r.IntN(keep) != 0:
			out = append(out, c)
		case r.IntN(2) == 0:
			out = fmt.Appendf(out, "%%%02x", c)
		default:
			out = fmt.Appendf(out, "%%%02X", c)
		}
	}
	return out
}

func inJSON(v []byte) []byte {
	text, err := json.Marshal(string(v))
	if err != nil {
		panic(err)
	}
	return text[1 : len(text)-1]
}

func inBackslash(r *rand.Rand, v []byte, keep int) (out []byte) {
	for _, char := range string(v) {
		switch {
		case char != '\\' && char != '"' && keep > 0 && r.IntN(keep) != 0:
			out = utf8.AppendRune(out, char)
		case char > 0xffff:
			hi, lo := utf16.EncodeRune(char)
			out = fmt.Appendf(out, `\u%04x\u%04X`, hi, lo)
		case char < 0x80 && r.IntN(2) == 0:
			out = fmt.Appendf(out, `\x%02x`, char)
		default:
			out = fmt.Appendf(out, `\u%04x`, char)
		}
	}
	return out
}

func inEntities(r *rand.Rand, v []byte, keep int) (out []byte) {
	for _, char := range string(v) {
		switch {
		case char != '&' && keep > 0 && r.IntN(keep) != 0:
			out = utf8.AppendRune(out, char)
		case r.IntN(3) == 0:
			out = fmt.Appendf(out, "&#x%0*x;", 1+r.IntN(6), char)
		case r.IntN(2) == 0:
			out = fmt.Appendf(out, "&#X%X;", char)
		default:
			out = fmt.Appendf(out, "&#%d;", char)
		}
	}
	return out
}

// noise is bytes that look like what stands around a secret.
func noise(r *rand.Rand, n int) []byte {
	const chars = `abcdefABCDEF0123456789 +/-_=%\&;"'<>{}:,.ghp_sk` + "\n"
	pieces := []string{"%41", "%2", `\u00`, `\"`, "&amp;", "&#3", "ghp_", "%25", `\\`, "&#x41;", "***", "\xff", "é", "\x00"}
	var out []byte
	for len(out) < n {
		if r.IntN(6) == 0 {
			out = append(out, pieces[r.IntN(len(pieces))]...)
		} else {
			out = append(out, chars[r.IntN(len(chars))])
		}
	}
	return out
}

// randomSecret is a value of one of the kinds that people have.
func randomSecret(r *rand.Rand) []byte {
	alphabets := []string{
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
		"0123456789abcdef", "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=",
		`abcXYZ019 !"#$%&'()*+,-./:;<=>?@[\]^_` + "`{|}~", "ab", `\"/%&+ `, "aé€😀\n\"{}: ",
	}
	alphabet := []rune(alphabets[r.IntN(len(alphabets))])
	n := MinEncodedLen + r.IntN(50)
	if r.IntN(200) == 0 {
		n = 200 + r.IntN(200)
	}
	var v []byte
	for len(v) < n {
		v = utf8.AppendRune(v, alphabet[r.IntN(len(alphabet))])
	}
	return v
}

// holds looks for a value in text the slow way: in the text itself and after
// each decoding, so that it shares nothing with the code under test.
func holds(text, v []byte) bool {
	for _, form := range plainForms(v) {
		if bytes.Contains(text, form) {
			return true
		}
	}
	return bytes.Contains(bytes.ToLower(text), []byte(hex.EncodeToString(v)))
}

func plainForms(v []byte) [][]byte {
	forms := [][]byte{v, inJSON(v), []byte(url.QueryEscape(string(v))), []byte(url.PathEscape(string(v))), []byte(html.EscapeString(string(v)))}
	for before := range 3 {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString(slices.Concat(make([]byte, before), v))
			// All bytes that are whole groups of v alone, found by counting groups.
			lead := []int{0, 4, 4}[before]
			forms = append(forms, []byte(text[lead:len(text)/4*4]))
		}
	}
	return forms
}

// chunked gives a body in pieces of random size, some of them empty, some with
// the end of file on the last.
func chunked(r *rand.Rand, body []byte) io.Reader {
	return &chunks{r: r, rest: body, limit: 1 + r.IntN(40)}
}

type chunks struct {
	r     *rand.Rand
	rest  []byte
	limit int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := copy(p, c.rest[:min(len(c.rest), c.r.IntN(c.limit+1))])
	c.rest = c.rest[n:]
	if len(c.rest) == 0 && (n == 0 || c.r.IntN(2) == 0) {
		return n, io.EOF
	}
	return n, nil
}

// readings gives a body through the Reader, cut in different ways.
func readings(t *testing.T, r *rand.Rand, s *Set, body []byte) map[string]result {
	t.Helper()
	through := func(src io.Reader, wrap func(io.Reader) io.Reader) result {
		var res result
		out, err := io.ReadAll(wrap(s.Reader(src, func(i int) { res.hits = append(res.hits, i) })))
		if err != nil {
			t.Fatal(err)
		}
		res.text = string(out)
		return res
	}
	plain := func(r io.Reader) io.Reader { return struct{ io.Reader }{r} }
	return map[string]result{
		"whole":          through(bytes.NewReader(body), plain),
		"byte by byte":   through(iotest.OneByteReader(bytes.NewReader(body)), plain),
		"data with EOF":  through(iotest.DataErrReader(bytes.NewReader(body)), plain),
		"random chunks":  through(chunked(r, body), plain),
		"other chunks":   through(chunked(r, body), plain),
		"byte out":       through(chunked(r, body), func(r io.Reader) io.Reader { return iotest.OneByteReader(r) }),
		"in place":       through(chunked(r, body), func(r io.Reader) io.Reader { return bufio.NewReaderSize(plain(r), inPlace) }),
		"in place whole": through(bytes.NewReader(body), func(r io.Reader) io.Reader { return bufio.NewReaderSize(plain(r), 4*inPlace) }),
		"through writer": through(chunked(r, body), func(r io.Reader) io.Reader { var b bytes.Buffer; _, _ = io.Copy(&b, r); return &b }),
	}
}

type result struct {
	text string
	hits []int
}

// TestNoOutputHoldsASecretHoweverItIsEncodedOrCut is the property that the
// package exists for.
func TestNoOutputHoldsASecretHoweverItIsEncodedOrCut(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 50
	}
	for name, encode := range encodings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, uint64(len(name))))
			for range rounds {
				values := []Named{{"A", randomSecret(r)}}
				for range r.IntN(3) {
					values = append(values, Named{"more", randomSecret(r)})
				}
				checkBody(t, r, values, encode)
			}
		})
	}
}

func checkBody(t *testing.T, r *rand.Rand, values []Named, encode func(*rand.Rand, []byte) []byte) {
	t.Helper()
	i := r.IntN(len(values))
	form := encode(r, values[i].Value)
	around := 30
	if r.IntN(6) == 0 { // enough for the searches that look at blocks
		around = 400
	}
	body := slices.Concat(noise(r, r.IntN(around)), form, noise(r, r.IntN(around)))
	if r.IntN(4) == 0 { // at the very start, and twice
		body = slices.Concat(form, noise(r, r.IntN(3)), form)
	}
	s := Compile(values)
	var hits []int
	want := string(s.Bytes(body, func(i int) { hits = append(hits, i) }))
	if !slices.Contains(hits, i) && !slices.ContainsFunc(hits, func(j int) bool { return bytes.Equal(values[i].Value, values[j].Value) }) {
		t.Fatalf("not found: value %q in %q", values[i].Value, body)
	}
	if holds([]byte(want), values[i].Value) {
		t.Fatalf("value %q in body %q is left in %q", values[i].Value, body, want)
	}
	if !s.Contains(body) || s.String(string(body), nil) != want {
		t.Fatalf("Contains or String differ from Bytes on %q", body)
	}
	for how, got := range readings(t, r, s, body) {
		if got.text != want {
			t.Fatalf("%s: values %q\nbody %q\ngot  %q\nwant %q", how, values, body, got.text, want)
		}
		if !slices.Equal(slices.Sorted(slices.Values(got.hits)), slices.Sorted(slices.Values(hits))) {
			t.Fatalf("%s: hits %v, want %v on %q", how, got.hits, hits, body)
		}
	}
}

func TestBodyWithoutASecretPassesByteForByte(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		s := Compile([]Named{{"A", []byte("ghp_0123456789abcdefABCDEF")}, {"B", []byte(`sk-"quoted" and spaced`)}})
		body := noise(r, r.IntN(400))
		for how, got := range readings(t, r, s, body) {
			if got.text != string(body) || len(got.hits) > 0 {
				t.Fatalf("%s: body %q became %q", how, body, got.text)
			}
		}
	}
}

func TestLargeBodiesAreScrubbedAcrossBuffers(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	pem := randomSecret(r)
	for len(pem) < 20000 {
		pem = append(pem, bytes.ToValidUTF8(noise(r, 60), nil)...)
	}
	values := []Named{{"A", []byte("ghp_0123456789abcdefABCDEF")}, {"PEM", pem}}
	s := Compile(values)
	body := bytes.Repeat(noise(r, 997), 100)
	for _, at := range []int{bufferSize - 5, 2*bufferSize - 25, 3 * bufferSize} {
		copy(body[at:], values[0].Value)
	}
	body = slices.Concat(body, inJSON(pem), body)
	want := s.Bytes(body, nil)
	if n := bytes.Count(want, []byte(Replacement)); n != 7 {
		t.Errorf("%d replacements, want 7", n)
	}
	for _, size := range []int{512, inPlace, 64 << 10} {
		for _, src := range []io.Reader{bytes.NewReader(body), &chunks{r: r, rest: body, limit: 5000}} {
			var got bytes.Buffer
			_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{s.Reader(src, nil)}, make([]byte, size))
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%T, read by %d: the stream differs from the whole (%v)", src, size, err)
			}
		}
	}
}

func FuzzReaderAgreesWithBytes(f *testing.F) {
	r := rand.New(rand.NewPCG(8, 9))
	for _, encode := range encodings {
		v := randomSecret(r)
		f.Add(v, []byte("ghp_0123456789"), slices.Concat(noise(r, 5), encode(r, v), noise(r, 5)), uint64(1))
		f.Add(v, []byte("ghp_0123456789"), slices.Concat(noise(r, 300), encode(r, v), noise(r, 200)), uint64(2))
	}
	f.Fuzz(func(t *testing.T, a, b, body []byte, seed uint64) {
		if len(a)+len(b) > 200 || len(body) > 2000 {
			return
		}
		s := Compile([]Named{{"A", a}, {"B", b}})
		r := rand.New(rand.NewPCG(seed, seed))
		var hits []int
		want := string(s.Bytes(body, func(i int) { hits = append(hits, i) }))
		if (want != string(body)) != (len(hits) > 0) && !bytes.Contains(body, []byte(Replacement)) {
			t.Errorf("%d hits, but %q became %q", len(hits), body, want)
		}
		for i, v := range [][]byte{a, b} {
			if len(v) >= MinLen && bytes.Contains(body, v) && !slices.Contains(hits, i) && !bytes.Equal(a, b) {
				t.Errorf("%q not found in %q", v, body)
			}
		}
		for how, got := range readings(t, r, s, body) {
			if got.text != want {
				t.Fatalf("%s: values %q %q\nbody %q\ngot  %q\nwant %q", how, a, b, body, got.text, want)
			}
		}
	})
}

func TestErrorOfTheSourceDropsWhatCouldBeASecret(t *testing.T) {
	s := Compile([]Named{{"A", []byte("ghp_0123456789")}})
	broken := errors.New("connection reset")
	for _, body := range []string{"text ghp_012345678", "text %67hp_0123456", "text Z2hwXzAxMjM0"} {
		for _, one := range []bool{false, true} {
			src := io.MultiReader(strings.NewReader(body), iotest.ErrReader(broken))
			if one {
				src = iotest.OneByteReader(src)
			}
			out, err := io.ReadAll(s.Reader(src, nil))
			if !errors.Is(err, broken) || string(out) != "text " {
				t.Errorf("%q: got %q and %v", body, out, err)
			}
			src = iotest.DataErrReader(io.MultiReader(strings.NewReader(body), iotest.ErrReader(broken)))
			large := make([]byte, inPlace)
			r := s.Reader(src, nil)
			if n, err := r.Read(large); string(large[:n]) != "text " || err != nil {
				t.Errorf("%q: in place came %q and %v", body, large[:n], err)
			} else if _, err := r.Read(large); err != broken {
				t.Errorf("%q: in place came %v", body, err)
			}
			src = io.MultiReader(strings.NewReader(body), iotest.ErrReader(broken))
			var w bytes.Buffer
			if _, err := io.Copy(&w, s.Reader(src, nil)); !errors.Is(err, broken) || w.String() != "text " {
				t.Errorf("%q: copied %q and %v", body, w.String(), err)
			}
		}
	}
}
