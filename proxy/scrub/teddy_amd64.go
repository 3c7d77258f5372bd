//go:build !purego

package scrub

import "golang.org/x/sys/cpu"

var hasVectors = cpu.X86.HasAVX2

// teddyMark is markSlowly, for len(masks) blocks: it reads 64*len(masks)+3 bytes
// of b. It needs AVX2.
//
//go:noescape
func teddyMark(masks []uint64, b []byte, t *teddy)
