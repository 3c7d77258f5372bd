package proxy

import (
	"errors"
	"io"
	"net/http"
)

// spend takes one request from the run's budget, and lets its body count. What
// could not be recorded, or is known to be over the budget, is not begun.
func (x *exchange) spend(r *http.Request) *Denial {
	if x.wire.mustRecord && x.wire.audit.Healthy() != nil {
		return &Denial{Code: Overloaded, Message: "the audit record can't be written, and nothing is sent without one",
			Hint: "operator: see the log for the cause; audit.on_failure in latchgate.toml says what happens then"}
	}
	if x.run.requests.Add(1) > x.run.maxRequests && x.run.maxRequests > 0 {
		return &Denial{Code: BudgetExhausted, Message: "the run has used up its requests"}
	}
	if left := x.run.maxBytes - x.run.bytes.Load(); x.run.maxBytes > 0 && (left <= 0 || r.ContentLength > left) {
		return bytesUsedUp(nil)
	}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		r.Body = &meteredBody{r.Body, x}
	}
	return nil
}

// take counts n bytes of a body, and says how many of them the run may have.
// Once that is less than n, the error is errBytesUsedUp.
func (r *Run) take(n int) (int, error) {
	over := r.bytes.Add(int64(n)) - r.maxBytes
	if r.maxBytes == 0 || over <= 0 {
		return n, nil
	}
	return max(0, n-int(min(over, int64(n)))), errBytesUsedUp
}

var errBytesUsedUp = errors.New("the run has used up its bytes")

func bytesUsedUp(cause error) *Denial {
	return &Denial{Code: BudgetExhausted, Message: errBytesUsedUp.Error(), Cause: cause}
}

// meteredBody counts a request's body. One that goes over the budget breaks
// off: the upstream never takes a part of it for the whole.
type meteredBody struct {
	io.ReadCloser
	x *exchange
}

func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.x.received.Add(int64(n))
	if n, over := b.x.run.take(n); over != nil {
		return n, over
	}
	return n, err
}

// meteredStream counts what a WebSocket carries to and from the upstream. What
// is over the budget ends it: the error is the [Denial].
type meteredStream struct {
	io.ReadWriteCloser
	x *exchange
}

func (s *meteredStream) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	s.x.returned.Add(int64(n))
	if n, over := s.x.run.take(n); over != nil {
		return n, bytesUsedUp(over)
	}
	return n, err
}

// Write stops with the run, whatever keeps the two sides from being told.
func (s *meteredStream) Write(p []byte) (int, error) {
	if s.x.run.ctx.Err() != nil {
		return 0, errEnded
	}
	s.x.received.Add(int64(len(p)))
	n, over := s.x.run.take(len(p))
	if n, err := s.ReadWriteCloser.Write(p[:n]); err != nil || over == nil {
		return n, err
	}
	return n, bytesUsedUp(over)
}
