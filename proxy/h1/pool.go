package h1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// Options say how a [Client] reaches upstreams. All must be set.
type Options struct {
	Dial             func(ctx context.Context, network, address string) (net.Conn, error)
	TLS              *tls.Config // ServerName and NextProtos are set for each connection
	HandshakeTimeout time.Duration
	IdleTimeout      time.Duration // of a connection that waits for its next request
	MaxIdlePerHost   int
	MaxIdle          int // of all hosts
}

// Client sends HTTP/1.1 requests on the caller's goroutine, over connections
// that it keeps for the next request. It starts no goroutine.
type Client struct {
	o Options

	mu     sync.Mutex
	idle   map[origin][]*conn // the one used last is the last
	n      int                // of idle, all hosts
	closed bool
	sweep  *time.Timer // runs while there are idle connections
}

// origin is what a connection leads to: requests of one may share connections.
type origin struct{ scheme, authority string }

// NewClient makes a client without connections.
func NewClient(o Options) *Client { return &Client{o: o, idle: map[origin][]*conn{}} }

// Close closes the idle connections. Those in use are closed when their
// exchange is over.
func (c *Client) Close() {
	c.mu.Lock()
	all := c.idle
	c.idle, c.n, c.closed = nil, 0, true
	if c.sweep != nil {
		c.sweep.Stop()
	}
	c.mu.Unlock()
	for _, conns := range all {
		for _, uc := range conns {
			uc.close()
		}
	}
}

// conn is a connection to an upstream.
type conn struct {
	net.Conn
	origin origin
	socket *socket       // nil: not to be looked at, so not used twice
	br     *bufio.Reader // nil while idle
	buffer []byte        // br's
	dirty  int           // how much of buffer was written to, at most
	left   int64         // how much of a head may still be read; -1 once it is there
	sent   int           // of the request
	since  time.Time     // idle since

	interrupt func() // ends a read or write under way, made once
}

// Read satisfies io.Reader for br. An upstream that sends a head without an end
// must not fill the memory.
func (uc *conn) Read(p []byte) (n int, err error) {
	if len(p) == readerSize {
		uc.buffer = p // bufio reads into its own buffer, at first into all of it
	}
	switch {
	case uc.left < 0:
		n, err = uc.Conn.Read(p)
	case uc.left == 0:
		return 0, errLongAnswer
	default:
		n, err = uc.Conn.Read(p[:min(int64(len(p)), uc.left)])
		uc.left -= int64(n)
	}
	uc.dirty += n
	return n, err
}

// Write counts what of a request is on its way.
func (uc *conn) Write(p []byte) (int, error) {
	uc.sent += len(p)
	return uc.Conn.Write(p)
}

// get returns an idle connection that is still open, or a new one.
func (c *Client) get(ctx context.Context, o origin) (uc *conn, reused bool, err error) {
	for {
		uc := c.take(o)
		if uc == nil {
			uc, err = c.dial(ctx, o)
			return uc, false, err
		}
		if time.Since(uc.since) < c.o.IdleTimeout && uc.socket.alive() {
			return uc, true, nil
		}
		uc.close()
	}
}

func (c *Client) take(o origin) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	conns := c.idle[o]
	if len(conns) == 0 {
		return nil
	}
	last := len(conns) - 1
	uc := conns[last]
	conns[last] = nil
	c.idle[o] = conns[:last]
	c.n--
	return uc
}

// put keeps uc for the next request.
func (c *Client) put(uc *conn) {
	if uc.socket == nil || uc.saidMore() {
		uc.close()
		return
	}
	uc.putReader()
	uc.since = time.Now()
	if old := c.keep(uc); old != nil {
		old.close()
	}
}

// keep makes uc idle, and returns the connection that there is no room for.
func (c *Client) keep(uc *conn) (surplus *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle[uc.origin]) >= c.o.MaxIdlePerHost {
		return uc
	}
	if c.n >= c.o.MaxIdle {
		surplus = c.evict()
	}
	c.idle[uc.origin] = append(c.idle[uc.origin], uc)
	c.n++
	if c.sweep == nil {
		c.sweep = time.AfterFunc(c.o.IdleTimeout, c.expire)
	} else if c.n == 1 {
		c.sweep.Reset(c.o.IdleTimeout)
	}
	return surplus
}

// evict takes out the connection that was idle for longest at a few hosts; the
// range begins at any of them. To find the one of all would take longer than to
// connect anew.
func (c *Client) evict() *conn {
	var oldest *conn
	seen := 0
	for _, conns := range c.idle {
		if len(conns) > 0 && (oldest == nil || conns[0].since.Before(oldest.since)) {
			oldest = conns[0]
		}
		if seen++; seen >= 16 && oldest != nil {
			break
		}
	}
	if oldest != nil {
		c.drop(oldest.origin, 1)
	}
	return oldest
}

// drop forgets the first i connections of o.
func (c *Client) drop(o origin, i int) {
	c.n -= i
	if rest := c.idle[o][i:]; len(rest) > 0 {
		c.idle[o] = append([]*conn(nil), rest...)
	} else {
		delete(c.idle, o)
	}
}

// expire closes what was idle for too long.
func (c *Client) expire() {
	c.mu.Lock()
	var old []*conn
	for o, conns := range c.idle {
		i := 0
		for i < len(conns) && time.Since(conns[i].since) >= c.o.IdleTimeout {
			i++
		}
		old = append(old, conns[:i]...)
		c.drop(o, i)
	}
	if c.n > 0 {
		c.sweep.Reset(c.o.IdleTimeout / 4)
	}
	c.mu.Unlock()
	for _, uc := range old {
		uc.close()
	}
}

func (c *Client) dial(ctx context.Context, o origin) (*conn, error) {
	raw, err := c.o.Dial(ctx, "tcp", o.authority)
	if err != nil {
		return nil, err
	}
	uc := &conn{Conn: raw, origin: o, socket: socketOf(raw)}
	if uc.socket != nil {
		raw, uc.Conn = uc.socket, uc.socket
	}
	if o.scheme == "https" {
		if uc.Conn, err = c.handshake(ctx, raw, o.authority); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	uc.interrupt = func() { _ = uc.SetDeadline(past) }
	return uc, nil
}

func (c *Client) handshake(ctx context.Context, raw net.Conn, authority string) (net.Conn, error) {
	cfg := c.o.TLS.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	var err error
	if cfg.ServerName, _, err = net.SplitHostPort(authority); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.HandshakeTimeout)
	defer cancel()
	tc := tls.Client(raw, cfg)
	return tc, tc.HandshakeContext(ctx)
}

// saidMore reports whether more came with the answer than was asked for. It may be in
// a TLS record of its own, which is in no socket any more to be seen by a peek.
func (uc *conn) saidMore() bool {
	uc.socket.dry = true
	_, err := uc.br.Peek(1)
	uc.socket.dry = false
	return !errors.Is(err, errDry)
}

// errDry is that of a read that would have gone to the socket. To crypto/tls it has to
// be one that passes.
var errDry net.Error = dryError{}

type dryError struct{}

func (dryError) Error() string   { return "nothing more was received" }
func (dryError) Timeout() bool   { return true }
func (dryError) Temporary() bool { return true }

// close ends the connection at once; an exchange that is cut has nothing more
// to say.
func (uc *conn) close() {
	if uc.br != nil {
		uc.putReader()
	}
	_ = uc.Conn.Close()
}

// readerSize holds a TLS record: a small answer is there in one piece.
const readerSize = 16 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readerSize) }}

func (uc *conn) getReader() {
	uc.br = readers.Get().(*bufio.Reader)
	uc.br.Reset(uc)
}

// putReader gives the buffer back without what was in it: the upstream may have
// echoed a secret.
func (uc *conn) putReader() {
	clear(uc.buffer[:min(uc.dirty, len(uc.buffer))])
	uc.br.Reset(nil)
	readers.Put(uc.br)
	uc.br, uc.buffer, uc.dirty = nil, nil, 0
}
