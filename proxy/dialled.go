package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/latchgate/latchgate/proxy/h1"
)

// dialled is an upstream connection of net/http's, which always has a Read
// under way: open is done when the connection has ended.
type dialled struct {
	net.Conn
	socket net.Conn
	open   context.Context
	end    context.CancelFunc

	known   sync.Once
	streams bool // HTTP/2 is spoken
}

func newDialled(c net.Conn) *dialled {
	d := &dialled{Conn: gather(c), socket: c}
	d.open, d.end = context.WithCancel(context.Background())
	return d
}

func (d *dialled) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if err != nil {
		d.end()
	}
	return n, err
}

// Close implements net.Conn.
func (d *dialled) Close() error {
	d.end()
	return d.Conn.Close()
}

// settle is for httptrace.ClientTrace.GotConn: it waits until net/http has looked at what
// else came with the answer before, on an HTTP/1.1 connection that is used again.
// net/http does that only after it gave the connection away, and would take what
// is there for the answer to the next request, which may be another run's.
func settle(info httptrace.GotConnInfo) {
	d := dialledOf(info.Conn)
	if !info.Reused || d == nil {
		return
	}
	d.known.Do(func() {
		tc, ok := info.Conn.(*tls.Conn)
		d.streams = ok && tc.ConnectionState().NegotiatedProtocol == "h2"
	})
	if d.streams {
		return
	}
	for range 1000 { // nothing tells when net/http's reader has come round
		if h1.Waits(d.socket) || d.open.Err() != nil {
			return
		}
		time.Sleep(20 * time.Microsecond)
	}
	_ = d.Close() // the request is sent again on another
}

// dialledOf finds the dialled connection under TLS, and under that to a proxy.
func dialledOf(c net.Conn) *dialled {
	for {
		switch under := c.(type) {
		case *dialled:
			return under
		case *tls.Conn:
			c = under.NetConn()
		default:
			return nil
		}
	}
}
