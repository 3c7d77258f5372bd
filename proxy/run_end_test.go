package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/proxy/h1"
)

// flood answers until it can't.
func flood(w http.ResponseWriter, _ *http.Request) {
	b := make([]byte, 64<<10)
	for {
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

// Connections are counted: one that nobody reads from must not take the place of
// others for ever, whatever door its request came through.
func TestTheEndOfARunFreesThePlaceOfAClientThatReadsNothing(t *testing.T) {
	const post = "POST /flood HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
	type client struct {
		name string
		h    *house
		run  *Run
	}
	var all []client
	for _, anyone := range []bool{false, true} {
		for _, door := range []struct{ name, head, body string }{
			{"plain", "GET /flood HTTP/1.1\r\n", ""}, {"plain", "GET /flood HTTP/1.0\r\n", ""}, {"plain", post, "1\r\nx\r\n0\r\n\r\n"},
			{"tunnel", "GET /flood HTTP/1.1\r\n", ""}, {"tunnel", "GET /flood HTTP/1.0\r\n", ""}, {"tunnel", post, "1\r\nx\r\n0\r\n\r\n"},
			{"HTTP/2", "", ""},
		} {
			h := newHouse(t)
			h.origin.on("/flood", flood)
			if door.name == "plain" {
				h.origin.port = floodPlainly(t)
			}
			run, tok := h.open("action_id: api\negress: {profile: proxy_allowlist, allowed_domains: [\"api.localhost:PORT\"], allowed_methods: [GET, POST]}\n")
			auth := "Proxy-Authorization: Bearer " + tok
			if anyone {
				h.runs.SetDefault(run)
				auth = "X: y"
			}
			host := "api.localhost:" + h.origin.port
			switch door.name {
			case "plain":
				head := strings.Replace(door.head, "/flood", "http://"+host+"/flood", 1)
				_, _ = fmt.Fprintf(h.dial(), "%sHost: %s\r\n%s\r\n\r\n%s", head, host, auth, door.body)
			case "tunnel":
				_, _ = fmt.Fprintf(h.tunnelAs(t, auth), "%sHost: %s\r\n\r\n%s", door.head, host, door.body)
			default:
				h.streamAs(t, auth, "/flood")
			}
			all = append(all, client{fmt.Sprintf("%s, anyone %t, %q", door.name, anyone, door.head), h, run})
		}
	}
	for _, c := range all {
		last := int64(-1)
		eventually(t, func() error { // until it waits for the client
			now := c.run.Bytes()
			if now > 16<<10 && now == last {
				return nil
			}
			last = now
			return fmt.Errorf("%s: %d bytes", c.name, now)
		})
		c.h.runs.Close(c.run.ID, ErrRunRevoked)
	}
	for _, c := range all {
		eventually(t, func() error {
			if n := c.h.server.slots.open.Load(); n != 0 && !strings.HasPrefix(c.name, "HTTP/2") { // which has other streams
				return fmt.Errorf("%s: %d connections of an ended run are open", c.name, n)
			}
			if c.h.answered("200") != 1 {
				return fmt.Errorf("%s: the exchange has not ended", c.name)
			}
			return nil
		})
	}
}

// A connection outlives a run where others may use it: only an answer under way is cut.
func TestAnAnswerThatWasTakenLeavesNothingToCutItsConnection(t *testing.T) {
	h := newHouse(t)
	run, _ := h.open(bearerManifest)
	s := newScope(t.Context(), run)
	defer s.end()
	s.cut = func() { t.Error("cut") }
	lingers := func(want bool) {
		t.Helper()
		eventually(t, func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if (s.linger != nil) != want {
				return fmt.Errorf("lingers: %t", !want)
			}
			return nil
		})
	}
	s.answers()
	lingers(false)
	h.runs.Close(run.ID, ErrRunRevoked)
	lingers(true)
	s.answered()
	lingers(false)
	s.answers() // of a request that came before the end
	lingers(true)
	s.answered()
	lingers(false)
}

// floodPlainly returns the port of an upstream that speaks no TLS.
func floodPlainly(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(flood)}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// tunnelAs opens an intercepted tunnel for HTTP/1.1 with a field of credentials.
func (h *house) tunnelAs(t *testing.T, auth string) net.Conn {
	c := h.dial()
	_, _ = fmt.Fprintf(c, "CONNECT api.localhost:%s HTTP/1.1\r\nHost: api.localhost\r\n%s\r\n\r\n", h.origin.port, auth)
	if _, err := io.ReadFull(c, make([]byte, len(established))); err != nil {
		t.Fatal(err)
	}
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: apiHost, NextProtos: []string{"http/1.1"}})
}

// streamAs asks over HTTP/2, and leaves the answer unread.
func (h *house) streamAs(t *testing.T, auth, path string) {
	name, value, _ := strings.Cut(auth, ": ")
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: h.addr}), ProxyConnectHeader: http.Header{name: {value}}}
	t.Cleanup(tr.CloseIdleConnections)
	resp, err := (&http.Client{Transport: tr}).Get(h.url(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.ProtoMajor != 2 {
		t.Fatal(resp.Proto)
	}
}

// What a plain connection gives in one Read may have been several records.
func TestAnUploadThatPausesIsSentAsFarAsItCame(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("outside Linux nobody asks a socket what has arrived")
	}
	near, far := connected(t)
	near = h1.Socket(near)
	const size = 4 * 16 << 10
	if _, err := far.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if n := h1.Arrived(near); n != size {
			return fmt.Errorf("%d bytes of %d are here", n, size)
		}
		return nil
	})
	b := &uploadBody{ReadCloser: io.NopCloser(io.MultiReader(strings.NewReader("buffered"), near)), ahead: &ahead{socket: near}, interrupt: func() {}}
	_ = near.SetReadDeadline(time.Now().Add(10 * time.Second))
	for sent := 0; sent < len("buffered")+size; {
		n, err := b.Read(make([]byte, 1<<20))
		if sent += n; err != nil {
			t.Fatalf("%d bytes had to wait for the client to go on: %v", n, err)
		}
	}
}
