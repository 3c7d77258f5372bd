package scrub

import (
	"iter"
	"math/bits"
)

// teddy picks out of a text the places where a four-byte pattern may stand. It
// knows eight patterns, each a set of bytes for each of the four places.
//
// A byte is looked up by halves: lo[k][byte&15] & hi[k][byte>>4] has the bits of
// the patterns that the byte suits at place k. A pattern may so accept more than
// its sets, never less. Sixteen entries are what one instruction looks up for
// every byte of a vector; see teddy_amd64.s. (Hyperscan calls this Teddy.)
type teddy struct {
	lo, hi [teddyLen][16]uint8
}

const (
	teddyLen   = 4
	teddyBlock = 64 // places in a mask
)

// add makes the sets, one for each place, a part of pattern number i.
func (t *teddy) add(i int, sets ...string) {
	for k := range t.lo {
		if len(sets[k]) == len(every) {
			for half := range 16 {
				t.lo[k][half] |= 1 << i
				t.hi[k][half] |= 1 << i
			}
			continue
		}
		for _, c := range []byte(sets[k]) {
			t.lo[k][c&15] |= 1 << i
			t.hi[k][c>>4] |= 1 << i
		}
	}
}

// at reports whether a pattern may stand at the start of b.
func (t *teddy) at(b []byte) bool {
	suits := uint8(0xff)
	for k, c := range b[:teddyLen] {
		suits &= t.lo[k][c&15] & t.hi[k][c>>4]
	}
	return suits != 0
}

// mark sets bit i%64 of masks[i/64] if a pattern may stand at b[i:], clears it if
// not, and returns for how many places it did so: whole blocks of them. It is for
// machines with hasVectors.
func (t *teddy) mark(masks []uint64, b []byte) int {
	blocks := min(len(masks), max(0, len(b)-teddyLen+1)/teddyBlock)
	teddyMark(masks[:blocks], b, t)
	return blocks * teddyBlock
}

// marked are the places that mark marked.
func marked(masks []uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, mask := range masks {
			for ; mask != 0; mask &= mask - 1 {
				if !yield(i*teddyBlock + bits.TrailingZeros64(mask)) {
					return
				}
			}
		}
	}
}

// markSlowly is teddyMark in Go: what the vector code has to do.
func markSlowly(masks []uint64, b []byte, t *teddy) {
	for i := range masks {
		masks[i] = 0
		for j := range teddyBlock {
			if t.at(b[i*teddyBlock+j:]) {
				masks[i] |= 1 << j
			}
		}
	}
}
