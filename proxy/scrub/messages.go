package scrub

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Messages is r, a body of that Content-Type, for [Set.Reader] and
// [Set.Rewrite]. If it is gRPC, they know then where a message ends, and hold
// nothing of it back: the end is otherwise in no text, and a peer that waits for
// the whole message before it says anything would wait for ever.
//
// After a message comes a zero byte or a one (the gRPC protocol's
// Compressed-Flag), which is in no value, so none begins in one message and ends
// in the next. What claims to be gRPC and is not, to have its values cut, reads
// as an error that wraps [ErrUnscannable], after at most [maxTold] bytes of a
// value; and so does a message that is compressed, unless packed allows that.
func Messages(contentType string, r io.Reader, packed bool) io.Reader {
	if !HasMessages(contentType) {
		return r
	}
	return &messages{src: r, packed: packed}
}

// HasMessages reports whether a body of that Content-Type is gRPC, and so holds
// lengths of its parts.
func HasMessages(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(mediaType)), "application/grpc")
	return ok && (rest == "" || rest[0] == '+')
}

// Mask is [Set.Reader] for a body that holds lengths of its parts: in place of a
// value stand as many asterisks. They tell the value's length, where any other
// replacement would make the body one that nobody can read.
func (s *Set) Mask(r io.Reader, hit func(i int)) io.Reader {
	return s.Rewrite(r, func(dst, match []byte, i int) ([]byte, error) {
		if hit != nil {
			hit(i)
		}
		return append(dst, bytes.Repeat([]byte{'*'}, len(match))...), nil
	})
}

// maxTold is how many bytes of what may be a value are given at the end of a
// message; of more than that no message ends in by chance.
const maxTold = 3

// messages follows the length-prefixed messages of a gRPC stream.
type messages struct {
	src    io.Reader
	packed bool
	prefix [5]byte // flag and length of the next message
	have   int     // of prefix
	left   uint32  // of the message under way
	err    error
}

// Read implements io.Reader.
func (m *messages) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.src.Read(p)
	good := m.follow(p[:n])
	if m.err != nil {
		return good, m.err
	}
	return n, err
}

// follow reads the framing of b. It returns how much of b is in order.
func (m *messages) follow(b []byte) int {
	for i := 0; i < len(b); {
		if m.left > 0 {
			n := min(len(b)-i, int(m.left))
			m.left -= uint32(n)
			i += n
			continue
		}
		m.prefix[m.have] = b[i]
		if m.have == 0 && b[i] != 0 && !(b[i] == 1 && m.packed) {
			m.err = fmt.Errorf("a gRPC message is compressed, or none: %w", ErrUnscannable)
			return i
		}
		m.have++
		i++
		if m.have == len(m.prefix) {
			m.have, m.left = 0, binary.BigEndian.Uint32(m.prefix[1:])
		}
	}
	return len(b)
}

// ended reports whether what was read so far ends with a message.
func (m *messages) ended() bool { return m.left == 0 && m.have == 0 }

// tells reports whether what was held back of b, from end on, may be given: it
// is the end of a message, and all of it but little lies in values that are
// there whole. spans are those of b as a whole.
func (r *reader) tells(b []byte, end int, spans []span) bool {
	m, ok := r.src.(*messages)
	if !ok || end == len(b) || !m.ended() || r.set.marks.in[0] || r.set.marks.in[1] {
		return false
	}
	open, at := 0, end
	for _, found := range appendMatches(nil, spans, len(b), 0) {
		open += max(0, found.Lo-at)
		at = max(at, found.Hi)
	}
	return open+len(b)-at <= maxTold
}
