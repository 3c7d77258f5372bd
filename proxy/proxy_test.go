package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/secrets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token    = "tok-0123456789abcdef/+&"
	other    = "second-value-zyxwvut"
	apiHost  = "api.localhost"
	evilHost = "evil.localhost"
)

// house is a whole proxy on loopback: a real TLS origin, a real encrypted
// secrets file, the built-in policy, the door.
type house struct {
	t        testing.TB
	origin   *origin
	server   *Server
	wire     *Wire
	runs     *Runs
	ca       *certs.CA
	store    *secrets.Store
	registry *prometheus.Registry
	addr     string
	auditLog string
	log      *lockedBuffer
}

type houseOption func(*WireConfig, *ServerConfig, *policy.Options)

func newHouse(t testing.TB, options ...houseOption) *house {
	t.Helper()
	dir, ctx := t.TempDir(), context.Background()
	h := &house{t: t, origin: newOrigin(t), registry: prometheus.NewRegistry(), auditLog: filepath.Join(dir, "audit.jsonl"), log: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.store = newStore(t, dir, map[string]string{"TOKEN": token, "OTHER": other})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	record, err := audit.Open(h.auditLog, audit.Options{})
	must(err)
	po := policy.Options{}
	wc := WireConfig{Audit: record, Metrics: NewMetrics(h.registry), Log: log, Upstream: UpstreamConfig{
		Roots: h.origin.roots(), AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	sc := ServerConfig{HeaderTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second, Log: log, Metrics: wc.Metrics}
	for _, o := range options {
		o(&wc, &sc, &po)
	}
	wc.Policy, err = policy.New(ctx, po)
	must(err)
	h.wire, err = NewWire(wc)
	must(err)
	h.ca, err = certs.Open(filepath.Join(dir, "ca"), certs.Options{Registerer: h.registry})
	must(err)
	h.runs = NewRuns(0, nil)
	sc.Wire, sc.Runs, sc.CA = h.wire, h.runs, h.ca
	h.server = NewServer(sc)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	h.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_ = h.server.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		h.runs.CloseAll()
		h.wire.Close()
		_ = h.store.Close()
		_ = record.Close(context.Background())
	})
	return h
}

func newStore(t testing.TB, dir string, values map[string]string) *secrets.Store {
	t.Helper()
	file, key := filepath.Join(dir, "secrets.enc.yaml"), filepath.Join(dir, "keys", "age.key")
	if _, err := secrets.Init(context.Background(), secrets.InitOptions{File: file, KeyFile: key}); err != nil {
		t.Fatal(err)
	}
	s, err := secrets.Open(secrets.Options{File: file, KeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	setSecrets(t, s, values)
	return s
}

func setSecrets(t testing.TB, s *secrets.Store, values map[string]string) {
	t.Helper()
	if err := s.Edit(context.Background(), func(d *secrets.Document) error {
		for name, v := range values {
			if err := d.Set(name, []byte(v)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// open opens a run of the manifests in doc; PORT in it is the origin's port.
func (h *house) open(doc string, change ...func(*RunConfig)) (*Run, string) {
	h.t.Helper()
	doc = strings.ReplaceAll(doc, "PORT", h.origin.port)
	ms, problems := manifests.Parse("test.yaml", []byte(doc))
	if manifests.HasErrors(problems) {
		h.t.Fatalf("manifest: %v", problems)
	}
	c := RunConfig{Principal: "user:test", Door: "exec"}
	var wants []secrets.Want
	for _, m := range ms {
		g := Grant{Manifest: m}
		for _, s := range m.Secrets {
			g.Secrets = append(g.Secrets, s.Name)
			wants = append(wants, secrets.Want{Name: s.Name, Required: s.Required})
		}
		c.Grants = append(c.Grants, g)
	}
	if len(wants) > 0 {
		c.Secrets = h.store.View(wants)
	}
	for _, ch := range change {
		ch(&c)
	}
	run, tok, err := h.runs.Open(c)
	if err != nil {
		h.t.Fatal(err)
	}
	return run, tok
}

const bearerManifest = `
action_id: api
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: TOKEN, required: true}]
`

// client is a client of the run, with cookies for nobody and no redirects.
func (h *house) client(run *Run, tok string, change ...func(*http.Transport)) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.ca.RootPEM())
	tr := &http.Transport{
		Proxy:              http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword(run.ID, tok), Host: h.addr}),
		TLSClientConfig:    &tls.Config{RootCAs: roots},
		DisableCompression: true,
	}
	for _, c := range change {
		c(tr)
	}
	h.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (h *house) url(path string) string { return "https://" + apiHost + ":" + h.origin.port + path }

// get makes a request and returns the answer with its whole body.
func get(t *testing.T, c *http.Client, target string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return do(t, c, r)
}

func do(t *testing.T, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatalf("read the body: %v", err)
	}
	return resp, string(body)
}

// denied checks that the answer is latchgate's own refusal with that code.
func denied(t *testing.T, resp *http.Response, body string, code Code) {
	t.Helper()
	var e errorBody
	if resp.Header.Get("Latchgate-Error") != string(code) || json.Unmarshal([]byte(body), &e) != nil || e.Error.Code != code || e.Error.Message == "" {
		t.Fatalf("want %s, got %s %v %q", code, resp.Status, resp.Header, body)
	}
	if resp.StatusCode != statusOf[code] || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: status %d, content type %q", code, resp.StatusCode, resp.Header.Get("Content-Type"))
	}
}

// connect opens a tunnel by hand and returns the connection behind the 200.
func (h *house) connect(run *Run, tok, authority, early string) (net.Conn, *bufio.Reader, *http.Response) {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	auth := base64.StdEncoding.EncodeToString([]byte(run.ID + ":" + tok))
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n%s", authority, authority, auth, early); err != nil {
		h.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		h.t.Fatal(err)
	}
	return c, br, resp
}

// tunnelTLS opens an intercepted tunnel to the origin and speaks TLS in it.
func (h *house) tunnelTLS(run *Run, tok, sni string) *tls.Conn {
	h.t.Helper()
	c, _, resp := h.connect(run, tok, apiHost+":"+h.origin.port, "")
	if resp.StatusCode != 200 {
		h.t.Fatalf("CONNECT: %s", resp.Status)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.ca.RootPEM())
	tc := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: sni, InsecureSkipVerify: sni != apiHost})
	if err := tc.Handshake(); err != nil {
		h.t.Fatalf("handshake: %v", err)
	}
	return tc
}

// raw sends a raw request on a connection and reads the answer.
func raw(t *testing.T, c net.Conn, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// origin is a real TLS server that records what it was sent.
type origin struct {
	port    string
	cert    *x509.Certificate
	mu      sync.Mutex
	seen    []*http.Request
	answers map[string]http.HandlerFunc // by path; else an echo of the request's head
	gone    chan string                 // a request whose client went away
	h2alone atomic.Bool                 // refuses who offers no HTTP/2
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "origin"}, DNSNames: []string{apiHost, evilHost, "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{answers: map[string]http.HandlerFunc{}, gone: make(chan string, 16)}
	if o.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, o.port, _ = net.SplitHostPort(ln.Addr().String())
	pair := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	srv := &http.Server{Handler: o, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		TLSConfig: &tls.Config{Certificates: pair, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if o.h2alone.Load() && !slices.Contains(hello.SupportedProtos, "h2") {
				return &tls.Config{Certificates: pair, NextProtos: []string{"none of yours"}}, nil
			}
			return nil, nil
		}}}
	done := make(chan struct{})
	go func() { _ = srv.ServeTLS(ln, "", ""); close(done) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return o
}

func (o *origin) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(o.cert)
	return p
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	seen := r.Clone(context.Background())
	o.seen = append(o.seen, seen)
	answer := o.answers[r.URL.Path]
	o.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	_ = r.Header.Write(w)
}

func (o *origin) on(path string, h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[path] = h
}

// requests are those that arrived so far.
func (o *origin) requests() []*http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*http.Request(nil), o.seen...)
}

func (o *origin) last(t *testing.T) *http.Request {
	t.Helper()
	all := o.requests()
	if len(all) == 0 {
		t.Fatal("nothing arrived at the origin")
	}
	return all[len(all)-1]
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type policyOptions = policy.Options

// metricsOf are the values of all counters and gauges without labels.
func metricsOf(t testing.TB, h *house) map[string]float64 {
	t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if c := m.GetCounter(); c != nil {
				values[f.GetName()] += c.GetValue()
			}
		}
	}
	return values
}
