package scrub

import (
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
// begin together. A nil Set finds nothing. It does not allocate unless there is
// a match.
func (s *Set) Matches(dst []Match, b []byte) []Match {
	if s == nil {
		return dst
	}
	spans, _ := s.scan(b, true, nil)
	return appendMatches(dst, spans, len(b))
}

// appendMatches appends the matches that begin before end.
func appendMatches(dst []Match, spans []span, end int) []Match {
	slices.SortFunc(spans, func(a, b span) int {
		if a.lo != b.lo {
			return a.lo - b.lo
		}
		return b.hi - a.hi
	})
	after := 0
	for _, sp := range spans {
		if sp.lo >= after && sp.lo < end {
			dst = append(dst, Match{sp.lo, sp.hi, sp.secret})
			after = sp.hi
		}
	}
	return dst
}

// Edit appends to dst what is to stand in place of match, which is value number
// i in one of its forms. An error ends the text before the match.
type Edit func(dst, match []byte, i int) ([]byte, error)

// Rewrite returns a reader of r's bytes with each match replaced as edit says.
// What edit gave is not searched again. As with [Set.Reader], each read from r
// is handed on at once but for what may be the beginning of a value; an error
// of r other than io.EOF drops that. A nil Set returns r.
func (s *Set) Rewrite(r io.Reader, edit Edit) io.Reader {
	if s == nil {
		return r
	}
	return &rewriter{set: s, src: r, edit: edit}
}

type rewriter struct {
	set     *Set
	src     io.Reader
	edit    Edit
	pending []byte // read and not decided yet
	out     []byte // to be given next; within made
	made    []byte
	err     error
}

// Read implements io.Reader.
func (r *rewriter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.out) == 0 {
		if r.err != nil {
			clear(r.made[:cap(r.made)]) // it held what edit gave
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill reads once and sets out to what is decided.
func (r *rewriter) fill() {
	r.pending = slices.Grow(r.pending, bufferSize)
	n, err := r.src.Read(r.pending[len(r.pending):cap(r.pending)])
	r.pending = r.pending[:len(r.pending)+n]
	spans, end := r.set.scan(r.pending, err == io.EOF, nil)
	made, done := r.made[:0], 0
	for _, m := range appendMatches(nil, spans, end) {
		made = append(made, r.pending[done:m.Lo]...)
		var denied error
		if made, denied = r.edit(made, r.pending[m.Lo:m.Hi], m.Index); denied != nil {
			r.made, r.out, r.err = made, made, denied
			return
		}
		done = m.Hi
	}
	if done < end {
		made = append(made, r.pending[done:end]...)
		done = end
	}
	r.pending = append(r.pending[:0], r.pending[done:]...)
	r.made, r.out, r.err = made, made, err
}
