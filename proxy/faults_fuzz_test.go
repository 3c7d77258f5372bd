package proxy

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// FuzzProxyCredentials: whatever a client sends as its credentials is taken
// apart without loss, and opens nothing but with the token.
func FuzzProxyCredentials(f *testing.F) {
	runs := NewRuns(0, nil)
	f.Cleanup(runs.CloseAll)
	run, tok, err := runs.Open(RunConfig{})
	if err != nil {
		f.Fatal(err)
	}
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, s := range []string{
		"", "Basic", "Basic ", basic(":"), basic("run-1:"), basic(":token"), basic("run-1:a:b"), "basic  " + basic("a:b")[6:], "Basic !",
		"Bearer ", "Bearer token", "bearer run-1:token", "Bearer :", "Digest a", "Basic\ta", basic("\x00:\xff"),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		id, token, ok := proxyCredentials(field)
		if ok && token == "" || !ok && (id != "" && token != "") {
			t.Errorf("%q gives %q, %q, %t", field, id, token, ok)
		}
		for _, again := range []string{basic(id + ":" + token), "Bearer " + strings.TrimPrefix(id+":"+token, ":")} {
			if !ok || id == "" && strings.HasPrefix(again, "Basic") || strings.HasPrefix(again, "Bearer") && strings.Trim(token, " ") != token ||
				strings.HasPrefix(again, "Bearer") && strings.HasPrefix(id, " ") {
				continue
			}
			if i, tk, ok := proxyCredentials(again); !ok || i != id || tk != token {
				t.Errorf("%q gives %q and %q; %q gives %q and %q", field, id, token, again, i, tk)
			}
		}
		for _, fields := range [][]string{{field}, {field, field}} {
			found := runs.identify(http.Header{"Proxy-Authorization": fields}, time.Now())
			if found != nil && (len(fields) > 1 || token != tok || id != "" && id != run.ID) {
				t.Errorf("%q opens the run", fields)
			}
		}
	})
}

// FuzzInsideATunnel writes anything into an intercepted tunnel. Whatever
// arrives at the upstream in consequence is a request that was checked: to the
// tunnel's authority, at an allowed path in its canonical form, with our
// credential and no other; and nothing that comes back holds it.
func FuzzInsideATunnel(f *testing.F) {
	up := newWitness(f)
	h := newHouse(f)
	h.origin.port = up.port
	run, tok := h.open(strings.Replace(bearerManifest, "profile: proxy_allowlist,", "profile: proxy_allowlist, allowed_paths: [/ok/**],", 1))
	const host = "Host: api.localhost:PORT\r\n"
	for _, s := range []string{
		"GET /ok/a HTTP/1.1\r\n" + host + "\r\n",
		"GET /no HTTP/1.1\r\n" + host + "\r\nGET /ok/b HTTP/1.1\r\n" + host + "\r\n",
		"GET /ok/../no HTTP/1.1\r\n" + host + "\r\n",
		"GET /ok/%2e%2e/no HTTP/1.1\r\n" + host + "\r\n",
		"GET /no/../ok/x HTTP/1.1\r\n" + host + "\r\n",
		"GET /%6eo/%2E%2e//ok//x HTTP/1.1\r\n" + host + "\r\n",
		"GET /ok/a%0d%0aX:y?q=%0a HTTP/1.1\r\n" + host + "\r\n",
		"GET http://api.localhost:PORT/ok/a HTTP/1.1\r\n" + host + "\r\n",
		"GET /ok/ HTTP/1.1\r\n" + host + "Authorization: Bearer mine\r\nauthorization : x\r\n\r\n",
		"GET /ok/ HTTP/1.1\r\n" + host + "X-A: b\r\n Authorization: c\r\nAUTHORIZATION: d\r\n\r\n",
		"POST /ok/ HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello",
		"POST /ok/ HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /no HTTP/1.1\r\n" + host + "\r\n",
		"POST /ok/ HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 44\r\n\r\nGET /no HTTP/1.1\r\n" + host + "\r\n",
		"POST /ok/ HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST /ok/ HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n5;x=\"y\r\n\"\r\nhello\r\n0\r\nAuthorization: x\r\n\r\n",
		"POST /ok/ HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\nConnection: Authorization, keep-alive\r\n\r\n0\r\n\r\n",
		"GET /ok/ HTTP/1.1\nHost: api.localhost:PORT\n\n",
		"GET\t/ok/\tHTTP/1.1\r\n" + host + host + "\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\n" + host + "\r\n",
		"GET /ok/ HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		"GET /ok/ HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	const last = "GET /ok/last HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n"
	open := fmt.Sprintf("CONNECT api.localhost:%s HTTP/1.1\r\nProxy-Authorization: Basic %s\r\n\r\n", up.port,
		base64.StdEncoding.EncodeToString([]byte(run.ID+":"+tok)))
	f.Fuzz(func(t *testing.T, inside []byte) {
		if len(inside) > 4<<10 || len(inside) > 0 && inside[0] == 0x16 {
			return
		}
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, open); err != nil {
			t.Fatal(err)
		}
		br := bufio.NewReader(c)
		if resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect}); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		// The last request ends the connection, unless what is before it takes it
		// for something else; then the input ends. That comes late, since to a
		// server the end of its input is a client that has gone away.
		_, _ = c.Write(bytes.ReplaceAll(append(inside[:len(inside):len(inside)], last...), []byte("PORT"), []byte(up.port)))
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		back, err := io.ReadAll(br)
		if isTimeout(err) {
			_ = c.SetReadDeadline(time.Time{})
			_ = c.(*net.TCPConn).CloseWrite()
			rest, _ := io.ReadAll(br)
			back = append(back, rest...)
		}
		if bytes.Contains(back, []byte(token)) {
			t.Errorf("the credential came back: %q", back)
		}
		for _, fault := range up.faults() {
			t.Error(fault)
		}
	})
}

// witness is an upstream over plain HTTP that judges what arrives.
type witness struct {
	port string
	mu   sync.Mutex
	idle *sync.Cond
	open int
	bad  []string
}

func newWitness(t testing.TB) *witness {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &witness{}
	u.idle = sync.NewCond(&u.mu)
	_, u.port, _ = net.SplitHostPort(ln.Addr().String())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go u.serve(c)
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done; u.faults() })
	return u
}

// serve reads all that comes on a connection, and answers the first request
// with its own head as the body.
func (u *witness) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	br := bufio.NewReader(c)
	if _, err := br.Peek(1); err != nil {
		return // dialled in advance and never used
	}
	u.busy(1)
	defer u.busy(-1)
	for first := true; ; first = false {
		r, err := http.ReadRequest(br)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, new(*net.OpError)) {
				u.note("what arrived is no request: %v", err)
			}
			return
		}
		u.judge(r)
		var head bytes.Buffer
		_ = r.Header.Write(&head)
		if first && r.ContentLength == 0 {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", head.Len(), head.Bytes())
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if first && r.ContentLength != 0 {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", head.Len(), head.Bytes())
		}
	}
}

func (u *witness) busy(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open += n
	u.idle.Broadcast()
}

func (u *witness) judge(r *http.Request) {
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path+"/", "/ok/") || strings.Contains(path, "/../") || strings.Contains(path, "//") || !strings.HasPrefix(r.RequestURI, "/ok") {
		u.note("path %q, target %q", path, r.RequestURI)
	}
	if r.Host != "api.localhost:"+u.port {
		u.note("host %q", r.Host)
	}
	for name, values := range r.Header {
		if sameName(name, "Authorization") && (name != "Authorization" || len(values) != 1 || values[0] != "Bearer "+token) {
			u.note("%s: %q", name, values)
		}
		if strings.HasPrefix(name, "Proxy-") {
			u.note("%s arrived", name)
		}
	}
	if len(r.Header["Authorization"]) == 0 {
		u.note("no credential on %q", r.RequestURI)
	}
}

func (u *witness) note(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bad = append(u.bad, fmt.Sprintf(format, args...))
}

// faults waits until every request that arrived was read to its end and
// returns what was wrong with them. One whose client did not wait for the
// answer may arrive later: it is told of by the next call.
func (u *witness) faults() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.open > 0 {
		u.idle.Wait()
	}
	bad := u.bad
	u.bad = nil
	return bad
}
