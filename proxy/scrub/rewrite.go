package scrub

import (
	"cmp"
	"io"
	"slices"
)

// Match is one place of a text where a value stands in one of its forms.
type Match struct {
	Lo, Hi int // the text's bytes from Lo up to Hi
	Index  int // of the value, as in [Compile]
}

// Matches appends to dst the places where a value stands in b, in order and
// without overlaps: of two that overlap, the first, or the longer where both
// begin together, or that of the value with the lower index where both end
// together too. A nil Set finds nothing. It does not allocate unless there is
// a match.
func (s *Set) Matches(dst []Match, b []byte) []Match {
	if s == nil {
		return dst
	}
	spans, _ := s.scan(b, true, nil)
	return appendMatches(dst, spans, len(b), 0)
}

// appendMatches appends the matches that begin before end, and not within the
// first covered bytes.
func appendMatches(dst []Match, spans []span, end, covered int) []Match {
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(a.lo-b.lo, b.hi-a.hi, a.secret-b.secret)
	})
	for _, sp := range spans {
		if sp.lo >= covered && sp.lo < end {
			dst = append(dst, Match{sp.lo, sp.hi, sp.secret})
			covered = sp.hi
		}
	}
	return dst
}

// Edit appends to dst what is to stand in place of match, which is value number
// i in one of its forms. An error ends the text before the match.
type Edit func(dst, match []byte, i int) ([]byte, error)

// Rewrite returns a reader of r's bytes with each match replaced as edit says.
// What edit gave is not searched again, and is overwritten when it was read.
// As with [Set.Reader], each read from r is handed on at once but for what may
// be the beginning of a value; an error of r other than io.EOF drops that. A
// nil Set returns r.
func (s *Set) Rewrite(r io.Reader, edit Edit) io.Reader {
	if s == nil {
		return r
	}
	return &reader{set: s, src: r, edit: edit}
}

// rewrite is redact, with what edit gives in place of each match.
func rewrite(dst, b []byte, spans []span, end, covered int, edit Edit) (_ []byte, after int, err error) {
	for _, m := range appendMatches(nil, spans, end, covered) {
		dst = append(dst, b[covered:m.Lo]...)
		if dst, err = edit(dst, b[m.Lo:m.Hi], m.Index); err != nil {
			return dst, 0, err
		}
		covered = m.Hi
	}
	if covered < end {
		return append(dst, b[covered:end]...), 0, nil
	}
	return dst, covered - end, nil
}
