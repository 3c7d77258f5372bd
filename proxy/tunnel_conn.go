package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// connQueue is the inner server's listener: tunnels arrive on a channel.
type connQueue struct {
	ch   chan net.Conn
	done chan struct{}
	once sync.Once
}

func newConnQueue() *connQueue {
	return &connQueue{ch: make(chan net.Conn), done: make(chan struct{})}
}

func (q *connQueue) put(c net.Conn) {
	select {
	case q.ch <- c:
	case <-q.done:
		_ = c.Close()
	}
}

// Accept satisfies net.Listener.
func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.ch:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close satisfies net.Listener.
func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr satisfies net.Listener.
func (q *connQueue) Addr() net.Addr { return &net.TCPAddr{} }

// replayConn gives the bytes that came with the CONNECT head first: a client
// may send its ClientHello in the same packet.
type replayConn struct {
	net.Conn
	early  *bufio.Reader
	pooled bool // early goes back to loopReaders
}

func (c *replayConn) Read(p []byte) (int, error) {
	if c.early != nil {
		if c.early.Buffered() > 0 {
			return c.early.Read(p)
		}
		if c.pooled {
			c.early.Reset(nil)
			loopReaders.Put(c.early)
		}
		c.early = nil
	}
	return c.Conn.Read(p)
}

// CloseWrite half-closes, so that a peer's end of stream is passed on.
func (c *replayConn) CloseWrite() error { return closeWrite(c.Conn) }

// tunnelConn is an intercepted tunnel's connection, for its whole life.
type tunnelConn struct {
	*replayConn
	tunnel *tunnel
	server *Server
	once   sync.Once
	stay   func() bool // whoever's run ends; nil for anyone's

	leave func() bool // the context of its requests; nil: has none that ends with the run

	streams bool      // HTTP/2 is spoken
	session *tls.Conn // that is spoken on it; nil: none
	held    held      // of session
}

// Write implements net.Conn.
func (c *tunnelConn) Write(p []byte) (int, error) {
	if c.streams {
		runtime.Gosched() // other streams get to what they have to say, which goes out together
	}
	return c.held.write(c.replayConn, p)
}

// endWithRun closes the connection some time after its run ended. A client that
// reads nothing would keep its place, of which others have need, for ever.
func (c *tunnelConn) endWithRun() {
	if c.tunnel.anyone {
		return // its requests are those of the default run of their time
	}
	raw := c.Conn
	c.stay = context.AfterFunc(c.tunnel.run.ctx, func() {
		time.AfterFunc(closePatience, func() { _ = raw.Close() })
	})
}

// endWithRun bounds what a client still takes of its answer when the run has ended:
// one that reads nothing would keep its place for ever. Call over at the answer's end.
// In a tunnel that ends with the run, [tunnelConn.endWithRun] sees to that.
func endWithRun(w http.ResponseWriter, run *Run) (over func()) {
	var mu sync.Mutex
	ended := false
	stop := context.AfterFunc(run.ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(closePatience))
		}
	})
	return func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		ended = true
	}
}

func (c *tunnelConn) Close() error {
	c.once.Do(func() { c.server.metrics.intercepted.Dec() })
	if c.stay != nil {
		c.stay()
	}
	if c.leave != nil {
		c.leave()
	}
	return c.replayConn.Close()
}

// socket is what the tunnel came on.
func (c *tunnelConn) socket() net.Conn {
	if bound, ok := c.Conn.(*boundConn); ok {
		return bound.Conn
	}
	return c.Conn
}

// tunnelConnOf finds the tunnel that a connection of the inner server belongs to.
func tunnelConnOf(c net.Conn) *tunnelConn {
	if handed, ok := c.(*replayConn); ok {
		c = handed.Conn
	}
	if tc, ok := c.(*tls.Conn); ok {
		c = tc.NetConn()
	}
	return c.(*tunnelConn)
}

// context is that of the requests that an inner server reads in the tunnel. It
// ends when the run does whose tunnel it is: one is made for a connection, not for
// a request.
func (c *tunnelConn) context(parent context.Context) context.Context {
	ctx := context.WithValue(parent, tunnelKey{}, c)
	if c.tunnel.anyone {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	c.leave = context.AfterFunc(c.tunnel.run.ctx, cancel)
	return ctx
}

// endsWith reports whether the context of the tunnel's requests ends with run.
func (t *tunnel) endsWith(run *Run) bool { return t != nil && t.run == run && !t.anyone }

// tunnelIn is nil for a request that came through no tunnel.
func tunnelIn(ctx context.Context) *tunnel {
	if c := tunnelConnIn(ctx); c != nil {
		return c.tunnel
	}
	return nil
}

// tunnelConnIn is nil as [tunnelIn] is.
func tunnelConnIn(ctx context.Context) *tunnelConn {
	c, _ := ctx.Value(tunnelKey{}).(*tunnelConn)
	return c
}
