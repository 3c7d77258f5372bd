package proxy

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/proxy/dialguard"
	"github.com/latchgate/latchgate/proxy/target"
	"github.com/latchgate/latchgate/tracing"
)

// Wire is the code between the two doors and the upstream. It is safe for
// concurrent use and shared by all runs.
type Wire struct {
	up         *upstream
	guard      *dialguard.Guard
	policy     *policy.Engine
	audit      *audit.Log
	metrics    *Metrics
	log        *slog.Logger
	traces     *tracing.Tracer
	maxRequest int64
	mustRecord bool
	now        func() time.Time
}

// WireConfig is what a wire is made of. Policy, Audit, Metrics and Log must
// not be nil.
type WireConfig struct {
	Policy   *policy.Engine // asked for each request where data.latchgate.request is defined
	Audit    *audit.Log
	Metrics  *Metrics
	Log      *slog.Logger
	Traces   *tracing.Tracer // nil: off
	Upstream UpstreamConfig
	// MaxRequestBytes bounds a request body; 0 means no bound.
	MaxRequestBytes int64
	// MustRecord refuses requests while the audit record can't be written.
	MustRecord bool
}

// NewWire makes a wire. Close it when the last request is done.
func NewWire(c WireConfig) (*Wire, error) {
	guard := dialguard.New(c.Upstream.AllowPrivate)
	up, err := newUpstream(c.Upstream, guard)
	if err != nil {
		return nil, err
	}
	return &Wire{up: up, guard: guard, policy: c.Policy, audit: c.Audit, metrics: c.Metrics, log: c.Log, traces: c.Traces,
		maxRequest: c.MaxRequestBytes, mustRecord: c.MustRecord, now: time.Now}, nil
}

// Close drops the pooled upstream connections.
func (w *Wire) Close() { w.up.close() }

// Do sends one request of a run to an absolute http or https URL and returns
// the answer with the run's secrets taken out. It is the provider's door, and
// what [Server] calls for a request that came through a connection.
//
// Do never returns nil: a refusal is a response too, with its code in the
// Latchgate-Error header. It owns r from here on and may change it. Closing
// the answer's body ends the exchange and records it; redirects are not
// followed.
func (w *Wire) Do(run *Run, r *http.Request) *http.Response {
	return w.begin(run, r).roundTrip(r)
}

// doInside is Do for a request that was checked to go where its tunnel leads.
func (w *Wire) doInside(t *tunnel, run *Run, r *http.Request) *http.Response {
	x := w.begin(run, r)
	x.target = t.target()
	return x.roundTrip(r)
}

func (w *Wire) begin(run *Run, r *http.Request) *exchange {
	x := &exchange{wire: w, run: run, started: w.now(), method: r.Method}
	x.span = w.traces.Exchange(r, x.started)
	x.inform, _ = r.Context().Value(informingKey{}).(informing)
	return x
}

// roundTrip calls send at no great depth: the goroutine of an HTTP/2 stream would
// have to grow its stack, by copying it, for what net/http does there.
func (x *exchange) roundTrip(r *http.Request) *http.Response {
	denied := x.ready(r)
	if denied != nil {
		return x.refuse(r, denied)
	}
	resp, denied := x.send(r)
	if denied != nil {
		return x.refuse(r, denied)
	}
	resp, denied = x.answer(resp)
	x.head = x.wire.now().Sub(x.started)
	if denied != nil {
		return x.refuse(r, denied)
	}
	return resp
}

// exchange is one request and its answer on their way through the wire.
type exchange struct {
	wire      *Wire
	run       *Run
	started   time.Time
	span      trace.Span // nil: off, or it did not get as far as the wire
	method    string
	target    target.Target
	host      string // the Host field of it
	route     *route
	action    *routePath // the first action that permits the request
	matched   []*binding
	wrote     []*binding
	space     [4]*binding // holds matched without an allocation in the common case, and wroteIn wrote
	wroteIn   [2]*binding
	creds     *credentials
	hits      map[int]int // scrubbed values, by their index in creds.values
	status    int
	code      Code
	head      time.Duration // until the answer's head was ready to be handed on
	waited    time.Duration // of that, spent by the upstream
	sent      bool          // the request went to the upstream
	asked     bool          // the secrets were asked for
	websocket bool          // the answer may be 101
	inform    informing     // nil: the client hears of no informational answer
	tunnelled bool          // the request's context ends with the run
	// A body may still be on its way up when the answer has ended.
	tripped  atomic.Pointer[Denial] // a placeholder was seen in it where none may stand
	replaced atomic.Uint64          // a bit for each of matched that replaced a placeholder

	received, returned atomic.Int64 // bytes of the request's body, and of the answer's

	body  exchangeBody // the answer's
	clean scrubbedBody // the answer's, without secrets
}

// ready is the wire, step by step, up to the request as it is sent.
func (x *exchange) ready(r *http.Request) *Denial {
	rawPath, denied := x.locate(r.URL)
	if denied != nil {
		return denied
	}
	if !x.run.alive(x.started) {
		return runUnknown
	}
	path, denied := x.prepare(r, rawPath)
	if denied != nil {
		return denied
	}
	if denied = x.mayIt(r.Method, path); denied != nil {
		return denied
	}
	if !x.route.blind {
		if denied = x.action.overrides(r.Header, path); denied != nil {
			return denied
		}
	}
	if denied = x.spend(r); denied != nil {
		return denied
	}
	if denied = x.stamp(r, path); denied != nil {
		return denied
	}
	if x.websocket {
		x.offerWebSocket(r)
	}
	return nil
}

// locate finds the target, unless the request's tunnel has said it.
func (x *exchange) locate(u *url.URL) (rawPath string, _ *Denial) {
	if x.target.Host != "" {
		return target.WrittenPath(u), nil
	}
	t, path, err := target.FromURL(u)
	x.target = t
	if err != nil {
		return "", &Denial{Code: BadRequest, Message: err.Error()}
	}
	return path, nil
}

var runUnknown = &Denial{Code: RunUnknown, Message: "no open run has these credentials",
	Hint: "start the client with `latchgate exec` or take fresh variables from `latchgate env`"}

// prepare makes the request's one canonical form, the one that is matched and
// the one that is sent.
func (x *exchange) prepare(r *http.Request, rawPath string) (string, *Denial) {
	path := rawPath
	if !(rawPath == "*" && r.Method == http.MethodOptions) {
		var err error
		if path, err = target.CanonicalPath(rawPath); err != nil {
			return "", &Denial{Code: BadRequest, Message: err.Error()}
		}
	}
	if err := target.CheckQuery(r.URL.RawQuery); err != nil {
		return "", &Denial{Code: BadRequest, Message: err.Error()}
	}
	if limit := x.wire.maxRequest; limit > 0 {
		if r.ContentLength > limit {
			return "", tooLarge(limit)
		}
		if r.Body != nil && r.ContentLength < 0 {
			r.Body = &limitedBody{ReadCloser: r.Body, left: limit}
		}
	}
	x.route = x.run.route(authority{x.target.Host, x.target.Port})
	path = x.route.withoutPrefix(path)
	if x.host = x.authority(); x.target.IsDefaultPort() {
		x.host = x.target.HostHeader()
	}
	// Opaque is sent as it stands, so the path that was matched is the path
	// that goes out; net/http would encode Path a second way.
	*r.URL = url.URL{Scheme: x.target.Scheme, Host: x.authority(), Opaque: path, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	r.Host = x.host
	r.RequestURI = ""
	r.Close = false // the client's Connection: close is about its own connection
	return path, nil
}

// authority is host and port, from the route where there is one: it is the same
// for each request.
func (x *exchange) authority() string {
	if x.route != nil {
		return x.route.authority
	}
	return x.target.Authority()
}

// mayIt is step 3: host, port, method and path against the run's actions, then
// the request policy.
func (x *exchange) mayIt(method, path string) *Denial {
	if denied := x.run.tripInHost(x.target.Host); denied != nil {
		return denied
	}
	if denied := x.match(method, path); denied != nil {
		return denied
	}
	return x.askPolicy(method, path)
}

// match finds the actions that permit the request, and their bindings.
func (x *exchange) match(method, path string) *Denial {
	a := authority{x.target.Host, x.target.Port}
	if x.route == nil {
		x.route = x.run.route(a)
	}
	if x.route == nil {
		return x.run.denyHost(a)
	}
	x.matched = x.space[:0]
	for i := range x.route.paths {
		p := &x.route.paths[i]
		if !x.route.blind && !p.permits(method, path) {
			continue
		}
		if x.action == nil {
			x.action = p
		}
		for j := range p.bindings {
			if b := &p.bindings[j]; b.covers(method, path) {
				x.matched = append(x.matched, b)
			}
		}
	}
	if x.action == nil {
		return x.route.denyRequest(method)
	}
	return nil
}

func (x *exchange) askPolicy(method, path string) *Denial {
	if !x.wire.policy.HasRequest() {
		return nil
	}
	d := x.wire.policy.Request(x.run.ctx, x.policyInput(method, path))
	if d.Allow {
		return nil
	}
	return &Denial{Code: PolicyDenied, Message: "the request policy says no: " + d.Reason}
}

func (x *exchange) policyInput(method, path string) policy.RequestInput {
	return policy.RequestInput{
		Principal: x.run.Principal, Run: x.run.ID, Actions: x.run.Actions, Action: x.action.action.ActionID,
		Scheme: x.target.Scheme, Host: x.target.Host, Port: int(x.target.Port), Method: method, Path: path,
	}
}

// stamp is steps 5 to 7. Placeholders are looked for before anything is
// stamped: what we write ourselves is never searched for them.
func (x *exchange) stamp(r *http.Request, path string) *Denial {
	stripHopByHop(r.Header)
	stripOwned(r.Header, r.URL, x.matched)
	stripTrailer(r, x.matched)
	if len(x.matched) > 0 && x.target.Scheme != "https" && !x.plainAllowed() {
		return &Denial{Code: InsecureTransport, Message: "a secret is never sent over plain http",
			Hint: "use https; for a server on this machine add its address to proxy.allow_private in latchgate.toml"}
	}
	if denied := x.resolve(r); denied != nil {
		return denied
	}
	if denied := x.replacePlaceholders(r); denied != nil {
		return denied
	}
	if len(x.matched) == 0 || signed(r.URL.RawQuery) {
		return nil
	}
	var denied *Denial
	x.wrote, denied = stampAll(r.Header, r.URL, x.matched, x.creds, x.wroteIn[:0])
	return denied
}

// resolve takes hold of the run's secrets as the file has them now, through
// the cache, made ready. They are held until the answer's body is closed.
func (x *exchange) resolve(r *http.Request) *Denial {
	x.asked = true
	if x.run.view == nil {
		return nil
	}
	set, err := x.run.view.Acquire(r.Context())
	if err != nil {
		if exhausted(err) {
			return noDescriptor("to read the secrets file", err)
		}
		return &Denial{Code: SecretUnavailable, Message: err.Error(), Hint: "operator: latchgate doctor", Cause: err}
	}
	defer set.Release()
	x.creds = x.run.credentialsFor(set)
	if x.creds.scrub != nil {
		keepScannable(r.Header)
	}
	return nil
}

// plainAllowed: a stamped request may go over plain http to this machine
// alone, and only where the operator listed its address.
func (x *exchange) plainAllowed() bool {
	if x.wire.up.proxy != nil || !loopbackHost(x.target.Host) {
		return false // behind an upstream proxy it would leave this machine
	}
	if ip, err := netip.ParseAddr(x.target.Host); err == nil {
		return x.wire.guard.Allowed(ip)
	}
	return x.wire.guard.Allowed(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || x.wire.guard.Allowed(netip.IPv6Loopback())
}

// refuse turns a denial into the answer, and records it. It leaves the request's
// body alone: to close a client's is to wait for it.
func (x *exchange) refuse(r *http.Request, d *Denial) *http.Response {
	x.code, x.status = d.Code, statusOf[d.Code]
	action, run := "", ""
	if x.run != nil {
		run = x.run.ID
	}
	if x.action != nil {
		action = x.action.action.ActionID
	}
	x.record(d)
	x.releaseSecrets()
	return d.response(r, run, action, x.target.Host)
}

// releaseSecrets comes last. The body of the request may still be on its way
// up, and finds out by itself that the secrets were let go of.
func (x *exchange) releaseSecrets() { x.creds.release() }
