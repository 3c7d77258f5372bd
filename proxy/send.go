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
	ctx, done, sent := r.Context(), func() {}, func() bool { return false }
	if !x.tunnelled || r.Body != nil && r.Body != http.NoBody {
		var cancel func()
		ctx, cancel, sent = upload(r)
		stop := context.AfterFunc(x.run.ctx, cancel)
		done = func() { stop(); cancel() }
	}
	before := x.wire.now()
	x.sent = true
	ctx, final := x.listen(ctx)
	resp, err := x.wire.up.RoundTrip(r.WithContext(ctx))
	final()
	gone := sent()
	x.waited = x.wire.now().Sub(before)
	if err != nil {
		done()
		return nil, x.noAnswer(r, err, gone)
	}
	x.body = exchangeBody{ReadCloser: resp.Body, x: x, done: done}
	resp.Body = &x.body
	return resp, nil
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
	x.body = exchangeBody{ReadCloser: resp.Body, x: x}
	resp.Body = &x.body
	return resp, nil
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
