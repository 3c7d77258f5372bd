package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchgate/latchgate/proxy/h1"
)

// uploadBody is a request's body on its way up. It marks the errors of the
// client, which are no fault of the upstream that was being sent the body.
//
// net/http returns nothing while it waits for more of a body, not even when the
// upstream is gone: a client that pauses would hear of it only when it goes on.
// So a Read that waits is broken off when the upstream's connection ends, and
// when HTTP/2 closes the body of a stream that was reset.
type uploadBody struct {
	io.ReadCloser
	ahead     *ahead      // nil: nobody can tell how much has arrived
	interrupt func()      // breaks off a Read that waits for the client
	ended     atomic.Bool // all of it was read
	closed    atomic.Bool // no more of it is wanted
	gone      atomic.Bool // the upstream is
}

// Read reads as much as has arrived, up to what makes an HTTP/2 frame of whole TLS
// records: a frame is a write, and wakes the upstream.
func (b *uploadBody) Read(p []byte) (n int, err error) {
	p = p[:min(len(p), uploadPiece)]
	n, err = b.read(p)
	for b.ahead.took(n); err == nil && n < len(p) && b.ahead.whole(); {
		var k int
		k, err = b.read(p[n:])
		b.ahead.took(k)
		n += k
	}
	return n, err
}

// uploadPiece is four TLS records, less the frame's head (RFC 9113 section 4.1).
const uploadPiece = 4*16<<10 - 9

func (b *uploadBody) read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, errUpstreamGone
	}
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.ended.Store(true)
	default:
		if b.closed.Load() {
			return n, errUpstreamGone
		}
		err = &uploadError{err}
	}
	return n, err
}

// Close implements io.Closer. To close a client's body is to read the rest of
// it, so that is broken off as well.
func (b *uploadBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

func (b *uploadBody) stop() {
	b.closed.Store(true)
	if !b.ended.Load() {
		b.interrupt()
	}
}

var errUpstreamGone = errors.New("the upstream is gone")

type uploadError struct{ cause error }

func (e *uploadError) Error() string { return "read the request's body: " + e.cause.Error() }

func (e *uploadError) Unwrap() error { return e.cause }

// upload makes r's body an uploadBody, and the context that r is sent with.
// sent is to be called when the upstream's answer, or its end, is there; it
// reports whether it was the upstream that ended.
func upload(r *http.Request) (ctx context.Context, cancel func(), sent func() bool) {
	never := func() bool { return false }
	if r.Body == nil || r.Body == http.NoBody {
		ctx, cancel = context.WithCancel(r.Context())
		return ctx, cancel, never
	}
	b := &uploadBody{ReadCloser: r.Body, interrupt: func() {}}
	r.Body = b
	i, ok := r.Context().Value(interruptKey{}).(*interrupt)
	if !ok {
		ctx, cancel = context.WithCancel(r.Context())
		return ctx, cancel, never
	}
	b.interrupt, b.ahead = i.fire, i.ahead
	ctx, cancel = b.context(r.Context())
	var mu sync.Mutex
	var stops []func() bool
	watch := func(info httptrace.GotConnInfo) {
		mu.Lock()
		defer mu.Unlock()
		settle(info)
		if c := dialledOf(info.Conn); c != nil && c.open.Err() == nil {
			stops = append(stops, context.AfterFunc(c.open, func() {
				b.gone.Store(true)
				b.stop()
			}))
		}
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: watch}), cancel, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, stop := range stops {
			stop()
		}
		return b.gone.Load()
	}
}

// context ends when client does, unless that is because of an interrupt: to
// net/http a client that can't be read from has gone away, while this one may
// be waiting for an answer that came early.
func (b *uploadBody) context(client context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	stop := context.AfterFunc(client, func() {
		if !b.closed.Load() {
			cancel()
		}
	})
	return ctx, func() { stop(); cancel() }
}

// interrupt breaks off a request's Read of its client, as long as the request
// is being answered.
type interrupt struct {
	mu   sync.Mutex
	over bool
	w    http.ResponseWriter

	ahead *ahead
}

type interruptKey struct{}

func (i *interrupt) fire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.over {
		_ = http.NewResponseController(i.w).SetReadDeadline(time.Unix(1, 0))
	}
}

// end keeps a late fire from the connection's next request.
func (i *interrupt) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}

// ahead knows of a client's TLS records that have arrived whole, and not been read.
type ahead struct {
	socket  net.Conn
	records int
}

// aheadOf is nil where a Read of r's body is not a Read of its connection alone.
func aheadOf(r *http.Request) *ahead {
	c := tunnelConnIn(r.Context())
	if c == nil || r.ProtoMajor != 1 || r.ContentLength <= 0 {
		return nil
	}
	return &ahead{socket: c.socket()}
}

// whole reports whether there is one.
func (a *ahead) whole() bool {
	if a == nil {
		return false
	}
	if a.records == 0 {
		a.records = h1.Arrived(a.socket) / h1.RecordSize
	}
	return a.records > 0
}

// took says that a Read gave n bytes: of TLS what is in one record at most, of a
// plain connection as much as fits.
func (a *ahead) took(n int) {
	if a != nil {
		a.records = max(0, a.records-1-n/h1.RecordSize)
	}
}
