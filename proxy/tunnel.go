package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/proxy/target"
)

// tunnel is one intercepted CONNECT. Its authority is the truth about where
// requests inside it go: SNI, Host, :authority and an absolute URL must equal it.
type tunnel struct {
	run    *Run
	anyone bool // opened without credentials: each request is the default run's of that time
	host   string
	port   uint16
	scheme string // https, or http when the client spoke no TLS inside
	// authority is host and port, as a request's URL has them.
	authority string
	field     string // what a client's Host is, in the canonical spelling
	sni       string // a server name other than host that the client asked for
}

type tunnelKey struct{}

// front answers what arrives on the listener: CONNECT, and requests in
// absolute form.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	answerAtOnce(w, r)
	w, r = closesUnread(w, r)
	run := s.runs.identify(r.Header, time.Now())
	if run == nil {
		s.refuse(w, r, nil, runUnknown)
		return
	}
	switch {
	case r.Method == http.MethodConnect:
		s.connect(w, r, run)
	case !r.URL.IsAbs() || r.URL.Host == "":
		s.refuse(w, r, run, notAbsolute)
	default:
		s.forward(w, r, run)
	}
}

var notAbsolute = &Denial{Code: BadRequest, Message: "this is a forward proxy: it takes CONNECT and absolute-form requests",
	Hint: "set HTTP_PROXY and HTTPS_PROXY to this address and ask for the real URL"}

// answerAtOnce lets an answer go out before the request's body came in; net/http
// would wait for up to 256 KiB of it, and a client may wait for the answer. What
// another run's end has left of [endWithRun] on the connection is taken off it.
func answerAtOnce(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 { // streams are by themselves
		c := http.NewResponseController(w)
		_ = c.EnableFullDuplex()
		_ = c.SetWriteDeadline(time.Time{})
	}
}

// connect answers a CONNECT that a loop did not take.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, run *Run) {
	if !s.enter() {
		s.refuse(w, r, run, shuttingDown)
		return
	}
	defer s.connects.Done()
	x, t, upstream, denied := s.open(r, run)
	if denied != nil {
		writeResponse(w, x.refuse(r, denied))
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		if upstream != nil {
			_ = upstream.Close()
		}
		return
	}
	client := &replayConn{Conn: c, early: rw.Reader}
	if upstream != nil {
		s.relay(client, upstream, x)
		return
	}
	l := &loop{s: s, raw: c, conn: c}
	l.in.Conn = client
	l.br = loopReaders.Get().(*bufio.Reader)
	l.br.Reset(&l.in)
	if s.loops.add(l) {
		go l.begin(t)
	} else {
		_ = c.Close()
	}
}

// connect answers a CONNECT (RFC 9110 section 9.3.6). The tunnel is for the loop
// to enter; without one the connection lives on or not.
func (l *loop) connect(r *http.Request, run *Run) (t *tunnel, lives bool) {
	s := l.s
	if run == nil {
		return nil, l.write(r, s.refusal(r, nil, runUnknown), r.Close)
	}
	if !s.enter() {
		return nil, l.write(r, s.refusal(r, run, shuttingDown), true)
	}
	defer s.connects.Done()
	x, t, upstream, denied := s.open(r, run)
	if denied != nil {
		return nil, l.write(r, x.refuse(r, denied), r.Close)
	}
	if upstream == nil {
		return t, true
	}
	client := &replayConn{Conn: l.conn, early: l.br}
	l.br = nil
	_ = l.conn.SetReadDeadline(time.Time{})
	s.relay(client, upstream, x)
	return nil, false
}

// open decides what a CONNECT opens: the tunnel that is intercepted, or the
// upstream's end of a blind one.
func (s *Server) open(r *http.Request, run *Run) (x *exchange, t *tunnel, upstream net.Conn, denied *Denial) {
	wire := s.wire.Load()
	x = &exchange{wire: wire, run: run, started: wire.now(), method: r.Method, target: target.Target{Scheme: "https"}}
	t, denied = x.connectTarget(r)
	if denied == nil && !x.route.intercept && (x.route.blind || !wire.policy.HasRequest()) {
		upstream, denied = s.dialBlind(r, x)
	}
	return x, t, upstream, denied
}

// connectTarget is steps 2 and 3 for a CONNECT: the canonical authority, and
// whether the run may go there at all.
func (x *exchange) connectTarget(r *http.Request) (*tunnel, *Denial) {
	host, port, err := target.ParseAuthority(r.RequestURI, 0)
	if err != nil {
		return nil, &Denial{Code: BadRequest, Message: err.Error()}
	}
	x.target.Host, x.target.Port = host, port
	if denied := x.run.tripInHost(host); denied != nil {
		return nil, denied
	}
	a := authority{host, port}
	if x.route = x.run.route(a); x.route == nil {
		return nil, x.run.denyHost(a)
	}
	x.action = &x.route.paths[0]
	return &tunnel{run: x.run, anyone: len(r.Header["Proxy-Authorization"]) == 0, host: host, port: port, authority: x.target.Authority()}, nil
}

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// begin enters a tunnel whose CONNECT came another way.
func (l *loop) begin(t *tunnel) {
	moved := false
	defer l.end(&moved)
	if l.enter(t) {
		moved = true
		go l.run()
	}
}

// enter tells the client that the tunnel is there, finds out what it speaks
// inside, TLS or plain HTTP (some clients use CONNECT for both), and makes that
// what the loop speaks. It is false when the connection ends or went to the
// inner server.
func (l *loop) enter(t *tunnel) bool {
	_ = l.conn.SetDeadline(time.Now().Add(l.s.header)) // for the handshake too
	if _, err := io.WriteString(l.conn, established); err != nil {
		return false
	}
	var first []byte
	if !l.rest(func() (err error) { first, err = l.br.Peek(1); return err }) {
		return false
	}
	if l.scope != nil {
		l.scope.end()
		l.scope = nil
	}
	l.tunnel = t
	t.speaks(first[0])
	tc := &tunnelConn{replayConn: &replayConn{Conn: l.in.Conn, early: l.br, pooled: true}, tunnel: t, server: l.s}
	tc.endWithRun()
	l.s.metrics.intercepted.Inc()
	l.conn, l.br, l.in = tc, nil, incoming{}
	if t.scheme == "https" {
		session := tls.Server(tc, l.s.tls)
		l.conn, tc.session = session, session
		if session.Handshake() != nil {
			return false
		}
		if session.ConnectionState().NegotiatedProtocol == "h2" {
			_ = session.SetDeadline(time.Time{})
			tc.streams = true
			l.handOver(session)
			return false
		}
	}
	_ = l.conn.SetDeadline(time.Time{})
	return true
}

// speaks settles what is spoken inside, by the first byte.
func (t *tunnel) speaks(first byte) {
	t.scheme = "http"
	if first == 0x16 { // a TLS handshake record (RFC 8446 section 5.1)
		t.scheme = "https"
	}
	t.field = t.target().HostHeader()
}

// tunnelTLS is the one configuration of all intercepted tunnels; were it made
// anew for each, no client could ever resume a session.
func (s *Server) tunnelTLS(ca *certs.CA) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// A client that offers HTTP/1.0 alone must find it here (curl --http1.0):
		// an offer without a match ends the handshake (RFC 7301 section 3.2).
		NextProtos: []string{"h2", "http/1.1", "http/1.0"},
		// Small records help a client that renders a page while it loads, and cost everyone else.
		DynamicRecordSizingDisabled: true,
		// Asked for every ClientHello; GetCertificate is not when a session is resumed.
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			t := hello.Conn.(*tunnelConn).tunnel
			if name := hello.ServerName; name != "" {
				if host, _, err := target.ParseAuthority(name, t.port); err != nil || host != t.host {
					t.sni = "other" // answered with 421 once there is a request to answer
				}
			}
			return nil, nil
		},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return ca.Leaf(hello.Conn.(*tunnelConn).tunnel.host)
		},
	}
}

// inside answers a request that came through an intercepted tunnel.
func (s *Server) inside(w http.ResponseWriter, r *http.Request) {
	answerAtOnce(w, r)
	w, r = closesUnread(w, r)
	if run := s.admits(w, r); run != nil {
		s.forward(w, r, run)
	}
}

// admits makes the checks of a tunnel's door. It is nil when it has answered itself.
func (s *Server) admits(w http.ResponseWriter, r *http.Request) *Run {
	t := tunnelIn(r.Context())
	run := s.runOf(t)
	if run == nil {
		w.Header().Set("Connection", "close")
		s.refuse(w, r, t.run, runUnknown)
		return nil
	}
	if denied := t.mismatch(r); denied != nil {
		s.refuse(w, r, run, denied)
		return nil
	}
	t.direct(r)
	return run
}

// runOf is step 1 for a request inside a tunnel, nil when its run has ended.
func (s *Server) runOf(t *tunnel) *Run {
	run, now := t.run, time.Now()
	if t.anyone {
		run = s.runs.identify(nil, now)
	}
	if run == nil || !run.alive(now) {
		return nil
	}
	return run
}

// mismatch keeps the tunnel's authority the truth.
func (t *tunnel) mismatch(r *http.Request) *Denial {
	wrong := func(what string) *Denial {
		return &Denial{Code: TargetMismatch, Message: what + " is not the host that the tunnel was opened to"}
	}
	if t.sni != "" {
		return wrong("the TLS server name")
	}
	if r.Method == http.MethodConnect {
		return &Denial{Code: BadRequest, Message: "no CONNECT inside a tunnel"}
	}
	if r.Host != t.field && !t.is(r.Host) {
		return wrong("the Host")
	}
	if r.URL.IsAbs() || r.URL.Host != "" {
		if u, _, err := target.FromURL(r.URL); err != nil || u.Scheme != t.scheme || u.Host != t.host || u.Port != t.port {
			return wrong("the absolute URL")
		}
	}
	return nil
}

// is reports whether a Host names the tunnel's authority.
func (t *tunnel) is(field string) bool {
	defaultPort := uint16(443)
	if t.scheme == "http" {
		defaultPort = 80
	}
	host, port, err := target.ParseAuthority(field, defaultPort)
	return err == nil && host == t.host && port == t.port
}

// target is where the requests inside go.
func (t *tunnel) target() target.Target {
	return target.Target{Scheme: t.scheme, Host: t.host, Port: t.port}
}

// direct gives a request that was checked the tunnel's authority as its target.
func (t *tunnel) direct(r *http.Request) {
	r.URL.Scheme, r.URL.Host = t.scheme, t.authority
}
