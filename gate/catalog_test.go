package gate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy"
)

// catalogService is what the tests expect of a service's bundled actions.
//
// An auth names the places where credentials must stand, one a line:
// "Header: value", "query name=value" or "path /prefix". $NAME in it is the
// secret of that name, and base64(...) is encoded.
type catalogService struct {
	name    string
	auth    string // of the calls
	headers string // that the calls' templates send besides, one a line
	calls   []catalogCall
	probes  []catalogProbe
}

// catalogCall executes an action and says which request must arrive.
type catalogCall struct {
	action, args string
	request      string // "METHOD URL", without what auth adds
	body         string // JSON, or a form; $NAME is the secret
}

// catalogProbe sends a request through the proxy as an agent with that profile.
type catalogProbe struct {
	profile string
	request string // "METHOD URL", or "METHOD URL BODY"; $NAME is the placeholder
	auth    string // "" for a request that passes without a credential; "refused"; "tripwire"
}

var catalogServices = slices.Concat(catalogCode, catalogModels, catalogChat, catalogWork, catalogOps)

// catalogWorld is a gate with the whole catalogue. Every host that there is
// leads to one TLS origin, by way of the configured upstream proxy.
type catalogWorld struct {
	*Gate
	t      *testing.T
	values map[string]string // of every secret that the catalogue names
	origin *certs.CA         // of the origin's certificates

	mu      sync.Mutex
	arrived []catalogArrival
	dialled []string
}

type catalogArrival struct {
	request string // "METHOD URL"
	header  http.Header
	body    string
}

// catalogMark is in every secret's value, and nowhere else.
const catalogMark = "hush"

func newCatalogWorld(t *testing.T) *catalogWorld {
	t.Helper()
	dir := t.TempDir()
	w := &catalogWorld{t: t, values: map[string]string{}}
	for _, m := range bundledCatalog(t).All() {
		for _, s := range m.Secrets {
			w.values[s.Name] = catalogMark + "-" + strings.ToLower(s.Name) + "-0123456789"
		}
	}
	setSecrets(t, dir, w.values)
	ca, err := certs.Open(filepath.Join(dir, "origin"), certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.origin = ca
	config := `
[proxy]
listen = "127.0.0.1:0"
upstream_ca_file = "origin.pem"
upstream_proxy = "http://` + w.lead(w.serve(ca)) + `"
[metrics]
listen = ""
[secrets]
sops_secrets_file = "secrets.enc.yaml"
[policy.data]
allow = ["*"]
`
	for name, text := range map[string]string{"origin.pem": string(ca.RootPEM()), "latchgate.toml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := configs.Load(configs.Options{File: filepath.Join(dir, "latchgate.toml"), Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if w.Gate, err = New(context.Background(), Options{Config: c, Registerer: prometheus.NewRegistry(), Version: "test", Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := w.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	ln, err := w.Listen()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = w.Serve(ln) }()
	return w
}

func bundledCatalog(t *testing.T) *manifests.Catalog {
	t.Helper()
	c, problems := manifests.Load(manifests.LoadOptions{Bundled: true})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// serve starts the origin and returns its address. It answers with all that
// arrived, as careless services do.
func (w *catalogWorld) serve(ca *certs.CA) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	answer := func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		header := r.Header.Clone()
		header.Del("Content-Length") // a matter of the connection
		w.mu.Lock()
		w.arrived = append(w.arrived, catalogArrival{r.Method + " https://" + r.Host + r.RequestURI, header, string(body)})
		w.mu.Unlock()
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"url": r.RequestURI, "headers": r.Header, "body": string(body)})
	}
	s := &http.Server{Handler: http.HandlerFunc(answer), TLSConfig: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return ca.Leaf(h.ServerName)
	}}, ErrorLog: log.New(io.Discard, "", 0)}
	w.run(s, func() error { return s.ServeTLS(ln, "", "") })
	return ln.Addr().String()
}

// lead starts the proxy that takes every name to the origin.
func (w *catalogWorld) lead(origin string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var pipes sync.WaitGroup
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.dialled = append(w.dialled, r.Method+" "+r.Host)
		w.mu.Unlock()
		up, err := net.Dial("tcp", origin)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		client, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			_ = up.Close()
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		for _, p := range [][2]net.Conn{{up, client}, {client, up}} {
			pipes.Go(func() {
				_, _ = io.Copy(p[0], p[1])
				_, _ = p[0].Close(), p[1].Close()
			})
		}
	})}
	w.t.Cleanup(pipes.Wait)
	w.run(s, func() error { return s.Serve(ln) })
	return ln.Addr().String()
}

func (w *catalogWorld) run(s *http.Server, serve func() error) {
	done := make(chan struct{})
	go func() { defer close(done); _ = serve() }()
	w.t.Cleanup(func() { _ = s.Close(); <-done })
}

// take returns what arrived since it was last called, and where connections
// were asked for.
func (w *catalogWorld) take() ([]catalogArrival, []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, d := w.arrived, w.dialled
	w.arrived, w.dialled = nil, nil
	return a, d
}

func (w *catalogWorld) open(t *testing.T, action string) *OpenedRun {
	t.Helper()
	o, err := w.Open(context.Background(), OpenRequest{Principal: "user:test", Door: DoorExec, Actions: []string{action}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

var (
	catalogSecret = regexp.MustCompile(`\$([A-Z][A-Z0-9_]*)`)
	catalogBase64 = regexp.MustCompile(`base64\(([^)]*)\)`)
)

// expect gives the request, its header and its body as they must arrive where
// auth says how credentials are placed.
func (w *catalogWorld) expect(request, auth string, header http.Header) string {
	for line := range strings.Lines(auth) {
		line = catalogSecret.ReplaceAllStringFunc(strings.TrimSpace(line), func(name string) string {
			if v := w.values[name[1:]]; v != "" {
				return v
			}
			w.t.Errorf("no action declares the secret %s", name)
			return name
		})
		line = catalogBase64.ReplaceAllStringFunc(line, func(s string) string {
			return base64.StdEncoding.EncodeToString([]byte(catalogBase64.FindStringSubmatch(s)[1]))
		})
		place, value, _ := strings.Cut(line, " ")
		switch {
		case place == "query" && strings.Contains(request, "?"):
			request += "&" + value
		case place == "query":
			request += "?" + value
		case place == "path":
			at := strings.Index(request, "://") + 3
			at += strings.IndexByte(request[at:], '/')
			request = request[:at] + value + request[at:]
		default:
			header.Set(strings.TrimSuffix(place, ":"), value)
		}
	}
	return request
}

func TestEveryBundledActionSendsItsRequestAndNothingElse(t *testing.T) {
	w := newCatalogWorld(t)
	for _, s := range catalogServices {
		for _, c := range s.calls {
			t.Run(c.action, func(t *testing.T) { w.checkCall(t, s, c) })
		}
	}
}

func (w *catalogWorld) checkCall(t *testing.T, s catalogService, c catalogCall) {
	var args map[string]any
	if err := json.Unmarshal([]byte(c.args), &args); err != nil {
		t.Fatal(err)
	}
	done, err := w.Execute(context.Background(), ExecuteRequest{Principal: "user:test", Action: c.action, Args: args})
	if err != nil {
		t.Fatalf("%v", err)
	}
	arrived, dialled := w.take()
	if len(arrived) != 1 {
		t.Fatalf("%d requests arrived: %s", len(arrived), done.Result)
	}
	got := arrived[0]
	header := http.Header{"User-Agent": {"latchgate"}}
	for line := range strings.Lines(s.headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		header.Set(name, value)
	}
	if c.body != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	if want := w.expect(c.request, s.auth, header); got.request != want {
		t.Errorf("arrived\n     %s\nwant %s", got.request, want)
	}
	if !reflect.DeepEqual(got.header, header) {
		t.Errorf("header\n     %q\nwant %q", got.header, header)
	}
	body := fill(c.body, w.values)
	if !sameBody(got.body, body, header.Get("Content-Type")) {
		t.Errorf("body\n     %s\nwant %s", got.body, body)
	}
	u, _ := url.Parse(strings.SplitN(c.request, " ", 2)[1])
	if len(dialled) > 1 || len(dialled) == 1 && dialled[0] != "CONNECT "+u.Host+":443" {
		t.Errorf("connected to %v", dialled)
	}
	// The origin sent all of it back: no credential comes through.
	if bytes.Contains(done.Result, []byte(catalogMark)) || s.auth != "" && !bytes.Contains(done.Result, []byte("REDACTED")) {
		t.Errorf("result %s", done.Result)
	}
	w.checkOutside(t, c)
}

// sameBody compares JSON by what it says, and forms by their fields.
func sameBody(got, want, contentType string) bool {
	switch {
	case got == want:
		return true
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		g, err1 := url.ParseQuery(got)
		f, err2 := url.ParseQuery(want)
		return err1 == nil && err2 == nil && reflect.DeepEqual(g, f)
	}
	var g, f any
	return json.Unmarshal([]byte(got), &g) == nil && json.Unmarshal([]byte(want), &f) == nil && reflect.DeepEqual(g, f)
}

// checkOutside sends what the action must not send: another method, another
// path, another host, no TLS.
func (w *catalogWorld) checkOutside(t *testing.T, c catalogCall) {
	o := w.open(t, c.action)
	defer w.Close(o.ID)
	method, raw, _ := strings.Cut(c.request, " ")
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	other := *u
	other.Path, other.RawPath = "/latchgate/outside", ""
	elsewhere := *u
	elsewhere.Host = "outside.example.org"
	for _, r := range []struct {
		method string
		url    url.URL
	}{{"PURGE", *u}, {method, other}, {method, elsewhere}} {
		req, err := http.NewRequest(r.method, r.url.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp := w.wire.Load().Do(o.run, req)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden || resp.Header.Get("Latchgate-Error") != string(proxy.EgressDenied) {
			t.Errorf("%s %s is answered with %d %s", r.method, r.url.String(), resp.StatusCode, resp.Header.Get("Latchgate-Error"))
		}
	}
	if arrived, _ := w.take(); len(arrived) > 0 {
		t.Errorf("%v arrived", arrived)
	}
}

func TestEveryAgentProfilePlacesItsCredentialAndNoOther(t *testing.T) {
	w := newCatalogWorld(t)
	root, err := os.ReadFile(w.Trust().Root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	roots.AddCert(w.origin.Root()) // seen where a host gets no credential: a blind tunnel
	for _, s := range catalogServices {
		byProfile := map[string][]catalogProbe{}
		for _, p := range s.probes {
			byProfile[p.profile] = append(byProfile[p.profile], p)
		}
		for _, profile := range slices.Sorted(maps.Keys(byProfile)) {
			t.Run(profile, func(t *testing.T) {
				o := w.open(t, profile)
				defer w.Close(o.ID)
				door, err := url.Parse(o.Proxy)
				if err != nil {
					t.Fatal(err)
				}
				agent := &http.Transport{Proxy: http.ProxyURL(door), TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true}
				defer agent.CloseIdleConnections()
				for _, p := range byProfile[profile] {
					w.checkProbe(t, agent, o, p)
				}
			})
		}
	}
}

func (w *catalogWorld) checkProbe(t *testing.T, agent *http.Transport, o *OpenedRun, p catalogProbe) {
	parts := strings.SplitN(p.request+" ", " ", 3)
	req, err := http.NewRequest(parts[0], fill(parts[1], o.Placeholders), strings.NewReader(fill(strings.TrimSpace(parts[2]), o.Placeholders)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "agent")
	if p.auth == "refused" || p.auth == "tripwire" {
		w.checkRefused(t, agent, req, p)
		return
	}
	header := http.Header{"User-Agent": {"agent"}}
	request := w.expect(parts[0]+" "+fill(parts[1], w.values), p.auth, header)
	for name := range header {
		if name != "User-Agent" { // an agent can't choose the credential
			req.Header.Set(name, "of-the-agent")
		}
	}
	resp, err := agent.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", p.request, err)
	}
	answer, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	arrived, dialled := w.take()
	if len(arrived) != 1 {
		t.Fatalf("%s: %d requests arrived, %d %s", p.request, len(arrived), resp.StatusCode, answer)
	}
	got, body := arrived[0], fill(strings.TrimSpace(parts[2]), w.values)
	if got.request != request || !reflect.DeepEqual(got.header, header) || got.body != body {
		t.Errorf("%s arrived as\n     %s %q %s\nwant %s %q %s", p.request, got.request, got.header, got.body, request, header, body)
	}
	if host := "CONNECT " + req.URL.Host + ":443"; len(dialled) > 1 || len(dialled) == 1 && dialled[0] != host {
		t.Errorf("connected to %v", dialled)
	}
	if bytes.Contains(answer, []byte(catalogMark)) {
		t.Errorf("%s: the answer holds a credential: %s", p.request, answer)
	}
}

// checkRefused sends a request that must not go out. A host that is not allowed
// is refused at CONNECT, where Go's client shows the reason phrase alone.
func (w *catalogWorld) checkRefused(t *testing.T, agent *http.Transport, req *http.Request, p catalogProbe) {
	want := map[string]proxy.Code{"refused": proxy.EgressDenied, "tripwire": proxy.Tripwire}[p.auth]
	resp, err := agent.RoundTrip(req)
	switch {
	case err != nil && err.Error() != http.StatusText(http.StatusForbidden):
		t.Errorf("%s: %v", p.request, err)
	case err == nil:
		_ = resp.Body.Close()
		if got := resp.Header.Get("Latchgate-Error"); got != string(want) {
			t.Errorf("%s is answered with %d %s", p.request, resp.StatusCode, got)
		}
	}
	if arrived, _ := w.take(); len(arrived) > 0 {
		t.Errorf("%s arrived", p.request)
	}
}

// fill puts values in the place of $NAME.
func fill(text string, values map[string]string) string {
	return catalogSecret.ReplaceAllStringFunc(text, func(name string) string { return values[name[1:]] })
}

// Every bundled action is in the tables above, or it is not in the catalogue.
func TestTheTablesCoverTheWholeCatalogue(t *testing.T) {
	called, probed, refused, placed := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range catalogServices {
		for _, c := range s.calls {
			called[c.action] = true
		}
		for _, p := range s.probes {
			probed[p.profile] = true
			refused[p.profile] = refused[p.profile] || p.auth == "refused"
			placed[p.profile] = placed[p.profile] || p.auth != "" && p.auth != "refused" && p.auth != "tripwire" || strings.Contains(p.request, "$")
		}
	}
	catalog := bundledCatalog(t)
	for _, m := range catalog.All() {
		id := m.ActionID
		switch {
		case m.ProviderModuleDigest != "" && !called[id]:
			t.Errorf("no call of %s", id)
		case m.ProviderModuleDigest == "" && (!probed[id] || !refused[id] || len(m.Secrets) > 0 && !placed[id]):
			t.Errorf("%s is probed %v, refused %v, with a credential %v", id, probed[id], refused[id], placed[id])
		}
	}
	for id := range called {
		if _, ok := catalog.Get(id); !ok {
			t.Errorf("there is no action %s", id)
		}
	}
	for id := range probed {
		if _, ok := catalog.Get(id); !ok {
			t.Errorf("there is no profile %s", id)
		}
	}
}
