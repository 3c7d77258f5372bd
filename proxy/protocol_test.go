package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
)

// overEach runs a test over HTTP/1.1 and over HTTP/2, on both sides at once.
func overEach(t *testing.T, test func(t *testing.T, h *house, client *http.Client)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			h := newHouse(t)
			h.wire.up.ForceAttemptHTTP2 = proto == "HTTP/2.0"
			run, tok := h.open(bearerManifest)
			client := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = proto == "HTTP/2.0" })
			test(t, h, client)
			if got := h.origin.last(t); got.Proto != proto || got.Header.Get("Authorization") != "Bearer "+token {
				t.Errorf("the origin saw %s with %q", got.Proto, got.Header["Authorization"])
			}
		})
	}
}

func TestASecretTakesNeitherHTTP2NorItsStreamsAway(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true })
	const n = 20
	arrived, release := make(chan string, n), make(chan struct{})
	h.origin.on("/all", func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Proto
		<-release
		_, _ = io.WriteString(w, r.Header.Get("X-Nr"))
	})
	get(t, client, h.url("/")) // so that there is a connection to share
	var wg sync.WaitGroup
	var conns sync.Map
	for i := range n {
		wg.Go(func() {
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(g httptrace.GotConnInfo) { conns.Store(g.Conn, true) }})
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.url("/all"), nil)
			r.Header.Set("X-Nr", fmt.Sprint(i))
			resp, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.Proto != "HTTP/2.0" || string(body) != fmt.Sprint(i) {
				t.Errorf("%s %q", resp.Proto, body)
			}
		})
	}
	for range n { // all of them at once, or this hangs
		if proto := <-arrived; proto != "HTTP/2.0" {
			t.Error(proto)
		}
	}
	close(release)
	wg.Wait()
	if all := slices.Collect(maps.Keys(mapOf(&conns))); len(all) != 1 {
		t.Errorf("%d connections", len(all))
	}
}

func mapOf(m *sync.Map) map[any]any {
	all := map[any]any{}
	m.Range(func(k, v any) bool { all[k] = v; return true })
	return all
}

func TestEarlyHintsArriveBeforeTheAnswerAndScrubbed(t *testing.T) {
	overEach(t, func(t *testing.T, h *house, client *http.Client) {
		release := make(chan struct{})
		h.origin.on("/hints", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.Header().Set("X-Echo", r.Header.Get("Authorization"))
			w.Header().Set("Alt-Svc", `h3=":443"`)
			w.WriteHeader(http.StatusEarlyHints)
			<-release
			clear(w.Header())
			_, _ = io.WriteString(w, "answer")
		})
		var hints []http.Header
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got1xxResponse: func(code int, head textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints {
				hints = append(hints, http.Header(head))
				close(release) // the final answer comes only after the hint has arrived
			}
			return nil
		}})
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.url("/hints"), nil)
		resp, body := do(t, client, r)
		if resp.StatusCode != http.StatusOK || body != "answer" || len(hints) != 1 {
			t.Fatalf("%s %q, hints %v", resp.Status, body, hints)
		}
		want := http.Header{"Link": {"</style.css>; rel=preload"}, "X-Echo": {"Bearer ***REDACTED***"}}
		if !maps.EqualFunc(hints[0], want, slices.Equal) {
			t.Errorf("the hint: %v", hints[0])
		}
		if resp.Header.Get("Link") != "" || resp.Header.Get("X-Echo") != "" {
			t.Errorf("of the hint is in the answer: %v", resp.Header)
		}
	})
}

func TestHTTP10ClientsGetNoInformationalAnswers(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	h.origin.on("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "answer")
	})
	resp, body := raw(t, h.tunnelTLS(run, tok, apiHost), "GET /hints HTTP/1.0\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
	if resp.StatusCode != http.StatusOK || body != "answer" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

func TestExpectContinueWaitsForTheUpstreamsWord(t *testing.T) {
	overEach(t, func(t *testing.T, h *house, client *http.Client) {
		h.origin.on("/take", func(w http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s %v", got, err)
		})
		r, _ := http.NewRequest(http.MethodPost, h.url("/take"), strings.NewReader("hello"))
		r.Header.Set("Expect", "100-continue")
		if resp, got := do(t, client, r); got != "hello <nil>" {
			t.Errorf("%s %q", resp.Status, got)
		}
	})
	t.Run("by hand", func(t *testing.T) {
		h := newHouse(t)
		h.wire.up.ForceAttemptHTTP2 = false
		run, tok := h.open(bearerManifest)
		h.origin.on("/refuse", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusExpectationFailed) })
		h.origin.on("/take", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
		head := func(path string) string {
			return "POST " + path + " HTTP/1.1\r\nHost: api.localhost:" + h.origin.port + "\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
		}
		c := h.tunnelTLS(run, tok, apiHost)
		resp, _ := raw(t, c, head("/refuse")) // and no body: the upstream's no comes first
		if resp.StatusCode != http.StatusExpectationFailed {
			t.Errorf("%s", resp.Status)
		}
		c = h.tunnelTLS(run, tok, apiHost)
		br := bufio.NewReader(c)
		_, _ = io.WriteString(c, head("/take"))
		if line, err := br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("%q %v", line, err)
		}
		if line, err := br.ReadString('\n'); err != nil || line != "\r\n" {
			t.Fatalf("%q %v", line, err)
		}
		_, _ = io.WriteString(c, "hello")
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != "hello" {
			t.Errorf("%s %q", resp.Status, got)
		}
	})
}

func TestTrailersPassBothWays(t *testing.T) {
	overEach(t, func(t *testing.T, h *house, client *http.Client) {
		h.origin.on("/trailers", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Trailer", "X-Sum, X-Echo")
			_, _ = fmt.Fprintf(w, "%s %s", body, r.Trailer.Get("X-Request-Sum"))
			w.Header().Set("X-Sum", "42")
			w.Header().Set("X-Echo", "you sent "+r.Header.Get("Authorization"))
			w.Header().Set(http.TrailerPrefix+"X-Late", "unannounced")
		})
		r, _ := http.NewRequest(http.MethodPost, h.url("/trailers"), io.MultiReader(strings.NewReader("body")))
		r.Trailer = http.Header{"X-Request-Sum": {"7"}}
		resp, body := do(t, client, r)
		if body != "body 7" {
			t.Errorf("the origin saw %q", body)
		}
		want := http.Header{"X-Sum": {"42"}, "X-Echo": {"you sent Bearer ***REDACTED***"}, "X-Late": {"unannounced"}}
		if !maps.EqualFunc(resp.Trailer, want, slices.Equal) {
			t.Errorf("the trailer: %v", resp.Trailer)
		}
	})
}

func TestHeadKeepsTheLengthAndHasNoBody(t *testing.T) {
	overEach(t, func(t *testing.T, h *house, client *http.Client) {
		h.origin.on("/big", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "123456") })
		for range 2 { // the second over the same connection: no byte of a body was in between
			r, _ := http.NewRequest(http.MethodHead, h.url("/big"), nil)
			if resp, body := do(t, client, r); resp.ContentLength != 123456 || body != "" || resp.StatusCode != http.StatusOK {
				t.Errorf("%s, length %d, %q", resp.Status, resp.ContentLength, body)
			}
		}
	})
}

func TestTheFramingOfARequestBodyIsKept(t *testing.T) {
	overEach(t, func(t *testing.T, h *house, client *http.Client) {
		h.origin.on("/up", func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprintf(w, "%d of %d %v", n, r.ContentLength, err)
		})
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		for _, c := range []struct {
			method string
			body   io.Reader
			want   string
		}{
			{"POST", http.NoBody, "0 of 0 <nil>"},
			{"PUT", strings.NewReader("hello"), "5 of 5 <nil>"},
			{"POST", io.MultiReader(strings.NewReader("hello")), "5 of -1 <nil>"},
			{"POST", io.MultiReader(bytes.NewReader(big)), fmt.Sprintf("%d of -1 <nil>", len(big))},
			{"PATCH", bytes.NewReader(big), fmt.Sprintf("%d of %[1]d <nil>", len(big))},
			{"DELETE", nil, "0 of 0 <nil>"},
			{"DELETE", strings.NewReader("x"), "1 of 1 <nil>"},
			{"GET", strings.NewReader("query"), "5 of 5 <nil>"},
		} {
			r, _ := http.NewRequest(c.method, h.url("/up"), c.body)
			if _, body := do(t, client, r); body != c.want {
				t.Errorf("%s: the origin saw %s, want %s", c.method, body, c.want)
			}
		}
	})
}

// axios asks so when it reads the variables by itself.
func TestAbsoluteFormOfAnHTTPSURLNeedsNoConnect(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	c := h.dial()
	for range 2 { // the connection stays
		head := strings.Replace(h.connectHead(run, tok, apiHost), "CONNECT "+apiHost, "GET "+h.url("/a/../b?c=%20d"), 1)
		resp, body := raw(t, c, head)
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, "Bearer ***REDACTED***") || strings.Contains(body, "Proxy-") {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	seen := h.origin.last(t)
	if seen.RequestURI != "/b?c=%20d" || seen.TLS == nil || seen.Host != apiHost+":"+h.origin.port {
		t.Errorf("the origin saw %s of %s", seen.RequestURI, seen.Host)
	}
}

func TestConnectInHTTP10(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	head := h.connectHead(run, tok, apiHost+":"+h.origin.port)
	head = strings.Replace(head, "HTTP/1.1", "HTTP/1.0", 1)
	for name, head := range map[string]string{
		"with Host":    head,
		"without Host": strings.Replace(head, "Host: "+apiHost+":"+h.origin.port+"\r\n", "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			c := h.dial()
			_, _ = io.WriteString(c, head)
			br := bufio.NewReader(c)
			if resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect}); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatal(resp, err)
			}
			resp, body := raw(t, clientTLS(h, c), "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
			if resp.StatusCode != http.StatusOK || !strings.Contains(body, "Bearer ***REDACTED***") {
				t.Errorf("%s %s", resp.Status, body)
			}
		})
	}
}

// The ClientHello, or a whole plain request, may be in the packet of the CONNECT.
func TestWhatComesWithTheConnectIsNotLost(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest + blindManifest)
	connect := h.connectHead(run, tok, apiHost+":"+h.origin.port)
	request := "GET / HTTP/1.1\r\nHost: api.localhost:" + h.origin.port + "\r\n\r\n"
	t.Run("TLS", func(t *testing.T) {
		c := &gluedConn{Conn: h.dial(), before: connect}
		if resp, body := raw(t, clientTLS(h, c), request); resp.StatusCode != http.StatusOK || !strings.Contains(body, "Bearer") {
			t.Errorf("%s %s", resp.Status, body)
		}
	})
	t.Run("TLS in a blind tunnel", func(t *testing.T) {
		c := &gluedConn{Conn: h.dial(), before: h.connectHead(run, tok, "127.0.0.1:"+h.origin.port)}
		tc := tls.Client(c, &tls.Config{RootCAs: h.origin.roots(), ServerName: "127.0.0.1"})
		if resp, body := raw(t, tc, strings.Replace(request, apiHost, "127.0.0.1", 1)); resp.StatusCode != http.StatusOK || strings.Contains(body, "Bearer") {
			t.Errorf("%s %s", resp.Status, body)
		}
	})
	t.Run("plain", func(t *testing.T) {
		c := h.dial()
		_, _ = io.WriteString(c, connect+request)
		br := bufio.NewReader(c)
		if resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect}); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		// The origin speaks TLS and says so to a plain request.
		if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != http.StatusBadRequest {
			t.Error(resp, err)
		}
	})
}

// gluedConn sends before in one write with the first that is written, and takes
// the answer to it out of what is read.
type gluedConn struct {
	net.Conn
	before string
	br     *bufio.Reader
}

func (c *gluedConn) Write(p []byte) (int, error) {
	if c.before == "" {
		return c.Conn.Write(p)
	}
	_, err := c.Conn.Write(append([]byte(c.before), p...))
	c.before = ""
	return len(p), err
}

func (c *gluedConn) Read(p []byte) (int, error) {
	if c.br == nil {
		c.br = bufio.NewReader(c.Conn)
		resp, err := http.ReadResponse(c.br, &http.Request{Method: http.MethodConnect})
		if err != nil {
			return 0, err
		}
		if resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("CONNECT: %s", resp.Status)
		}
	}
	return c.br.Read(p)
}

func TestIPLiteralsAreTargetsLikeAnyOther(t *testing.T) {
	ca := newAuthority(t, "root")
	cert := ca.issue(t, newECKey(t), withAddresses(net.IPv4(127, 0, 0, 1), net.IPv6loopback))
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		t.Run(host, func(t *testing.T) {
			ln, err := net.Listen("tcp", host+":0")
			if err != nil {
				t.Skip("component missing: IPv6 loopback")
			}
			up := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, "%s %s", r.Host, r.Header.Get("Authorization"))
			}), TLSConfig: serving(cert)}
			done := make(chan struct{})
			go func() { defer close(done); _ = up.ServeTLS(ln, "", "") }()
			t.Cleanup(func() { _ = up.Close(); <-done })
			h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) {
				w.Upstream.Roots = ca.pool()
				w.Upstream.AllowPrivate = append(w.Upstream.AllowPrivate, netip.MustParsePrefix("::1/128"))
			})
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			run, tok := h.open(strings.ReplaceAll(bearerManifest, "api.localhost:PORT", host+":"+port))
			for _, change := range []func(*http.Transport){func(*http.Transport) {}, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true }} {
				resp, body := get(t, h.client(run, tok, change), "https://"+host+":"+port+"/")
				if want := host + ":" + port + " Bearer ***REDACTED***"; resp.StatusCode != http.StatusOK || body != want {
					t.Errorf("%s %q, want %q", resp.Status, body, want)
				}
			}
		})
	}
}
