package scrub

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEveryFormIsFoundAtEverySplit cuts a body that holds a value in each
// listed form at each of its bytes, and prints how many that were.
func TestEveryFormIsFoundAtEverySplit(t *testing.T) {
	forms := maps.Clone(encodings)
	for name, char := range entities {
		if len(name) > 2 { // named entities, one by one
			forms["html &"+name+";"] = func(_ *rand.Rand, v []byte) []byte {
				return bytes.ReplaceAll(v, []byte{char}, []byte("&"+name+";"))
			}
		}
	}
	r := rand.New(rand.NewPCG(11, 12))
	bodies, splits, found := 0, 0, 0
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		for range 3 {
			value := randomSecret(r)
			if char, ok := entities[lastOf(name)]; ok {
				value = slices.Concat(value, []byte{char}, []byte("end"))
			}
			s := Compile([]Named{{"A", value}})
			form := forms[name](r, value)
			body := slices.Concat([]byte(`{"before": "`), form, []byte(`", "after": 1}`))
			want := s.Bytes(body, nil)
			if bytes.Equal(want, body) || holds(want, value) {
				t.Fatalf("%s: %q in %q became %q", name, value, body, want)
			}
			bodies++
			for k := range len(body) + 1 {
				hits := 0
				got, err := io.ReadAll(s.Reader(io.MultiReader(bytes.NewReader(body[:k]), bytes.NewReader(body[k:])), func(int) { hits++ }))
				if err != nil || !bytes.Equal(got, want) || hits == 0 {
					t.Fatalf("%s, cut at %d: %q in %q became %q, want %q, %v", name, k, value, body, got, want, err)
				}
				splits++
				found += hits
			}
		}
	}
	t.Logf("%d forms, %d bodies, cut at %d places, %d values found, none left", len(forms), bodies, splits, found)
}

// lastOf is the name of the entity that a form is called after.
func lastOf(form string) string {
	i := bytes.IndexByte([]byte(form), '&')
	if i < 0 {
		return ""
	}
	return form[i+1 : len(form)-1]
}

// TestRandomBodiesPassByteForByte prints how much passed, of bytes of any kind.
func TestRandomBodiesPassByteForByte(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	s := Compile([]Named{{"A", []byte("ghp_0123456789abcdefABCDEF")}, {"B", []byte(`sk-"quoted" and spaced`)}, {"C", []byte("aé€😀\n{}")}})
	bodies, total := 0, 0
	for range 200 {
		body := make([]byte, r.IntN(3000))
		for i := range body {
			body[i] = byte(r.Uint32())
		}
		for _, src := range []io.Reader{bytes.NewReader(body), chunked(r, body)} {
			got, err := io.ReadAll(s.Reader(src, func(i int) { t.Errorf("value %d was found", i) }))
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%q became %q, %v", body, got, err)
			}
			bodies++
			total += len(body)
		}
	}
	t.Logf("%d bodies, %d bytes", bodies, total)
}
