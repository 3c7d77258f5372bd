package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/latchgate/latchgate/proxy/dialguard"
)

// send is steps 8 and 9. The request ends when the client goes away, and when
// the run does.
func (x *exchange) send(r *http.Request) (*http.Response, *Denial) {
	s := scopeOf(r.Context(), x.run)
	if s != nil && x.wire.up.inline(r) {
		s.x = x
		return x.sendInline(r)
	}
	r, on := x.begin(r)
	before := x.wire.now()
	x.sent = true
	resp, err := x.wire.up.RoundTrip(r)
	x.waited = x.wire.now().Sub(before)
	on.informing.end()
	gone := on.sent != nil && on.sent()
	if err != nil {
		on.let()
		return nil, x.noAnswer(r, err, gone)
	}
	return x.answered(resp, on.done), nil
}

// sending is what there is to end when the request was sent, and its answer read.
type sending struct {
	informing *informational
	sent      func() bool // nil: it had no body
	done      func()      // nil: its context ends by itself
}

// begin gives the request the context that it is sent with. It ends with the client
// and with the run; of a stream without a body its own one does.
func (x *exchange) begin(r *http.Request) (*http.Request, sending) {
	var on sending
	ctx := r.Context()
	if !x.tunnelled || r.Body != nil && r.Body != http.NoBody {
		var cancel func()
		ctx, cancel, on.sent = upload(r)
		stop := context.AfterFunc(x.run.ctx, cancel)
		on.done = func() { stop(); cancel() }
	}
	ctx, on.informing = x.listen(ctx)
	return r.WithContext(ctx), on
}

func (s sending) let() {
	if s.done != nil {
		s.done()
	}
}

func (x *exchange) answered(resp *http.Response, done func()) *http.Response {
	x.body = exchangeBody{ReadCloser: resp.Body, x: x, done: done}
	resp.Body = &x.body
	return resp
}

// sendInline is send on the caller's goroutine, for a request that is all there
// and whose context ends with its run.
func (x *exchange) sendInline(r *http.Request) (*http.Response, *Denial) {
	before := x.wire.now()
	x.sent = true
	resp, err := x.wire.up.exchange(r)
	x.waited = x.wire.now().Sub(before)
	if err != nil {
		return nil, x.noAnswer(r, err, false)
	}
	return x.answered(resp, nil), nil
}

// noAnswer says why there is none. gone says that it is the upstream that ended.
func (x *exchange) noAnswer(r *http.Request, err error, gone bool) *Denial {
	var dial *net.OpError
	var guarded *dialguard.Error
	if errors.As(err, &guarded) || errors.As(err, &dial) && dial.Op == "dial" {
		x.sent = false // nobody was there to be sent anything
	}
	if denied := x.tripped.Load(); denied != nil {
		return denied
	}
	if x.run.ctx.Err() != nil {
		return runUnknown
	}
	if gone {
		return upstreamDenial(err)
	}
	return sendDenial(r.Context(), err)
}
