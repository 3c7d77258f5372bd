package proxy

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/latchgate/latchgate/proxy/h1"
)

// descriptors is how many file descriptors the process may have open.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<22))
}

// maxConnections is how many client connections are served at once where n
// descriptors may be open: each may need a second one, to its upstream, and
// some are for everything else: idle upstreams, the secrets file, sops, the log.
func maxConnections(n int) int { return (n - min(n/4, 512)) / 2 }

// slots bounds the connections of a door. With one more than that the process
// would run out of descriptors at some other place, where nobody can say so.
type slots struct {
	limit    atomic.Int64
	open     atomic.Int64
	told     atomic.Bool // that the limit was reached, since it was last far away
	refusing atomic.Int64
	wg       sync.WaitGroup
	metrics  *Metrics
	log      *slog.Logger
}

// Of the connections beyond the limit so many are told why, for so long. The
// others are closed.
const (
	maxRefusing    = 64
	refusalTime    = 2 * time.Second
	maxRefusedHead = 64 << 10 // bytes
)

func newSlots(m *Metrics, log *slog.Logger) *slots {
	s := &slots{metrics: m, log: log}
	s.limit.Store(int64(maxConnections(descriptors())))
	return s
}

// bound is ln with the connections beyond the limit answered with 503.
func (s *slots) bound(ln net.Listener) net.Listener { return &boundListener{ln, s} }

type boundListener struct {
	net.Listener
	slots *slots
}

// Accept satisfies net.Listener.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.slots.open.Add(1) <= l.slots.limit.Load() {
			return &boundConn{Conn: h1.Socket(c), slots: l.slots}, nil
		}
		l.slots.open.Add(-1)
		l.slots.turnAway(c)
	}
}

// boundConn gives its slot back when it is closed.
type boundConn struct {
	net.Conn
	slots *slots
	once  sync.Once
}

// Close satisfies net.Conn.
func (c *boundConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		if left := c.slots.open.Add(-1); left < c.slots.limit.Load()/2 {
			c.slots.told.Store(false)
		}
	})
	return err
}

// CloseWrite half-closes, so that an end of stream is passed on.
func (c *boundConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

var overloaded = &Denial{Code: Overloaded, Message: "latchgate serves as many connections as it can",
	Hint: "try again in a moment; operator: raise the limit on open files (ulimit -n, LimitNOFILE)"}

// turnAway tells a client that there is no room, if that can be done in a moment.
func (s *slots) turnAway(c net.Conn) {
	s.metrics.denied.WithLabelValues(string(Overloaded)).Inc()
	if s.told.CompareAndSwap(false, true) {
		s.log.Warn("connections refused", "code", Overloaded, "reason", overloaded.Message, "limit", s.limit.Load(), "hint", overloaded.Hint)
	}
	if s.refusing.Add(1) > maxRefusing {
		s.refusing.Add(-1)
		_ = c.Close()
		return
	}
	s.wg.Go(func() {
		defer s.refusing.Add(-1)
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(refusalTime))
		// A client takes an answer that comes before its request for a mistake,
		// and never sees one whose connection is closed on what it still sends.
		r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(c, maxRefusedHead)))
		if err != nil {
			return
		}
		resp := overloaded.response(r, "", "", "")
		resp.Close = true
		if resp.Write(c) == nil && closeWrite(c) == nil {
			_, _ = io.CopyN(io.Discard, c, maxRefusedHead)
		}
	})
}

// wait returns when all that were turned away have been told.
func (s *slots) wait() { s.wg.Wait() }
