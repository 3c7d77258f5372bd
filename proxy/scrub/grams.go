package scrub

import "encoding/binary"

// gramTable finds needles without looking at most of a text.
//
// Of any stretch of stride+3 bytes, one of every stride-th four bytes of the
// text lies inside. So if a needle is at least that long, one of the four-byte
// grams at its first stride places is seen by a search that looks at every
// stride-th place only. A bitmap, small enough for the first-level cache, says
// of nearly all other grams that they are none of these.
type gramTable struct {
	stride  int
	bitmap  *[1 << 16 / 64]uint64
	heads   []int32 // by the low bits of the hash; index of the first entry plus 1
	entries []gramEntry
}

type gramEntry struct {
	gram   uint32 // folded
	needle int32
	offset int32
	next   int32 // index plus 1
}

const (
	gramLen   = 4
	maxStride = 16
)

func newGramTable(needles []needle, shortest int) gramTable {
	t := gramTable{stride: min(shortest-gramLen+1, maxStride), bitmap: new([1 << 16 / 64]uint64)}
	size := 64
	for size < 2*len(needles)*t.stride {
		size *= 2
	}
	t.heads = make([]int32, size)
	t.entries = make([]gramEntry, 0, len(needles)*t.stride)
	for i := range needles {
		for offset := range t.stride {
			g := gram(needles[i].text[offset:])
			h := hash(g)
			t.bitmap[h>>6] |= 1 << (h & 63)
			head := &t.heads[int(h)&(size-1)]
			t.entries = append(t.entries, gramEntry{g, int32(i), int32(offset), *head})
			*head = int32(len(t.entries))
		}
	}
	return t
}

// gram returns the first four bytes of b, ASCII letters in lower case. Some
// other bytes become equal too, which costs a comparison and no correctness.
func gram(b []byte) uint32 { return binary.LittleEndian.Uint32(b) | 0x20202020 }

func hash(g uint32) uint16 { return uint16(g * 0x9E3779B1 >> 16) }

// scanRaw appends the unescaped needles in b to spans. It lowers hold to the
// first place where a needle begins and b ends before it does, unless it
// begins too near the end of b for a gram; see scanEnd.
func (s *Set) scanRaw(b []byte, hold int, spans []span) ([]span, int) {
	t := &s.grams
	stride, bitmap := t.stride, t.bitmap
	from := 0
	if s.windows != nil && len(b) >= windowText {
		from, spans, hold = s.scanWindows(b, hold, spans)
		from = max(0, from-windowSpan) // a needle may begin so long before its window
	}
	for i := from; i+gramLen <= len(b); i += stride {
		// Four places at once, as long as there is nothing at any of them.
		for i+3*stride+gramLen <= len(b) {
			g0, g1, g2, g3 := hash(gram(b[i:])), hash(gram(b[i+stride:])), hash(gram(b[i+2*stride:])), hash(gram(b[i+3*stride:]))
			if (bitmap[g0>>6]>>(g0&63)|bitmap[g1>>6]>>(g1&63)|bitmap[g2>>6]>>(g2&63)|bitmap[g3>>6]>>(g3&63))&1 != 0 {
				break
			}
			i += 4 * stride
		}
		if i+gramLen > len(b) {
			break
		}
		g := gram(b[i:])
		h := hash(g)
		if bitmap[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		for e := t.heads[int(h)&(len(t.heads)-1)]; e != 0; e = t.entries[e-1].next {
			entry := &t.entries[e-1]
			if entry.gram == g {
				spans, hold = s.rawAt(b, i-int(entry.offset), &s.needles[entry.needle], hold, spans)
			}
		}
	}
	return spans, hold
}

// scanEnd lowers hold to the first place from which on the rest of b is the
// beginning of an unescaped needle. Only the places are looked at from which
// on scanRaw may have seen no gram.
func (s *Set) scanEnd(b []byte, hold int) int {
	for p := max(0, len(b)-s.grams.stride-gramLen+2); p < min(hold, len(b)); p++ {
		for _, at := range s.marks.starts(b[p]) {
			if n := &s.needles[at.needle]; p+len(n.text) > len(b) && n.at(b, p) {
				return p
			}
		}
	}
	return hold
}
