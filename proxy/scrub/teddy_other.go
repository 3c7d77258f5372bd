//go:build !amd64 || purego

package scrub

const hasVectors = false

func teddyMark(masks []uint64, b []byte, t *teddy) { markSlowly(masks, b, t) }
