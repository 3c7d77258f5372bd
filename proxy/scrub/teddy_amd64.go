//go:build !purego

package scrub

import "golang.org/x/sys/cpu"

var hasVectors = cpu.X86.HasAVX2

// teddyMark is markSlowly. It needs AVX2. It reads the first 64*len(masks)+3 bytes
// of b, if there are masks, without looking whether there are so many.
//
//go:noescape
func teddyMark(masks []uint64, b []byte, t *teddy)
