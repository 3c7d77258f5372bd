package scrub

import (
	"io"
	"sync"
)

const (
	bufferSize = 32 << 10

	// inPlace is the length of a Read's buffer from which on it is read into,
	// and searched, as it is; with a smaller one reads would become many.
	inPlace = 4 << 10
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Reader returns a reader of r's bytes with each value replaced by
// [Replacement]. Each read from r is handed on at once, except for what may be
// the beginning of a value: that waits until it is decided, at the latest at
// the end of r. What the reader gives does not depend on how r is cut into
// reads.
//
// An error of r other than io.EOF is returned after all that was safe, and what
// was still held back is dropped: it could be a value but for its end. hit is
// called as by [Set.Bytes], from within Read. The reader is an io.WriterTo too,
// with one Write for each read. A nil Set returns r.
func (s *Set) Reader(r io.Reader, hit func(i int)) io.Reader {
	if s == nil {
		return r
	}
	return &reader{set: s, src: r, hit: hit}
}

type reader struct {
	set     *Set
	src     io.Reader
	hit     func(int)
	edit    Edit // nil: put Replacement in place of a value
	pooled  *[bufferSize]byte
	buf     []byte // as large as it is; buf[:n] was read and not yet given
	n       int
	given   int    // of buf[:n], is in out or was dropped
	covered int    // of buf[given:n], belongs to a value that was replaced
	out     []byte // to be given next; may be a part of buf
	changed []byte // where out is when it is not
	spans   []span
	err     error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.given < r.n || len(p) < inPlace || r.framed() {
			r.fill()
		} else if n := r.fillInPlace(p); n > 0 {
			return n, nil
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	if len(r.out) == 0 && r.err != nil {
		r.release()
	}
	return n, nil
}

// Waiting reports whether the next Read will not wait for more of the text.
func (r *reader) Waiting() bool {
	if len(r.out) > 0 || r.err != nil {
		return true
	}
	w, ok := r.src.(interface{ Waiting() bool })
	return ok && w.Waiting()
}

// WriteTo implements io.WriterTo.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if len(r.out) > 0 {
			n, err := w.Write(r.out)
			r.out = r.out[n:]
			written += int64(n)
			if err != nil {
				return written, err
			}
			continue
		}
		if r.err != nil {
			r.release()
			if r.err == io.EOF {
				return written, nil
			}
			return written, r.err
		}
		r.fill()
	}
}

// fill reads once and sets out to what is safe to give.
func (r *reader) fill() {
	r.makeRoom(0)
	n, err := r.src.Read(r.buf[r.n:])
	r.n += n
	r.err = err
	if n == 0 && err == nil {
		return
	}
	b := r.buf[:r.n]
	spans, end := r.set.scan(b, err == io.EOF, r.spans[:0])
	if r.framed() && end < len(b) {
		if whole, _ := r.set.scan(b, true, nil); r.tells(b, end, whole) {
			spans, end = whole, len(b)
		}
	}
	r.spans = spans
	if len(spans) == 0 && r.covered == 0 {
		r.out = b[:end]
	} else {
		r.change(b, spans, end)
	}
	r.given = end
	if len(r.out) == 0 && r.err != nil {
		r.release()
	}
}

// fillInPlace is fill where nothing was held back, with p as the buffer. It
// returns how much of p is safe to give, so that most bytes are not copied;
// where a value was found that is 0, and out is set.
func (r *reader) fillInPlace(p []byte) int {
	n, err := r.src.Read(p)
	r.err = err
	b := p[:n]
	spans, end := r.set.scan(b, err == io.EOF, r.spans[:0])
	r.spans = spans
	safe := end
	if len(spans) > 0 {
		r.change(b, spans, end)
		safe = 0
	}
	if end < n && r.err == nil {
		r.n, r.given = 0, 0
		r.makeRoom(n - end)
		r.n = copy(r.buf, b[end:])
	}
	clear(b[safe:]) // the buffer is the caller's
	if r.err != nil && len(r.out) == 0 {
		r.release()
	}
	return safe
}

// framed reports whether the source knows where its messages end.
func (r *reader) framed() bool {
	_, ok := r.src.(*messages)
	return ok
}

// change sets out to b[:end] with the spans replaced.
func (r *reader) change(b []byte, spans []span, end int) {
	if r.edit == nil {
		r.changed, r.covered = redact(r.changed[:0], b, spans, end, r.covered, r.hit)
	} else {
		var denied error
		if r.changed, r.covered, denied = rewrite(r.changed[:0], b, spans, end, r.covered, r.edit); denied != nil {
			r.err = denied
		}
	}
	r.out = r.changed
}

// makeRoom moves what was held back to the front of the buffer, and takes a
// larger one if a value's beginning fills half of it, or if need be for more.
func (r *reader) makeRoom(more int) {
	if r.buf == nil {
		r.pooled = buffers.Get().(*[bufferSize]byte)
		r.buf = r.pooled[:]
	}
	held := r.buf[r.given:r.n]
	if size := max(len(held), more); size > len(r.buf)/2 {
		larger := make([]byte, 2*size)
		r.n = copy(larger, held)
		r.give()
		r.buf = larger
	} else {
		r.n = copy(r.buf, held)
	}
	r.given = 0
}

// release gives the buffer back. Nothing of out may be in use any more.
func (r *reader) release() {
	r.give()
	if r.edit != nil {
		clear(r.changed[:cap(r.changed)])
	}
	r.buf, r.n, r.given, r.changed, r.spans = nil, 0, 0, nil, nil
}

func (r *reader) give() {
	if r.pooled != nil {
		buffers.Put(r.pooled)
		r.pooled = nil
	}
}
