package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// goproxy lets the inner Host, or an absolute URL inside the tunnel, say where
// the request goes, and the credential goes along.
func TestInnerHostCannotRetargetARequest(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	for name, head := range map[string]string{
		"other host":             "GET / HTTP/1.1\r\nHost: evil.localhost:PORT\r\n\r\n",
		"other port":             "GET / HTTP/1.1\r\nHost: api.localhost:1\r\n\r\n",
		"no port is the default": "GET / HTTP/1.1\r\nHost: api.localhost\r\n\r\n",
		"absolute other host":    "GET https://evil.localhost:PORT/ HTTP/1.1\r\nHost: api.localhost:PORT\r\n\r\n",
		"absolute other scheme":  "GET http://api.localhost:PORT/ HTTP/1.1\r\nHost: api.localhost:PORT\r\n\r\n",
		"user info":              "GET / HTTP/1.1\r\nHost: x@api.localhost:PORT\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := h.tunnelTLS(run, tok, apiHost)
			resp, body := raw(t, c, strings.ReplaceAll(head, "PORT", h.origin.port))
			if resp.StatusCode == 400 { // net/http itself refuses some of these
				return
			}
			denied(t, resp, body, TargetMismatch)
		})
	}
	t.Run("other SNI", func(t *testing.T) {
		c := h.tunnelTLS(run, tok, evilHost)
		resp, body := raw(t, c, "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
		denied(t, resp, body, TargetMismatch)
	})
	if n := len(h.origin.requests()); n != 0 {
		t.Fatalf("%d requests arrived", n)
	}
	t.Run("the same host, spelled differently", func(t *testing.T) {
		c := h.tunnelTLS(run, tok, apiHost)
		resp, body := raw(t, c, strings.ReplaceAll("GET https://API.localhost.:PORT/x HTTP/1.1\r\nHost: API.localhost:PORT\r\n\r\n", "PORT", h.origin.port))
		if resp.StatusCode != 200 {
			t.Fatalf("%s %s", resp.Status, body)
		}
		if got := h.origin.last(t).Host; got != "api.localhost:"+h.origin.port {
			t.Fatalf("the origin saw Host %q", got)
		}
	})
}

// Without a certificate store each CONNECT in goproxy costs about 90 ms.
func TestALeafIsMintedOnceAHost(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	for range 5 {
		_ = h.tunnelTLS(run, tok, apiHost)
	}
	metrics := metricsOf(t, h)
	if metrics["latchgate_certs_leaf_cache_misses_total"] != 1 || metrics["latchgate_certs_leaf_cache_hits_total"] != 4 {
		t.Fatalf("leaf cache: %v", metrics)
	}
}

// One TLS configuration for all tunnels, or no client ever resumes.
func TestAClientResumesItsSessionInTheNextTunnel(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	cache := tls.NewLRUClientSessionCache(4)
	client := h.client(run, tok, func(tr *http.Transport) {
		tr.TLSClientConfig.ClientSessionCache = cache
		tr.DisableKeepAlives = true
	})
	get(t, client, h.url("/1"))
	resp, _ := get(t, client, h.url("/2"))
	if !resp.TLS.DidResume {
		t.Fatal("the second tunnel made a full handshake")
	}
}

// Idle tunnels have no deadline in goproxy.
func TestIdleTunnelsAreClosed(t *testing.T) {
	short := func(_ *WireConfig, s *ServerConfig, _ *policyOptions) {
		s.IdleTimeout, s.HeaderTimeout = 300*time.Millisecond, 300*time.Millisecond
	}
	h := newHouse(t, short)
	run, tok := h.open(bearerManifest + blindManifest)
	closes := func(t *testing.T, c net.Conn) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, errTimeout(err)) {
			t.Fatal("the tunnel stays open")
		}
	}
	t.Run("intercepted, after a request", func(t *testing.T) {
		c := h.tunnelTLS(run, tok, apiHost)
		raw(t, c, "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
		closes(t, c)
	})
	t.Run("intercepted, before the ClientHello", func(t *testing.T) {
		c, _, _ := h.connect(run, tok, apiHost+":"+h.origin.port, "")
		closes(t, c)
	})
	t.Run("intercepted, in the middle of a head", func(t *testing.T) {
		c := h.tunnelTLS(run, tok, apiHost)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost:")
		closes(t, c)
	})
	t.Run("blind", func(t *testing.T) {
		c, _, resp := h.connect(run, tok, "127.0.0.1:"+h.origin.port, "")
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		closes(t, c)
	})
}

const blindManifest = `
---
action_id: blind
egress: {profile: proxy_allowlist, allowed_domains: ["127.0.0.1:PORT"]}
`

func errTimeout(err error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return err
	}
	return errors.New("not a timeout")
}

// goproxy rewrites Accept-Encoding.
func TestAcceptEncodingIsTheClients(t *testing.T) {
	h := newHouse(t)
	plain, ptok := h.open("action_id: free\negress: {profile: proxy_allowlist, allowed_domains: [\"api.localhost:PORT\"], allowed_methods: [GET]}\n")
	secret, stok := h.open(bearerManifest)
	for _, c := range []struct {
		name         string
		client       *http.Client
		sent, wanted string
	}{
		{"kept without secrets", h.client(plain, ptok), "zstd;q=0.9, compress, gzip", "zstd;q=0.9, compress, gzip"},
		{"only what can be searched with secrets", h.client(secret, stok), "gzip;q=0.5, compress, br, exi", "gzip;q=0.5, br"},
		{"nothing is invented", h.client(secret, stok), "", ""},
		{"identity when nothing is left", h.client(secret, stok), "compress", "identity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var header []string
			if c.sent != "" {
				header = []string{"Accept-Encoding", c.sent}
			}
			get(t, c.client, h.url("/"), header...)
			if got := h.origin.last(t).Header.Get("Accept-Encoding"); got != c.wanted {
				t.Fatalf("the origin saw %q, want %q", got, c.wanted)
			}
		})
	}
}

// Goroutines in tunnels are not tracked by goproxy.
func TestTunnelsLeaveNoGoroutineBehind(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest + blindManifest)
	once := h.client(run, tok)
	get(t, once, h.url("/")) // what the first request starts for good, stays
	once.CloseIdleConnections()
	eventually(t, func() error {
		if n := testutil.ToFloat64(h.wire.metrics.tunnels.WithLabelValues("intercepted")); n != 0 {
			return fmt.Errorf("%v tunnels", n)
		}
		return nil
	})
	before := runtime.NumGoroutine()
	for i := range 200 {
		authority := apiHost + ":" + h.origin.port
		if i%2 == 1 {
			authority = "127.0.0.1:" + h.origin.port
		}
		c, _, resp := h.connect(run, tok, authority, "")
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		if i%4 == 0 {
			tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: apiHost})
			if err := tc.Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.Close()
	}
	eventually(t, func() error {
		if n := runtime.NumGoroutine(); n > before {
			return fmt.Errorf("%d goroutines before, %d after", before, n)
		}
		for _, kind := range []string{"blind", "intercepted"} {
			if n := testutil.ToFloat64(h.wire.metrics.tunnels.WithLabelValues(kind)); n != 0 {
				return fmt.Errorf("%v %s tunnels are counted as open", n, kind)
			}
		}
		return nil
	})
}

// eventually waits for a condition that nothing signals.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAClientHelloMayComeWithTheConnect(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	hello := clientHello(t)
	_, br, resp := h.connect(run, tok, apiHost+":"+h.origin.port, string(hello))
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	record, err := br.Peek(3)
	if err != nil || record[0] != 0x16 {
		t.Fatalf("no ServerHello: % x %v", record, err)
	}
}

// clientHello records what a TLS client sends first.
func clientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() { _ = tls.Client(theirs, &tls.Config{ServerName: apiHost}).Handshake() }()
	buf := make([]byte, 4096)
	n, err := ours.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	return buf[:n]
}

func TestPlainHTTPInsideATunnelIsHTTP(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	c, _, _ := h.connect(run, tok, "api.localhost:"+h.origin.port, "")
	resp, body := raw(t, c, "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
	// api.localhost is loopback and listed, so stamping is allowed; the origin
	// speaks TLS and answers a plain request with 400 of its own.
	if resp.StatusCode != 400 || resp.Header.Get("Latchgate-Error") != "" {
		t.Fatalf("%s %s", resp.Status, body)
	}
}

func TestUpstreamFailureIsAnAnswerAndNotABareEOF(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(`
action_id: dead
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:1", "127.0.0.1:1"], allowed_methods: [GET]}
`)
	resp, body := get(t, h.client(run, tok), "https://api.localhost:1/")
	denied(t, resp, body, UpstreamUnreachable)
	blind, btok := h.open("action_id: dead\negress: {profile: proxy_allowlist, allowed_domains: [\"127.0.0.1:1\"]}\n")
	_, _, cresp := h.connect(blind, btok, "127.0.0.1:1", "")
	if cresp.StatusCode != 502 || cresp.Header.Get("Latchgate-Error") != string(UpstreamUnreachable) {
		t.Fatalf("a blind tunnel to a closed port: %s", cresp.Status)
	}
}

func TestAClientThatGoesAwayCancelsTheUpstream(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	started, gone := make(chan struct{}), make(chan struct{})
	h.origin.on("/slow", func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.url("/slow"), nil)
	ended := make(chan error, 1)
	go func() { _, err := h.client(run, tok).Do(r); ended <- err }()
	<-started
	cancel()
	<-gone // the test's own deadline is the limit
	if err := <-ended; err == nil {
		t.Fatal("the client got an answer")
	}
}

func TestEventsPassAtOnceWhateverTheirContentType(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	for _, ct := range []string{"text/event-stream", "application/x-ndjson", "application/json", ""} {
		t.Run(ct, func(t *testing.T) {
			next := make(chan string)
			h.origin.on("/events", func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{ct}
				w.WriteHeader(200)
				_ = http.NewResponseController(w).Flush()
				for line := range next {
					_, _ = io.WriteString(w, line+"\n")
					_ = http.NewResponseController(w).Flush()
				}
			})
			resp, err := h.client(run, tok).Get(h.url("/events"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			lines := bufio.NewScanner(resp.Body)
			for i := range 5 {
				want := fmt.Sprintf("data: %d", i)
				next <- want // sent only after the one before has arrived
				if !lines.Scan() || lines.Text() != want {
					t.Fatalf("got %q, want %q", lines.Text(), want)
				}
			}
			next <- "data: " + token
			if !lines.Scan() || lines.Text() != "data: ***REDACTED***" {
				t.Fatalf("got %q", lines.Text())
			}
			close(next)
		})
	}
}

// A cut body that is closed like a whole one makes a client trust half of it.
func TestACutAnswerDoesNotLookWhole(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	for _, ct := range []string{"text/event-stream", "text/plain", "image/png"} {
		for _, proto := range []string{"h1", "h2"} {
			t.Run(ct+" "+proto, func(t *testing.T) {
				h.origin.on("/cut", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", ct)
					_, _ = io.WriteString(w, "half")
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				})
				client := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = proto == "h2" })
				resp, err := client.Get(h.url("/cut"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = resp.Body.Close() }()
				if body, err := io.ReadAll(resp.Body); err == nil {
					t.Fatalf("the client took %q for a whole answer", body)
				}
			})
		}
	}
}

func TestHeadsHaveALimit(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	c := h.tunnelTLS(run, tok, apiHost)
	_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: api.localhost:%s\r\nX-Long: %s\r\n\r\n", h.origin.port, strings.Repeat("a", 2*maxHeadBytes))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return // the connection was cut while the head was still coming
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatal(resp.Status)
	}
}

func TestNothingIsLoggedThatAClientSent(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok)
	get(t, client, h.url("/private-path?key=private-query"), "X-Private", "private-header")
	resp, _ := get(t, client, "http://evil.localhost/private-path?key=private-query", "X-Private", "private-header")
	if resp.StatusCode != 403 {
		t.Fatal(resp.Status)
	}
	for _, word := range []string{"private", token, tok, "tok-0123"} {
		if strings.Contains(h.log.String(), word) {
			t.Fatalf("the log holds %q:\n%s", word, h.log.String())
		}
	}
}

func TestShutdownDrains(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	started, release := make(chan struct{}), make(chan struct{})
	h.origin.on("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	answer := make(chan string, 1)
	go func() {
		resp, err := h.client(run, tok).Get(h.url("/slow"))
		if err != nil {
			answer <- err.Error()
			return
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		answer <- string(body)
	}()
	<-started
	idle := h.tunnelTLS(run, tok, apiHost)
	shut := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		shut <- h.server.Shutdown(ctx)
	}()
	eventually(t, func() error {
		if !h.server.draining.Load() {
			return errors.New("not draining")
		}
		return nil
	})
	if _, err := net.DialTimeout("tcp", h.addr, time.Second); err == nil {
		eventually(t, func() error {
			c, err := net.DialTimeout("tcp", h.addr, time.Second)
			if err == nil {
				_ = c.Close()
				return errors.New("still accepting")
			}
			return nil
		})
	}
	_ = idle.Close()
	close(release)
	if got := <-answer; got != "done" {
		t.Fatalf("the request under way got %q", got)
	}
	if err := <-shut; err != nil {
		t.Fatalf("shutdown: %v", err)
	}
}
