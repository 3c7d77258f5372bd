package gate

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/manifests"
)

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
	if w.Gate, err = New(context.Background(), Options{Config: c, Registerer: prometheus.NewRegistry(), Version: "test", PolicyTimeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler)}); err != nil {
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
