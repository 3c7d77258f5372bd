package scrub

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestVectorCodeReadsNoByteBehindTheText puts texts at the end of a page behind
// which nothing may be read.
func TestVectorCodeReadsNoByteBehindTheText(t *testing.T) {
	needVectors(t)
	page := unix.Getpagesize()
	room, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(room) }()
	if err := unix.Mprotect(room[page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	var td teddy
	td.add(0, "x", "x", "x", "x")
	s := Compile(values("ghp_abcDEF0123456789xyz", `p"s's/w\o<r>d & m+re%`))
	for i := range page {
		room[i] = "x%\\&"[i%97&3]
	}
	for n := 0; n <= page; n += 1 + n/300 {
		b := room[page-n : page : page]
		agree(t, &td, b)
		if s.Contains(b) {
			t.Fatal("a match")
		}
	}
}
