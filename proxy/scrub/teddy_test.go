package scrub

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// randomTeddy has eight patterns of sets of up to as many bytes.
func randomTeddy(r *rand.Rand, most int) (t teddy, alphabet []byte) {
	for i := range 8 {
		var sets [teddyLen]string
		for k := range sets {
			set := make([]byte, 1+r.IntN(most))
			for j := range set {
				set[j] = byte(r.Uint32())
			}
			sets[k] = string(set)
			alphabet = append(alphabet, set...)
		}
		t.add(i, sets[:]...)
	}
	return t, alphabet
}

func needVectors(t *testing.T) {
	t.Helper()
	if !hasVectors {
		t.Skip("this machine has no AVX2, or the build is pure Go: there is nothing to compare")
	}
}

// agree compares teddyMark with markSlowly on all of b.
func agree(t *testing.T, td *teddy, b []byte) {
	t.Helper()
	blocks := max(0, len(b)-teddyLen+1) / teddyBlock
	got, want := make([]uint64, blocks+1), make([]uint64, blocks+1)
	got[blocks], want[blocks] = 0xa5a5, 0xa5a5 // nobody's
	if n := td.mark(got[:blocks], b); n != blocks*teddyBlock {
		t.Fatalf("%d places of %d bytes were looked at, want %d", n, len(b), blocks*teddyBlock)
	}
	markSlowly(want[:blocks], b, td)
	if !slices.Equal(got, want) {
		t.Fatalf("of %q\ngot  %x\nwant %x\nwith %v", b, got, want, *td)
	}
}

func TestVectorCodeMarksWhatGoMarks(t *testing.T) {
	needVectors(t)
	r := rand.New(rand.NewPCG(21, 22))
	room := make([]byte, 64+400)
	for round := range 100 {
		td, alphabet := randomTeddy(r, 1+round%12)
		for n := range 150 {
			b := room[r.IntN(64):]
			if n < 140 {
				b = b[:n]
			} else {
				b = b[:r.IntN(400)]
			}
			for i := range b {
				b[i] = alphabet[r.IntN(len(alphabet))]
				if r.IntN(8) == 0 {
					b[i] = byte(r.Uint32())
				}
			}
			agree(t, &td, b)
		}
	}
}

func TestVectorCodeAtEveryAlignment(t *testing.T) {
	needVectors(t)
	r := rand.New(rand.NewPCG(23, 24))
	td, alphabet := randomTeddy(r, 4)
	room := make([]byte, 64+300)
	for i := range room {
		room[i] = alphabet[r.IntN(len(alphabet))]
	}
	for from := range 64 {
		for n := range 200 {
			agree(t, &td, room[from:from+n])
		}
	}
}

func FuzzVectorCodeMarksWhatGoMarks(f *testing.F) {
	f.Add([]byte("%41 &quot; \\u0041 and more than a block of bytes of text, so that there is something to mark \\\\u0041"), uint64(1), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, most uint8) {
		needVectors(t)
		td, _ := randomTeddy(rand.New(rand.NewPCG(seed, seed)), 1+int(most%32))
		td.add(int(seed%8), string(b[:min(len(b), 3)]), "%&\\", "0123456789abcdef", every)
		agree(t, &td, b)
	})
}

// TestEveryEscapeOfANeedleHasAPattern: what a closer look would read must not be
// passed over.
func TestEveryEscapeOfANeedleHasAPattern(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	looked := 0
	for range 2000 {
		value := randomSecret(r)
		s := Compile([]Named{{"A", value}, {"B", randomSecret(r)}})
		b := noise(r, 100)
		for _, encode := range encodings {
			b = append(b, encode(r, value[:min(len(value), 60)])...)
		}
		for p := 0; p+glanceLen <= len(b); p++ {
			if !isLead[b[p]] {
				continue
			}
			_, _, reading := s.marks.glance(b, p)
			stands := reading == one
			for depth := 1; depth <= maxDepth; depth++ {
				c, width := escape(b, p, depth, s.marks.wide)
				first, second := firstBytes(c)
				if b[p] == percent { // which is a byte, not a character
					first = second
				}
				stands = stands || width > 0 && (s.marks.in[first] || s.marks.in[second])
			}
			switch {
			case !stands:
			case reading == nothing:
				t.Fatalf("a glance at %q sees nothing, with the value %q", b[p:min(p+16, len(b))], value)
			case !s.marks.leads.at(b[p:]):
				t.Fatalf("no pattern is there for %q, with the value %q", b[p:min(p+16, len(b))], value)
			default:
				looked++
			}
		}
	}
	if looked < 10000 {
		t.Errorf("only %d escapes", looked)
	}
}
