package scrub

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// scan appends every occurrence of a value in b to spans, in no order. hold is
// where the first text begins that b ends inside of and that may become a
// match; len(b) if there is none or, with final, nothing comes after b.
//
// A match in one form is either free of escapes, and scanRaw finds it, or has a
// first one, and scanEscapes finds it from there. Both see a beginning as such
// wherever b ends, so what a Reader finds does not depend on how a body is cut.
func (s *Set) scan(b []byte, final bool, spans []span) (_ []span, hold int) {
	spans, hold = s.scanRaw(b, len(b), spans)
	spans, hold = s.scanEscapes(b, final, hold, spans)
	if final {
		return spans, len(b)
	}
	return spans, s.scanEnd(b, hold)
}

// scanEscapes finds the needles with an escape in them.
func (s *Set) scanEscapes(b []byte, final bool, hold int, spans []span) ([]span, int) {
	p := 0
	if len(b) >= teddyBlock+teddyLen {
		if !hasVectors {
			return s.scanByLead(b, final, hold, spans)
		}
		p, spans, hold = s.scanBlocks(b, final, hold, spans)
	}
	for p < len(b) {
		if p+8 <= len(b) && !anyLead(binary.LittleEndian.Uint64(b[p:])) {
			p += 8
			continue
		}
		for end := min(p+8, len(b)); p < end; p++ {
			if isLead[b[p]] && !s.marks.dull(b, p) {
				spans, hold = s.escapeAt(b, p, final, hold, spans)
			}
		}
	}
	return spans, hold
}

// scanByLead is scanEscapes with a pass for each lead.
func (s *Set) scanByLead(b []byte, final bool, hold int, spans []span) ([]span, int) {
	for _, lead := range [...]byte{percent, backslash, ampersand, plus} {
		if lead == plus && !s.marks.in[' '] {
			continue
		}
		for p := 0; p < len(b); p++ {
			next := bytes.IndexByte(b[p:], lead)
			if next < 0 {
				break
			}
			if p += next; !s.marks.dull(b, p) {
				spans, hold = s.escapeAt(b, p, final, hold, spans)
			}
		}
	}
	return spans, hold
}

// scanBlocks is scanEscapes in one pass, for the most of b: up to done.
func (s *Set) scanBlocks(b []byte, final bool, hold int, spans []span) (done int, _ []span, _ int) {
	var masks [64]uint64
	for {
		n := s.marks.leads.mark(masks[:], b[done:])
		if n == 0 {
			return done, spans, hold
		}
		for p := range marked(masks[:n/teddyBlock]) {
			if p += done; !s.marks.dull(b, p) {
				spans, hold = s.escapeAt(b, p, final, hold, spans)
			}
		}
		done += n
	}
}

// anyLead reports whether one of eight bytes may be a lead. It is never wrong
// where one is.
func anyLead(eight uint64) bool {
	const ones = 0x0101010101010101
	pc, pl, bs, am := eight^ones*percent, eight^ones*plus, eight^ones*backslash, eight^ones*ampersand
	// A byte that is zero borrows from its highest bit.
	return ((pc-ones)&^pc|(pl-ones)&^pl|(bs-ones)&^bs|(am-ones)&^am)&(ones<<7) != 0
}

// escapeAt finds the needles whose first escape is at b[p].
func (s *Set) escapeAt(b []byte, p int, final bool, hold int, spans []span) ([]span, int) {
	for depth := 1; depth <= maxDepth; depth++ {
		r, width := escape(b, p, depth, s.marks.wide)
		if width == 0 {
			break
		}
		if width < 0 {
			if !final {
				hold = s.before(b, p, depth, hold)
			}
			continue
		}
		first, second := firstBytes(r)
		spans, hold = s.around(b, p, p+width, first, depth, final, hold, spans)
		if second != first {
			spans, hold = s.around(b, p, p+width, second, depth, final, hold, spans)
		}
	}
	return spans, hold
}

// firstBytes returns what the first byte of a character can be in a value:
// its own in UTF-8, or itself where an escape stands for a byte.
func firstBytes(r rune) (byte, byte) {
	if r < utf8.RuneSelf {
		return byte(r), byte(r)
	}
	var char [utf8.UTFMax]byte
	utf8.EncodeRune(char[:], r)
	if r < 0x100 {
		return char[0], byte(r)
	}
	return char[0], char[0]
}

// around finds the needles in which the escape at b[p:end] stands for c when it
// is read at the given depth, and before which there is no escape.
func (s *Set) around(b []byte, p, end int, c byte, depth int, final bool, hold int, spans []span) ([]span, int) {
	if !s.marks.fits(b, p, end, c) {
		return spans, hold
	}
	for at := range s.near(b, p, c) {
		n, j := &s.needles[at.needle], int(at.index)
		if !n.endsAt(b, p, j) || c < 0x80 && !s.marks.mayGoOn(n, b, end, j+1) {
			continue
		}
		for deepest := depth; deepest <= maxDepth; deepest++ {
			end, alive := s.follow(n, b, p, j, deepest, final)
			if end > 0 {
				spans = append(spans, span{p - j, end, n.secret})
			} else if alive {
				hold = min(hold, p-j)
			}
		}
	}
	return spans, hold
}

// before lowers hold to the first place from which on there is the beginning
// of a needle that the escape at b[p], which b ends inside of, may go on when it
// is read at the given depth.
func (s *Set) before(b []byte, p, depth, hold int) int {
	for c := range 256 {
		if !s.marks.fits(b, p, len(b), byte(c)) || !mayStandFor(b, p, depth, byte(c)) {
			continue
		}
		for at := range s.near(b, p, byte(c)) {
			n, j := &s.needles[at.needle], int(at.index)
			if p-j >= hold || !n.endsAt(b, p, j) {
				continue
			}
			for deepest := depth; deepest <= maxDepth; deepest++ {
				if _, alive := s.follow(n, b, p, j, deepest, false); alive {
					hold = p - j
				}
			}
		}
	}
	return hold
}

// follow reads the needle from its character j on at b[p:], where escapes of
// the kind that b[p] begins may stand for characters. It returns where the
// needle ends, or 0; alive says that b ended first.
func (s *Set) follow(n *needle, b []byte, p, j, deepest int, final bool) (end int, alive bool) {
	kind := b[p]
	if kind == plus {
		kind = percent
	}
	for j < len(n.text) {
		if p >= len(b) {
			return 0, !final
		}
		width, size := 1, 0
		if b[p] == kind || kind == percent && b[p] == plus {
			width, size = s.unescape(n, b, p, j, deepest, final)
		}
		switch {
		case width < 0:
			return 0, true
		case size > 0:
		case n.is(b[p], j):
			width, size = 1, 1
		default:
			return 0, false
		}
		p, j = p+width, j+size
	}
	return p, false
}

// unescape reads at b[p] an escape that stands for the needle from its
// character j on. It returns the escape's length and how many bytes of the
// needle it stands for, 0 if there is none; a negative length if b ends before
// that is decided.
//
// Of a text that was escaped twice, the first escaping may have left alone what
// the second did not, so the escape may be less deep than deepest. The deepest
// that fits is taken; that loses nothing, since follow is tried with each.
func (s *Set) unescape(n *needle, b []byte, p, j, deepest int, final bool) (width, size int) {
	for depth := deepest; depth > 0; depth-- {
		r, width := escape(b, p, depth, s.marks.wide)
		if width < 0 && !final && n.mayStandAt(b, p, j, depth) {
			return width, 0
		}
		if width > 0 {
			if size := n.accept(r, j, b[p] == percent); size > 0 {
				return width, size
			}
		}
	}
	return 1, 0
}

// mayStandAt reports whether the escape at b[p], which b ends inside of, may
// turn out to stand for the needle's character j.
func (n *needle) mayStandAt(b []byte, p, j, depth int) bool {
	for _, c := range []byte(n.cases(n.text[j])) {
		if mayStandFor(b, p, depth, c) {
			return true
		}
	}
	return false
}

// accept returns how many bytes of the needle from j on the character r is. A
// percent-encoding stands for a byte; the other escapes stand for a character,
// and for a byte where they come from a program that takes its bytes for such.
func (n *needle) accept(r rune, j int, octet bool) int {
	if r >= utf8.RuneSelf && !octet {
		var char [utf8.UTFMax]byte
		size := utf8.EncodeRune(char[:], r)
		if bytes.HasPrefix(n.text[j:], char[:size]) {
			return size
		}
	}
	if r < 0x100 && n.is(byte(r), j) {
		return 1
	}
	return 0
}
