package proxy

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// dialBlind opens the upstream side of a blind tunnel, before the client is
// told that there is one.
func (s *Server) dialBlind(connect *http.Request, x *exchange) (net.Conn, *Denial) {
	// The policy can't see requests in here: it is asked once, for the tunnel.
	if denied := x.askPolicy(http.MethodConnect, ""); denied != nil {
		return nil, denied
	}
	if denied := x.spend(connect); denied != nil {
		return nil, denied
	}
	ctx, cancel := context.WithTimeout(connect.Context(), dialTimeout)
	defer cancel()
	defer context.AfterFunc(x.run.ctx, cancel)()
	c, err := x.wire.up.tunnel(ctx, x.target.Host, x.target.Authority())
	if err != nil {
		if x.run.ctx.Err() != nil {
			return nil, runUnknown
		}
		return nil, sendDenial(connect.Context(), err)
	}
	return c, nil
}

// relay copies a blind tunnel both ways until both sides have ended, nothing
// happened for the idle time, the run ended, or the server was shut down.
func (s *Server) relay(client *replayConn, upstream net.Conn, x *exchange) {
	gauge := s.metrics.tunnels.WithLabelValues("blind")
	gauge.Inc()
	defer gauge.Dec()
	shut := func() { _ = client.Close(); _ = upstream.Close() }
	defer shut()
	defer context.AfterFunc(s.ctx, shut)()
	defer context.AfterFunc(x.run.ctx, shut)()
	x.status = http.StatusOK
	if _, err := io.WriteString(client.Conn, established); err == nil {
		watch := newIdleWatch(s.idle, shut)
		var wg sync.WaitGroup
		wg.Go(func() { pipe(upstream, client, watch, x.run, &x.received) })
		pipe(client, upstream, watch, x.run, &x.returned)
		wg.Wait()
		watch.timer.Stop()
	}
	x.record(nil)
}

// pipe copies one direction and passes the end of the stream on. It waits with
// a small buffer, and takes a large one while there is much to read: most
// tunnels are idle most of the time. Bytes over the run's budget end the tunnel.
func pipe(dst, src net.Conn, watch *idleWatch, run *Run, count *atomic.Int64) {
	var large *[]byte
	defer func() {
		if large != nil {
			copyBuffers.Put(large)
		}
	}()
	small := make([]byte, 2<<10)
	for {
		buf := small
		if large != nil {
			buf = *large
		}
		n, err := src.Read(buf)
		if n > 0 {
			watch.touch()
			count.Add(int64(n))
			n, over := run.take(n)
			if _, werr := dst.Write(buf[:n]); werr != nil || over != nil {
				watch.shut()
				return
			}
		}
		switch {
		case large == nil && n == len(small):
			large = copyBuffers.Get().(*[]byte)
		case large != nil && n < len(small):
			copyBuffers.Put(large)
			large = nil
		}
		if err != nil {
			h, ok := dst.(interface{ CloseWrite() error })
			if !errors.Is(err, io.EOF) || !ok || h.CloseWrite() != nil {
				watch.shut()
			}
			return
		}
	}
}

// idleWatch ends a tunnel on which nothing happened for limit. touch is cheap:
// the timer is looked at only when it fires.
type idleWatch struct {
	limit time.Duration
	last  atomic.Int64 // nanoseconds since the epoch
	timer *time.Timer
	shut  func()
}

func newIdleWatch(limit time.Duration, shut func()) *idleWatch {
	w := &idleWatch{limit: limit, shut: shut}
	w.touch()
	w.timer = time.AfterFunc(math.MaxInt64, w.expire) // written before it can fire
	w.timer.Reset(limit)
	return w
}

func (w *idleWatch) touch() { w.last.Store(time.Now().UnixNano()) }

func (w *idleWatch) expire() {
	if left := w.limit - time.Since(time.Unix(0, w.last.Load())); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.shut()
}
