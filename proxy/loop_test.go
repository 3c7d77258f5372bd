package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A request with an Upgrade to nothing we know is not for the loop: the same
// connection goes to net/http's server, which drops the field.
const notForTheLoop = "Upgrade: nothing/1\r\nConnection: upgrade\r\n"

// What a request meets does not depend on who read it. Each is made in a tunnel
// and outside, through the loop and past it.
func TestTheLoopAndTheServerAnswerAlike(t *testing.T) {
	h := newHouse(t)
	manifest := strings.Replace(bearerManifest, "profile: proxy_allowlist,", "profile: proxy_allowlist, allowed_methods: [GET, POST, HEAD], allowed_paths: [/ok/**, /],", 1)
	run, tok := h.open(manifest)
	h.origin.on("/ok/secret", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		w.Header().Set("Alt-Svc", `h3=":443"`)
		w.Header().Set("Latchgate-Error", "forged")
		_, _ = fmt.Fprintf(w, "you sent %s", r.Header.Get("Authorization"))
	})
	h.origin.on("/ok/none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h.origin.on("/ok/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Trailer")
		for range 3 {
			_, _ = io.WriteString(w, "piece "+token+" ")
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Trailer", token)
	})
	h.origin.on("/ok/body", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%d bytes, %q", len(b), r.Header["X-Forwarded"])
	})
	for _, c := range []struct{ name, method, path, field, body string }{
		{"stamped and scrubbed", "GET", "/ok/secret", "Authorization: Bearer mine", ""},
		{"by another spelling", "GET", "/ok/secret", "AUTHORIZATION: Bearer mine\r\nauthorization: Bearer mine", ""},
		{"no content", "GET", "/ok/none", "", ""},
		{"HEAD", "HEAD", "/ok/secret", "", ""},
		{"streamed, with a trailer", "GET", "/ok/stream", "TE: trailers", ""},
		{"a body", "POST", "/ok/body", "Content-Type: text/plain", "hello"},
		{"hop-by-hop", "POST", "/ok/body", "Connection: X-Forwarded\r\nX-Forwarded: for", "hello"},
		{"the path's one form", "GET", "/no/../ok//%6eone", "", ""},
		{"a path that is not allowed", "GET", "/no", "", ""},
		{"a method that is not allowed", "DELETE", "/ok/none", "", ""},
		{"a path that can't be read", "GET", "/ok/%00", "", ""},
		{"dots that servers read in two ways", "GET", "/ok/..;/no", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var answers []string
			for _, tunnelled := range []bool{true, false} {
				for _, extra := range []string{"", notForTheLoop} {
					answers = append(answers, h.ask(run, tok, tunnelled, c.method, c.path, c.field, extra, c.body))
				}
			}
			if len(slices.Compact(slices.Clone(answers))) != 1 {
				t.Errorf("in a tunnel:\n%s\nand past the loop:\n%s\noutside:\n%s\nand past the loop:\n%s", answers[0], answers[1], answers[2], answers[3])
			}
			if strings.Contains(answers[0], token) {
				t.Errorf("the secret came back: %s", answers[0])
			}
		})
	}
}

// ask makes a request and tells what came of it, less what differs by nature.
func (h *house) ask(run *Run, tok string, tunnelled bool, method, path, field, extra, body string) string {
	h.t.Helper()
	c, target := h.dial(), "https://"+apiHost+":"+h.origin.port+path
	if tunnelled {
		c, target = h.tunnelTLS(run, tok, apiHost), path
	} else {
		extra += "Proxy-Authorization: Bearer " + tok + "\r\n"
	}
	if field != "" {
		extra += field + "\r\n"
	}
	if body != "" {
		extra += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n%s\r\n%s", method, target, apiHost, h.origin.port, extra, body); err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		h.t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	_ = c.Close()
	for _, name := range []string{"Date", "Content-Length"} { // net/http makes a length of a small body that has none
		delete(resp.Header, name)
	}
	var head strings.Builder
	_ = resp.Header.Write(&head)
	return fmt.Sprintf("%d %s %q %v %q %v", resp.StatusCode, head.String(), got, err, resp.Trailer, resp.Close)
}

func TestAConnectionGoesFromTheLoopToTheServerAndLivesOn(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	h.origin.on("/sum", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%d", len(b))
	})
	c := h.tunnelTLS(run, tok, apiHost)
	br := bufio.NewReader(c)
	head := "Host: api.localhost:" + h.origin.port + "\r\n"
	large := strings.Repeat("x", 3*loopBuffer)
	// Some of it comes before its answer is there, as from a client that pipelines.
	for _, request := range []string{
		"GET / HTTP/1.1\r\n" + head + "\r\nGET / HTTP/1.1\r\n" + head + "\r\n",
		"POST /sum HTTP/1.1\r\n" + head + "Content-Length: 5\r\n\r\nhello",
		fmt.Sprintf("POST /sum HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%sGET / HTTP/1.1\r\n%[1]s\r\n", head, len(large), large),
		"POST /sum HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n" + head + "\r\n",
	} {
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"", "", "5", fmt.Sprint(len(large)), "", "5", ""} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || want != "" && string(body) != want {
			t.Fatalf("answer %d: %s %q %v, want %q", i, resp.Status, body, err, want)
		}
	}
	if n := testutil.ToFloat64(h.wire.metrics.tunnels.WithLabelValues("intercepted")); n != 1 {
		t.Errorf("%v tunnels are counted", n)
	}
	_ = c.Close()
	eventually(t, func() error {
		if n := testutil.ToFloat64(h.wire.metrics.tunnels.WithLabelValues("intercepted")); n != 0 {
			return fmt.Errorf("%v tunnels are counted after the end", n)
		}
		return nil
	})
}

// A small body often comes in a packet of its own. One that does not come is not
// waited for: the upstream hears of its request.
func TestASmallBodyMayFollowItsHead(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	begun := make(chan struct{}, 2)
	h.origin.on("/sum", func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	c := h.tunnelTLS(run, tok, apiHost)
	for _, late := range []bool{false, true} {
		_, _ = io.WriteString(c, "POST /sum HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\nContent-Length: 5\r\n\r\n")
		if late {
			_, _ = io.WriteString(c, "h")
			<-begun
			_, _ = io.WriteString(c, "ello")
		} else {
			_, _ = io.WriteString(c, "hello")
			<-begun
		}
		if resp, body := raw(t, c, ""); resp.StatusCode != 200 || body != "hello" {
			t.Fatalf("%s %q", resp.Status, body)
		}
	}
}

// A head that is not there whole has the header limit, however long its
// connection may be idle.
func TestAHeadThatStaysAwayIsNotWaitedForAsAnIdleClientIs(t *testing.T) {
	h := newHouse(t, func(_ *WireConfig, s *ServerConfig, _ *policyOptions) {
		s.HeaderTimeout, s.IdleTimeout = 500*time.Millisecond, time.Hour
	})
	run, tok := h.open(bearerManifest)
	head := "GET / HTTP/1.1\r\nHost: api.localhost:" + h.origin.port + "\r\n"
	for name, part := range map[string]string{
		"a byte":     head[:1],
		"half":       head,
		"a long one": head + "A: " + strings.Repeat("a", 2*len(incoming{}.space)) + "\r\n",
	} {
		c := h.tunnelTLS(run, tok, apiHost)
		for range 2 {
			if resp, _ := raw(t, c, head+"\r\n"); resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
		}
		_, _ = io.WriteString(c, part)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("%s: %d %v", name, n, err)
		}
	}
}

// While a client waits for long it is watched, which sets other deadlines.
func TestAConnectionLivesOnAfterASlowAnswer(t *testing.T) {
	h := newHouse(t, func(_ *WireConfig, s *ServerConfig, _ *policyOptions) { s.IdleTimeout = time.Hour })
	run, tok := h.open(bearerManifest)
	slow := make(chan struct{})
	h.origin.on("/slow", func(http.ResponseWriter, *http.Request) { <-slow })
	c := h.tunnelTLS(run, tok, apiHost)
	head := " HTTP/1.1\r\nHost: api.localhost:" + h.origin.port + "\r\n\r\n"
	raw(t, c, "GET /"+head)
	_, _ = io.WriteString(c, "GET /slow"+head)
	eventually(t, func() error {
		ls := &h.server.loops
		ls.mu.Lock()
		defer ls.mu.Unlock()
		for l := range ls.all {
			l.watch.mu.Lock()
			watched := l.watch.reading != nil
			l.watch.mu.Unlock()
			if watched {
				return nil
			}
		}
		return errors.New("the client is not watched")
	})
	close(slow)
	for _, request := range []string{"", "GET /" + head} {
		if resp, _ := raw(t, c, request); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
}

func TestAPanicEndsItsConnectionAlone(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	c := h.tunnelTLS(run, tok, apiHost)
	good := h.wire
	h.server.SetWire(&Wire{}) // one that was not made by NewWire
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes came", n)
	}
	h.server.SetWire(good)
	if resp, _ := get(t, h.client(run, tok), h.url("/")); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	if !strings.Contains(h.log.String(), "a panic ended a connection") {
		t.Errorf("the log:\n%s", h.log.String())
	}
}

func TestShutdownClosesConnectionsThatAreIdle(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	head := "GET https://api.localhost:" + h.origin.port + "/ HTTP/1.1\r\nHost: api.localhost:" + h.origin.port + "\r\nProxy-Authorization: Bearer " + tok + "\r\n\r\n"
	tunnel, outside := h.tunnelTLS(run, tok, apiHost), h.dial()
	raw(t, tunnel, head)
	raw(t, outside, head)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // less than they may be idle
	defer cancel()
	if err := h.server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]io.Reader{"tunnel": tunnel, "outside": outside} {
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: %d %v", name, n, err)
		}
	}
}

// A server that speaks nothing but HTTP/2 is reached by clients of HTTP/1.1 too.
func TestAnUpstreamOfHTTP2AloneIsReached(t *testing.T) {
	h := newHouse(t)
	h.origin.h2alone.Store(true)
	run, tok := h.open(bearerManifest)
	for range 2 {
		if resp, body := get(t, h.client(run, tok), h.url("/")); resp.StatusCode != 200 {
			t.Fatalf("%s %s", resp.Status, body)
		}
		if got := h.origin.last(t); got.ProtoMajor != 2 || got.Header.Get("Authorization") != "Bearer "+token {
			t.Fatalf("%s %v", got.Proto, got.Header)
		}
	}
}
