package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy/scrub"
)

const (
	// wholeBody is the largest body that is looked at before anything is sent.
	wholeBody = 64 << 10
	// exactBody is the largest body that keeps a Content-Length where its
	// placeholders are replaced; the length is known only when all of it is.
	exactBody = 1 << 20
	// bodyPatience is how long a small body may take to arrive before its
	// request goes out without: the upstream may want to answer first.
	bodyPatience = 250 * time.Millisecond
)

// replaceInBody is step 7 for the body. A small one of known length is looked at
// before anything is sent; any other while it is sent: a placeholder that may
// not stand there never goes out, and the request breaks off before it.
func (x *exchange) replaceInBody(r *http.Request) *Denial {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	if !legible(r.Header) {
		x.checkTrailer(r, &sentBody{Reader: r.Body, under: r.Body})
		return nil
	}
	enc, limit, patience := bodyEncoding(r.Header.Get("Content-Type")), int64(wholeBody), bodyPatience
	replaces := x.replacesInBody()
	if replaces {
		limit, patience = exactBody, 0
	}
	waits := len(r.Header["Expect"]) > 0 // for the upstream to want its body
	if n := r.ContentLength; n > 0 && n <= limit && !waits && len(r.Trailer) == 0 {
		whole, rest := readWhole(r.Body, int(n), patience)
		if rest == nil {
			return x.setBody(r, whole, enc)
		}
		r.Body = rest
	}
	if replaces {
		r.ContentLength = -1
	}
	x.checkTrailer(r, x.streamBody(r, enc))
	return nil
}

// legible reports whether text can be seen in a request's body: it is neither
// compressed nor of a type that holds none. In any other a placeholder is not
// seen; it goes out as the worthless token that it is.
func legible(h http.Header) bool {
	coding := h.Get("Content-Encoding")
	return (coding == "" || strings.EqualFold(coding, "identity")) && scrub.ScrubbableType(h.Get("Content-Type"))
}

func (x *exchange) replacesInBody() bool {
	for i := range x.run.placeholders.tokens {
		if x.allows(i, manifests.InBody) >= 0 {
			return true
		}
	}
	return false
}

// setBody makes the request's body what whole is with its placeholders replaced.
func (x *exchange) setBody(r *http.Request, whole []byte, enc encoding) *Denial {
	text, _, denied := x.replaceBytes(whole, manifests.InBody, enc)
	if denied != nil {
		return denied
	}
	r.ContentLength = int64(len(text))
	under := r.Body
	// With GetBody a request may be sent again where its connection had gone stale.
	r.GetBody = func() (io.ReadCloser, error) { return &sentBody{Reader: bytes.NewReader(text), under: under}, nil }
	r.Body, _ = r.GetBody()
	return nil
}

// streamBody replaces while the body is sent.
func (x *exchange) streamBody(r *http.Request, enc encoding) *sentBody {
	rewritten := x.run.placeholders.find().Rewrite(scrub.Messages(r.Header.Get("Content-Type"), r.Body, true), func(dst, match []byte, i int) ([]byte, error) {
		// The answer may have ended, and with it the exchange's hold on the secrets.
		if x.creds != nil && !x.creds.retain() {
			return dst, errEnded
		}
		defer x.creds.release()
		out, denied := x.replace(dst, match, i, manifests.InBody, enc)
		if denied != nil {
			x.tripped.CompareAndSwap(nil, denied)
			return dst, denied
		}
		return out, nil
	})
	return &sentBody{Reader: rewritten, under: r.Body}
}

var errEnded = errors.New("the exchange has ended")

// checkTrailer makes b the request's body, at whose end its trailer is looked at.
func (x *exchange) checkTrailer(r *http.Request, b *sentBody) {
	if len(r.Trailer) > 0 {
		b.trailer, b.check = r.Trailer, x.tripInTrailer
	}
	r.Body = b
}

// tripInTrailer trips over a placeholder in the trailer, where none may stand.
func (x *exchange) tripInTrailer(h http.Header) error {
	for _, values := range h {
		for _, v := range values {
			if m := x.run.placeholders.find().Matches(nil, []byte(v)); len(m) > 0 {
				denied := x.run.placeholders.tokens[m[0].Index].trip("trailer")
				x.tripped.CompareAndSwap(nil, denied)
				return denied
			}
		}
	}
	return nil
}

// sentBody is a request's body as it goes out.
type sentBody struct {
	io.Reader
	under   io.Closer
	trailer http.Header
	check   func(http.Header) error // nil: the trailer needs no look
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.check != nil {
		if denied := b.check(b.trailer); denied != nil {
			return n, denied
		}
	}
	return n, err
}

func (b *sentBody) Close() error { return b.under.Close() }

// readWhole reads a body of n bytes. If it breaks off, or is not there in that
// time (0: however long it takes), it returns in place of the whole a body that
// gives what has come so far and goes on from there.
func readWhole(body io.ReadCloser, n int, patience time.Duration) (whole []byte, rest io.ReadCloser) {
	whole = make([]byte, n)
	got, err := body.Read(whole) // all of it, where it came with the head
	if got == n {
		return whole, nil
	}
	later := &laterBody{ReadCloser: body, have: whole[:got], more: make(chan piece, 1)}
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		later.more <- piece{nil, err}
		return nil, later
	}
	go func() {
		k, err := io.ReadFull(body, whole[got:])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		later.more <- piece{whole[got : got+k], err}
	}()
	if patience == 0 {
		last := <-later.more
		if last.err == nil {
			return whole, nil
		}
		later.more <- last
		return nil, later
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case last := <-later.more:
		if last.err == nil {
			return whole, nil
		}
		later.more <- last
	case <-timer.C:
	}
	return nil, later
}

// laterBody is a small body that has not all come in time.
type laterBody struct {
	io.ReadCloser
	have []byte
	more chan piece // the rest, once
	err  error
}

type piece struct {
	bytes []byte
	err   error
}

func (b *laterBody) Read(p []byte) (int, error) {
	for len(b.have) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		last := <-b.more
		if b.have, b.err = last.bytes, last.err; b.err == nil {
			b.err = io.EOF
		}
	}
	n := copy(p, b.have)
	b.have = b.have[n:]
	return n, nil
}
