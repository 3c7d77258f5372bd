package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elazarl/goproxy"

	"github.com/latchgate/latchgate/certs"
)

// ServerConfig is what a [Server] is made of; all but the durations must be
// set. Durations of 0 take the defaults of design section 4.
type ServerConfig struct {
	Wire          *Wire
	Runs          *Runs
	CA            *certs.CA
	Metrics       *Metrics
	Log           *slog.Logger
	HeaderTimeout time.Duration // a client's request head, its first bytes in a tunnel, its TLS handshake; 30s
	IdleTimeout   time.Duration // a connection or tunnel on which nothing happens; 120s
}

// maxHeadBytes bounds a request head.
const maxHeadBytes = 256 << 10

// Server is the agent's door: an HTTP/1.1 forward proxy that takes plain
// requests and CONNECT.
//
// goproxy forwards what neither a loop nor HTTP/2's stream takes, and is kept to that. It never sees a CONNECT:
// its own interception lets the inner Host retarget a request, sets no
// deadlines, recovers no panic and tracks no goroutine. Here an intercepted
// connection, and the tunnel in it, is served by a loop (loop.go) that takes plain
// HTTP/1.1 requests straight to the Wire. HTTP/2, and whatever is not plain, goes
// into a net/http.Server, outer or inner, which has limits on heads, deadlines,
// recovery and Shutdown; what comes out of the inner one is checked against the
// tunnel's authority. What is left is handed to goproxy as an absolute request,
// with the Wire as its transport.
type Server struct {
	wire    atomic.Pointer[Wire]
	runs    *Runs
	metrics *Metrics
	log     *slog.Logger
	header  time.Duration
	idle    time.Duration

	forwarder *goproxy.ProxyHttpServer
	outer     *http.Server
	inner     *http.Server
	others    *connQueue // connections for outer
	tunnels   *connQueue // and for inner
	loops     loops
	tls       *tls.Config
	slots     *slots

	admit    sync.Mutex // a CONNECT is counted in connects, or sees draining
	draining atomic.Bool
	connects sync.WaitGroup  // until handed to the inner server, blind tunnels until they end
	serving  context.Context // ends when draining begins: cuts tunnels in which nothing was said yet
	drain    context.CancelFunc
	ctx      context.Context // ends when the drain time is over: cuts blind tunnels
	cut      context.CancelFunc
}

// NewServer makes a server that is ready to [Server.Serve].
func NewServer(c ServerConfig) *Server {
	s := &Server{runs: c.Runs, metrics: c.Metrics, log: c.Log, header: c.HeaderTimeout, idle: c.IdleTimeout}
	if s.header == 0 {
		s.header = 30 * time.Second
	}
	if s.idle == 0 {
		s.idle = 120 * time.Second
	}
	s.wire.Store(c.Wire)
	s.serving, s.drain = context.WithCancel(context.Background())
	s.ctx, s.cut = context.WithCancel(context.Background())
	s.others, s.tunnels, s.slots = newConnQueue(), newConnQueue(), newSlots(c.Metrics, c.Log)
	s.tls = s.tunnelTLS(c.CA)
	s.forwarder = newForwarder()
	s.outer = s.httpServer(http.HandlerFunc(s.front))
	s.inner = s.httpServer(http.HandlerFunc(s.inside))
	s.inner.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return tunnelConnOf(c).context(ctx) }
	return s
}

// SetWire makes w the wire of the requests that come from now on; those under
// way end on the one they began on.
func (s *Server) SetWire(w *Wire) { s.wire.Store(w) }

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, DisableGeneralOptionsHandler: true, ReadHeaderTimeout: s.header, IdleTimeout: s.idle, MaxHeaderBytes: maxHeadBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
}

// Serve takes connections from ln until [Server.Shutdown]. It may be called
// for several listeners.
func (s *Server) Serve(ln net.Listener) error {
	var servers sync.WaitGroup
	servers.Go(func() { _ = s.inner.Serve(s.tunnels) }) // it ends with the queue
	servers.Go(func() { _ = s.outer.Serve(s.others) })
	if err := s.accept(s.slots.bound(ln)); !s.draining.Load() {
		return err // the listener failed; what is open is served until Shutdown
	}
	servers.Wait()
	return nil
}

// accept makes a loop of each connection. A fault that may pass, as the want of
// descriptors does, is waited out.
func (s *Server) accept(ln net.Listener) error {
	defer context.AfterFunc(s.serving, func() { _ = ln.Close() })()
	const shortest, longest = 5 * time.Millisecond, time.Second
	for wait := shortest; ; {
		c, err := ln.Accept()
		if err == nil {
			wait = shortest
			s.serve(&loop{s: s, raw: c, conn: c})
			continue
		}
		if ne, ok := err.(interface{ Temporary() bool }); !ok || !ne.Temporary() || s.draining.Load() {
			return err
		}
		s.log.Warn("can't accept a connection", "cause", err, "again_in", wait)
		select {
		case <-time.After(wait):
		case <-s.serving.Done():
		}
		wait = min(2*wait, longest)
	}
}

// Refuse answers each request from here on with "draining". What is under way
// goes on; [Server.Shutdown] ends it.
func (s *Server) Refuse() {
	s.admit.Lock()
	s.draining.Store(true)
	s.admit.Unlock()
}

// Shutdown stops accepting, lets requests and tunnels finish until ctx is
// done, and then cuts what is left. It returns ctx's error if something was cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Refuse()
	s.drain()
	s.tunnels.Close()
	s.others.Close()
	var wg sync.WaitGroup
	var outer, inner error
	wg.Go(func() { outer = s.outer.Shutdown(ctx) })
	wg.Go(func() { inner = s.inner.Shutdown(ctx) })
	s.loops.drain()
	ours := make(chan struct{})
	go func() { s.connects.Wait(); s.loops.running.Wait(); close(ours) }()
	var late error
	select {
	case <-ours:
	case <-ctx.Done():
		late = ctx.Err()
	}
	wg.Wait()
	s.cut()
	s.loops.cut()
	_ = s.outer.Close()
	_ = s.inner.Close()
	<-ours
	s.loops.looks.Wait()
	s.slots.wait()
	return errors.Join(outer, inner, late)
}

// enter counts a CONNECT, unless the server is draining.
func (s *Server) enter() bool {
	s.admit.Lock()
	defer s.admit.Unlock()
	if s.draining.Load() {
		return false
	}
	s.connects.Add(1)
	return true
}

// newForwarder is goproxy as it is used here: it copies an answer to the
// client. It logs nothing (its lines hold full URLs), and keeps
// Accept-Encoding as the client sent it.
func newForwarder() *goproxy.ProxyHttpServer {
	p := goproxy.NewProxyHttpServer()
	p.Logger = quiet{}
	p.KeepAcceptEncoding = true
	p.Tr = nil // nothing is ever sent but through the wire
	p.ConnectDial = nil
	p.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		f := r.Context().Value(forwardingKey{}).(*forwarding)
		resp := f.wire.Do(f.run, r)
		resp.Body = &watchedBody{ReadCloser: resp.Body, f: f}
		return r, resp
	})
	return p
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// forwarding is one request on its way through goproxy.
type forwarding struct {
	wire   *Wire
	run    *Run
	broken bool // the answer's body broke off
}

type forwardingKey struct{}

// forward sends a request that belongs to a run through the wire.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, run *Run) {
	if s.draining.Load() {
		s.refuse(w, r, run, shuttingDown)
		return
	}
	if !tunnelIn(r.Context()).endsWith(run) {
		defer endWithRun(w, run)()
	}
	switch {
	case asksForWebSocket(r):
		s.switchProtocols(w, r, run)
	case r.ContentLength != 0:
		s.withBody(w, r, run)
	case r.ProtoMajor == 2:
		r.Body = http.NoBody // it is another one, which would be sent as a body of unknown length
		pass(w, s.stream(w, r, run))
	default:
		s.copied(w, r, run)
	}
}

// withBody makes sure that a client in the middle of an upload, which is in a Read
// that only a deadline ends, is told when the run ends.
func (s *Server) withBody(w http.ResponseWriter, r *http.Request, run *Run) {
	read := &interrupt{w: w, ahead: aheadOf(r)}
	defer read.end()
	defer context.AfterFunc(run.ctx, read.fire)()
	r = r.WithContext(context.WithValue(r.Context(), interruptKey{}, read))
	if r.ProtoMajor == 2 {
		pass(w, s.stream(w, r, run))
	} else {
		s.copied(w, r, run)
	}
}

// copied has goproxy copy the answer to the client.
func (s *Server) copied(w http.ResponseWriter, r *http.Request, run *Run) {
	f := &forwarding{wire: s.wire.Load(), run: run}
	ctx := context.WithValue(r.Context(), forwardingKey{}, f)
	if r.ProtoAtLeast(1, 1) { // HTTP/1.0 knows no informational answers
		ctx = context.WithValue(ctx, informingKey{}, inform(w))
	}
	s.forwarder.ServeHTTP(&answerWriter{ResponseWriter: w}, r.WithContext(ctx))
	if f.broken {
		// A cut body must not look like a whole one: break off here too.
		panic(http.ErrAbortHandler)
	}
}

// stream answers a request that came over HTTP/2. goproxy would do the same, with
// a copy of each header and on a stack that each stream would have to grow.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, run *Run) *http.Response {
	x := s.wire.Load().begin(run, r)
	x.inform, x.tunnelled = inform(w), tunnelIn(r.Context()).endsWith(run)
	return x.roundTrip(r)
}

// pass hands an answer on.
func pass(w http.ResponseWriter, resp *http.Response) {
	defer func() { _ = resp.Body.Close() }()
	maps.Copy(w.Header(), resp.Header)
	announced := len(resp.Trailer)
	for name := range resp.Trailer {
		w.Header().Add("Trailer", name)
	}
	a := &answerWriter{ResponseWriter: w}
	a.WriteHeader(resp.StatusCode)
	if _, err := a.ReadFrom(resp.Body); err != nil {
		panic(http.ErrAbortHandler) // a cut body must not look like a whole one
	}
	if len(resp.Trailer) == 0 {
		return
	}
	a.Flush()
	for name, values := range resp.Trailer {
		if len(resp.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		w.Header()[name] = values
	}
}

// inform writes informational answers to w.
func inform(w http.ResponseWriter) informing {
	return func(status int, h http.Header) {
		maps.Copy(w.Header(), h)
		w.WriteHeader(status)
		clear(w.Header()) // none of it is the final answer's
	}
}

var shuttingDown = &Denial{Code: Draining, Message: "latchgate is shutting down", Hint: "try again in a moment"}

// refuse answers a request that does not get as far as the wire, and records it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, run *Run, d *Denial) {
	writeResponse(w, s.refusal(r, run, d))
}

func (s *Server) refusal(r *http.Request, run *Run, d *Denial) *http.Response {
	wire := s.wire.Load()
	x := &exchange{wire: wire, run: run, started: wire.now(), method: r.Method}
	return x.refuse(r, d)
}

func writeResponse(w http.ResponseWriter, resp *http.Response) {
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// watchedBody notices that an answer broke off; goproxy only logs it.
type watchedBody struct {
	io.ReadCloser
	f *forwarding
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.f.broken = true
	}
	return n, err
}

// answerWriter is what goproxy writes an answer to. It flushes the head and
// each piece of a body whose length is not known, so that server-sent events
// and NDJSON pass at once whatever their content type.
type answerWriter struct {
	http.ResponseWriter
	stream bool
}

func (a *answerWriter) WriteHeader(status int) {
	a.ResponseWriter.WriteHeader(status)
	if a.Header()["Content-Length"] == nil && status != http.StatusNoContent && status != http.StatusNotModified {
		a.stream = true
		a.Flush()
	}
}

// Unwrap lets http.ResponseController reach the server's writer.
func (a *answerWriter) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush satisfies http.Flusher.
func (a *answerWriter) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// ReadFrom is where io.Copy in goproxy ends up.
func (a *answerWriter) ReadFrom(body io.Reader) (n int64, err error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		k, rerr := body.Read(*buf)
		if k > 0 {
			if _, err = a.Write((*buf)[:k]); err != nil {
				return n, err
			}
			if n += int64(k); a.stream {
				a.Flush()
			}
		}
		if rerr == io.EOF {
			return n, nil
		}
		if rerr != nil {
			return n, rerr
		}
	}
}
