package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchgate/latchgate/proxy/h1"
)

// loop serves the HTTP/1.1 requests that come on one connection, on one goroutine,
// from the client's bytes to the upstream's and back; a CONNECT makes it the
// loop of the tunnel. It takes requests that package h1 takes, with no body or one
// that is there at once; at the first other one the connection goes, with all its
// unread bytes, to an http.Server for the rest of its life.
type loop struct {
	s      *Server
	raw    net.Conn // as it was accepted
	conn   net.Conn // what is spoken on: raw, or what the tunnel carries
	tunnel *tunnel  // nil outside
	state  atomic.Int32
	in     incoming
	br     *bufio.Reader // of in; nil while the connection is idle
	scope  *scope
	watch  watch
}

// What a loop does, as far as a drain has to know.
const (
	busy int32 = iota
	idle
	over // nothing is read from it any more
)

// serve serves c on a goroutine of its own.
func (s *Server) serve(l *loop) {
	if !s.loops.add(l) {
		_ = l.conn.Close()
		return
	}
	go l.run()
}

// run serves requests until the connection ends or belongs to somebody else.
func (l *loop) run() {
	moved := false
	defer l.end(&moved)
	for limit := l.s.header; l.await(limit); limit = l.s.idle {
		r, run, err := l.read()
		switch {
		case errors.Is(err, errNotPlain):
			_ = l.conn.SetReadDeadline(time.Time{})
			l.handOver(&replayConn{Conn: l.conn, early: l.br})
			return
		case err != nil:
			return
		case l.tunnel == nil && r.Method == http.MethodConnect:
			t, lives := l.connect(r, run)
			if t != nil && l.enter(t) {
				moved = true
				go l.run() // a handshake makes a large stack, which an idle tunnel must not keep
				return
			}
			if t != nil || !lives {
				return
			}
		case !l.answer(r, run):
			return
		}
	}
}

// end lets go of the connection, whatever happened on it, unless it moved on.
func (l *loop) end(moved *bool) {
	if p := recover(); p != nil {
		l.s.log.Error("a panic ended a connection", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	}
	if *moved {
		return
	}
	l.scope.end()
	if l.conn != nil {
		_ = l.conn.Close()
		l.putReader()
	}
	l.s.loops.remove(l)
}

// handOver gives the connection to the http.Server of its kind.
func (l *loop) handOver(conn net.Conn) {
	to := l.s.tunnels
	if l.tunnel == nil {
		to = l.s.others
	}
	l.conn, l.br = nil, nil
	to.put(conn)
}

// await waits for the first bytes of a request, without a buffer. It is false
// when there will be none.
func (l *loop) await(limit time.Duration) bool {
	if l.br != nil && l.br.Buffered() > 0 {
		return true
	}
	l.putReader()
	l.in.Conn = l.conn
	l.in.allow(limit)
	if !l.rest(l.in.begin) {
		return false
	}
	l.br = loopReaders.Get().(*bufio.Reader)
	l.br.Reset(&l.in)
	return true
}

// rest is for a read that a drain may end. It is false when nothing was read, or
// may be any more.
func (l *loop) rest(read func() error) bool {
	l.state.Store(idle)
	if l.s.draining.Load() {
		return false
	}
	return read() == nil && l.state.CompareAndSwap(idle, busy)
}

func (l *loop) putReader() {
	if l.br != nil {
		l.br.Reset(nil)
		loopReaders.Put(l.br)
		l.br = nil
	}
}

// incoming is what a loop reads from: its connection, with the bytes in front that
// it was waiting for. Most heads are among them whole, and no deadline is set for these:
// that takes as long as to read one.
type incoming struct {
	net.Conn
	due    time.Time     // the connection's read deadline; zero: not known
	head   time.Duration // the limit of a Read that waits for the rest of a head; 0: it has none
	space  [512]byte
	unread []byte // of space
}

// allow lets the next Read wait for limit, or a little longer where that spares
// setting a deadline.
func (in *incoming) allow(limit time.Duration) {
	least, slack := time.Now().Add(limit), limit/16
	if in.due.Before(least) || in.due.After(least.Add(slack)) {
		in.due = least.Add(slack)
		_ = in.SetReadDeadline(in.due)
	}
}

// begin waits for the first bytes.
func (in *incoming) begin() error {
	n, err := in.Conn.Read(in.space[:])
	in.unread = in.space[:n]
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// Read satisfies io.Reader for br.
func (in *incoming) Read(p []byte) (int, error) {
	if len(in.unread) > 0 {
		n := copy(p, in.unread)
		in.unread = in.unread[n:]
		return n, nil
	}
	if in.head > 0 {
		in.limit(in.head)
		in.head = 0
	}
	return in.Conn.Read(p)
}

// limit lets reads wait until limit from now, and no longer.
func (in *incoming) limit(limit time.Duration) {
	in.due = time.Time{}
	_ = in.SetReadDeadline(time.Now().Add(limit))
}

// loopBuffer bounds a request that the loop takes, head and body.
const loopBuffer = 16 << 10

var (
	loopReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, loopBuffer) }}
	loopWriters = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, loopBuffer) }}
)

var errNotPlain = errors.New("not a request for the loop")

// bodyWait is how long a body that fits into the buffer may take to follow its
// head, as it does in the next packet with many clients. Nothing is refused
// after it: the inner server streams the rest.
const bodyWait = 20 * time.Millisecond

// read reads a request whole, and finds the run that it belongs to: nil when
// that has ended. After errNotPlain all of it is still in br.
func (l *loop) read() (*http.Request, *Run, error) {
	l.in.head = l.s.header
	n, err := h1.Head(l.br)
	l.in.head = 0
	if errors.Is(err, h1.ErrLongHead) {
		return nil, nil, errNotPlain
	}
	if err != nil {
		return nil, nil, err
	}
	var run *Run
	if l.tunnel != nil {
		run = l.s.runOf(l.tunnel)
	}
	head, _ := l.br.Peek(n)
	r, ok := h1.ParseRequest(l.within(run), head)
	if !ok || r.ContentLength > int64(l.br.Size()-n) {
		return nil, nil, errNotPlain
	}
	if size := int(r.ContentLength); size > 0 {
		if l.br.Buffered() < n+size {
			l.in.limit(bodyWait)
		}
		whole, err := l.br.Peek(n + size)
		if err != nil {
			return nil, nil, errNotPlain
		}
		h1.SetBody(r, append([]byte(nil), whole[n:]...))
		n += size
	}
	_, _ = l.br.Discard(n)
	if l.tunnel == nil {
		if run = l.s.runs.identify(r.Header, time.Now()); run != nil && r.Method != http.MethodConnect {
			r = r.WithContext(l.within(run))
		}
	}
	return r, run, nil
}

// answer serves one request, and reports whether the connection lives on.
func (l *loop) answer(r *http.Request, run *Run) bool {
	l.watch.begin(l)
	defer l.watch.stop(l)
	if run != nil {
		l.scope.answers()
		defer l.scope.answered()
	}
	closing := r.Close // the wire forgets it: it is about this connection
	resp, last := l.do(r, run)
	return l.write(r, resp, last || closing)
}

// write sends an answer, and reports whether the connection lives on.
func (l *loop) write(r *http.Request, resp *http.Response, last bool) bool {
	closed := false
	defer func() {
		if !closed {
			_ = resp.Body.Close()
		}
	}()
	bw := loopWriters.Get().(*bufio.Writer)
	bw.Reset(l.conn)
	defer func() {
		bw.Reset(nil)
		loopWriters.Put(bw)
	}()
	last = last || l.s.draining.Load()
	if err := h1.WriteResponse(bw, wholeWrites(l.conn), resp, r.Method, last); err != nil {
		return false
	}
	closed = true
	_ = resp.Body.Close() // records the exchange, before the client can know that it is over
	return bw.Flush() == nil && !last
}

// do takes a request through the checks of its door and the wire. last says that
// the connection ends with this answer.
func (l *loop) do(r *http.Request, run *Run) (resp *http.Response, last bool) {
	s, t := l.s, l.tunnel
	switch {
	case run == nil && t != nil:
		return s.refusal(r, t.run, runUnknown), true
	case run == nil:
		return s.refusal(r, nil, runUnknown), false
	case t != nil:
		if denied := t.mismatch(r); denied != nil {
			return s.refusal(r, run, denied), false
		}
		t.direct(r)
	case r.URL.Host == "":
		return s.refusal(r, run, notAbsolute), false
	}
	if s.draining.Load() {
		return s.refusal(r, run, shuttingDown), true
	}
	if t != nil {
		return s.wire.Load().doInside(t, run, r), false
	}
	return s.wire.Load().Do(run, r), false
}

// within is the context of the run's exchanges on this connection.
func (l *loop) within(run *Run) context.Context {
	if run == nil {
		return l.s.ctx
	}
	if l.scope == nil || l.scope.run != run {
		l.scope.end()
		l.scope = newScope(l.s.ctx, run)
		l.scope.pass, l.scope.cut = l.inform, func() { _ = l.raw.Close() }
	}
	return l.scope
}

// inform writes an informational answer; nothing else writes until the final one
// is there.
func (l *loop) inform(status int, h http.Header) {
	bw := loopWriters.Get().(*bufio.Writer)
	bw.Reset(l.conn)
	h1.WriteInformational(bw, status, h)
	_ = bw.Flush() // a fault is seen when the final answer is written
	bw.Reset(nil)
	loopWriters.Put(bw)
}
