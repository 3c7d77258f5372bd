package h1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream serves each connection by hand and counts them.
type upstream struct {
	t      *testing.T
	addr   string
	conns  atomic.Int32
	client *Client
}

func newUpstream(t *testing.T, serve func(c net.Conn, br *bufio.Reader, conn int)) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{t: t, addr: ln.Addr().String()}
	u.client = NewClient(Options{Dial: (&net.Dialer{}).DialContext, TLS: &tls.Config{}, HandshakeTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxIdlePerHost: 4, MaxIdle: 4})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n := int(u.conns.Add(1))
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c, bufio.NewReader(c), n)
			})
		}
	})
	t.Cleanup(func() { u.client.Close(); _ = ln.Close(); wg.Wait() })
	return u
}

// request makes one as the wire does: an opaque path, host and port.
func (u *upstream) request(ctx context.Context, method, path string, body string) *http.Request {
	r := (&http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: u.addr, Opaque: path}, Host: u.addr,
		Header: http.Header{"Accept": {"*/*"}}, Body: http.NoBody}).WithContext(ctx)
	if body != "" {
		r.ContentLength = int64(len(body))
		SetBody(r, []byte(body))
	}
	if !u.client.Takes(r) {
		u.t.Fatalf("%s %s is not taken", method, path)
	}
	return r
}

func (u *upstream) do(method, path, body string) (*http.Response, string, error) {
	resp, err := u.client.RoundTrip(u.request(context.Background(), method, path, body))
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, string(b), err
}

// answers serves requests with the same answer for ever.
func answers(text string) func(net.Conn, *bufio.Reader, int) {
	return func(c net.Conn, br *bufio.Reader, _ int) {
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

func TestAnswersAreReadToTheirEndAndConnectionsKept(t *testing.T) {
	for _, c := range []struct {
		name, method, answer, body string
		conns                      int32 // for three requests
	}{
		{"known length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 1},
		{"no body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 1},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "", 1},
		{"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 1},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", 1},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", 1},
		{"hints in front", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 1},
		{"LF alone", "GET", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "hello", 1},
		{"Connection: close", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "hello", 3},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 3},
		{"more than was asked for", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "hello", 3},
		{"POST", "POST", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUpstream(t, answers(c.answer))
			sent := ""
			if c.method == "POST" {
				sent = "a body"
			}
			for range 3 {
				resp, body, err := u.do(c.method, "/x?y", sent)
				if err != nil || body != c.body {
					t.Fatalf("%v %q %v", resp, body, err)
				}
			}
			if n := u.conns.Load(); n != c.conns {
				t.Errorf("%d connections, want %d", n, c.conns)
			}
		})
	}
}

func TestACutAnswerIsAnError(t *testing.T) {
	for name, answer := range map[string]string{
		"in the head":        "HTTP/1.1 200 OK\r\nContent-",
		"before the head":    "",
		"in the body":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
		"in a chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"before the end":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"two lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"endless hints":      strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 2*maxHead/28),
		"a head without end": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 2*maxHead/1000),
		"nonsense":           "nonsense\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, func(c net.Conn, br *bufio.Reader, _ int) {
				_, _ = http.ReadRequest(br)
				_, _ = io.WriteString(c, answer)
			})
			if _, body, err := u.do("GET", "/", ""); err == nil || errors.Is(err, io.EOF) && body != "" {
				t.Fatalf("%q %v", body, err)
			}
			if n := u.conns.Load(); n != 1 {
				t.Errorf("%d connections: asked again", n)
			}
		})
	}
}

// A connection that the upstream closed while it was idle is not used; one that
// it closes just as the request comes costs a safe request nothing.
func TestAStaleConnectionIsReplaced(t *testing.T) {
	for _, c := range []struct {
		method, body string
		again        bool
	}{{"GET", "", true}, {"HEAD", "", true}, {"POST", "", false}, {"POST", "a body", false}, {"DELETE", "", false}} {
		t.Run(c.method+c.body, func(t *testing.T) {
			closed := make(chan struct{})
			u := newUpstream(t, func(c net.Conn, br *bufio.Reader, n int) {
				_, _ = http.ReadRequest(br)
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
				_, err := http.ReadRequest(br)
				if n > 1 && err == nil {
					_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
				}
				if n == 1 {
					_ = c.Close() // it has read the second request, so the peek saw an open connection
					close(closed)
				}
			})
			if _, _, err := u.do("GET", "/", ""); err != nil {
				t.Fatal(err)
			}
			_, _, err := u.do(c.method, "/", c.body)
			if (err == nil) != c.again {
				t.Fatal(err)
			}
			<-closed
		})
	}
	t.Run("closed while idle", func(t *testing.T) {
		closed := make(chan struct{}, 2)
		u := newUpstream(t, func(c net.Conn, br *bufio.Reader, _ int) {
			_, _ = http.ReadRequest(br)
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			_ = c.Close()
			closed <- struct{}{}
		})
		for range 2 {
			if _, _, err := u.do("POST", "/", "a body"); err != nil {
				t.Fatal(err)
			}
			<-closed
			waitFor(t, "the end of the connection", func() bool {
				u.client.mu.Lock()
				defer u.client.mu.Unlock()
				for _, conns := range u.client.idle {
					for _, uc := range conns {
						if uc.socket.alive() {
							return false
						}
					}
				}
				return true
			})
		}
		if n := u.conns.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}

// waitFor waits for what nothing signals.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestTheEndOfTheContextEndsAnExchange(t *testing.T) {
	gone := make(chan struct{}, 2)
	u := newUpstream(t, func(c net.Conn, br *bufio.Reader, _ int) {
		r, err := http.ReadRequest(br)
		if err == nil && r.URL.Path == "/body" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
		}
		_, _ = br.ReadByte()
		gone <- struct{}{}
	})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := u.client.RoundTrip(u.request(ctx, "GET", "/head", "")); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-gone
	ctx, cancel = context.WithCancel(context.Background())
	resp, err := u.client.RoundTrip(u.request(ctx, "GET", "/body", ""))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-gone
	_ = resp.Body.Close()
}

func TestABodyThatIsClosedEarlyEndsItsConnection(t *testing.T) {
	gone := make(chan struct{})
	u := newUpstream(t, func(c net.Conn, br *bufio.Reader, _ int) {
		_, _ = http.ReadRequest(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
		_, _ = br.ReadByte()
		close(gone)
	})
	resp, err := u.client.RoundTrip(u.request(context.Background(), "GET", "/", ""))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	<-gone
}

func TestIdleConnectionsHaveALimitAndAnEnd(t *testing.T) {
	u := newUpstream(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
	var open []*http.Response
	for range 6 {
		resp, err := u.client.RoundTrip(u.request(context.Background(), "GET", "/", ""))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, resp)
	}
	for _, resp := range open {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if u.client.n != 4 {
		t.Fatalf("%d idle connections, want MaxIdlePerHost", u.client.n)
	}
	other := newUpstream(t, answers("HTTP/1.1 204 No Content\r\n\r\n"))
	r := other.request(context.Background(), "GET", "/", "")
	if _, err := u.client.RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	if u.client.n != 4 || len(u.client.idle[origin{"http", other.addr}]) != 1 {
		t.Fatalf("%d idle connections; the newest is kept and the oldest is not", u.client.n)
	}
	u.client.o.IdleTimeout = 0
	u.client.expire()
	if u.client.n != 0 || len(u.client.idle) != 0 {
		t.Fatalf("%d idle connections after their time", u.client.n)
	}
}

func TestTLSIsVerifiedAndResumed(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = fmt.Fprintf(w, "%s %s %v", r.Proto, r.TLS.ServerName, r.TLS.DidResume)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	o := Options{TLS: &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(4)}, HandshakeTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxIdlePerHost: 4, MaxIdle: 4,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
		}}
	c := NewClient(o)
	defer c.Close()
	get := func(c *Client, host string) (string, error) {
		resp, err := c.RoundTrip(&http.Request{Method: "GET", URL: &url.URL{Scheme: "https", Host: host + ":443", Opaque: "/"}, Host: host, Header: http.Header{}})
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	if s, err := get(c, "example.com"); err != nil || s != "HTTP/1.1 example.com false" {
		t.Fatal(s, err)
	}
	if s, err := get(c, "example.com"); err != nil || s != "HTTP/1.1 example.com true" {
		t.Fatal(s, err)
	}
	var name x509.HostnameError
	if _, err := get(c, "other.example"); !errors.As(err, &name) {
		t.Fatal(err)
	}
	o.TLS = &tls.Config{}
	var unknown x509.UnknownAuthorityError
	if _, err := get(NewClient(o), "example.com"); !errors.As(err, &unknown) {
		t.Fatal(err)
	}
}

func TestWhatNeedsMoreIsNotTaken(t *testing.T) {
	c := NewClient(Options{})
	for name, change := range map[string]func(*http.Request){
		"unknown length":       func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), -1 },
		"a body still to come": func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1 },
		"a large body":         func(r *http.Request) { SetBody(r, make([]byte, maxBody+1)); r.ContentLength = maxBody + 1 },
		"Upgrade":              func(r *http.Request) { r.Header["Upgrade"] = []string{"websocket"} },
		"Expect":               func(r *http.Request) { r.Header["Expect"] = []string{"100-continue"} },
		"a trailer":            func(r *http.Request) { r.Trailer = http.Header{"X": nil} },
		"no opaque path":       func(r *http.Request) { r.URL.Opaque, r.URL.Path = "", "/" },
		"two slashes":          func(r *http.Request) { r.URL.Opaque = "//evil/" },
		"line break in path":   func(r *http.Request) { r.URL.Opaque = "/\r\nX: y" },
		"line break in query":  func(r *http.Request) { r.URL.RawQuery = "\r\nX: y" },
		"line break in host":   func(r *http.Request) { r.Host = "a\r\nX: y" },
		"line break in value":  func(r *http.Request) { r.Header["X"] = []string{"a\r\nY: b"} },
		"line break in name":   func(r *http.Request) { r.Header["X\r\nY"] = []string{"a"} },
		"method":               func(r *http.Request) { r.Method = "GET /evil HTTP/1.1\r\n" },
		"CONNECT":              func(r *http.Request) { r.Method = "CONNECT" },
	} {
		r := &http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: "a:80", Opaque: "/"}, Host: "a", Header: http.Header{}}
		if !c.Takes(r) {
			t.Fatal("a plain request is not taken")
		}
		if change(r); c.Takes(r) {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzParseResponse: what is taken is taken by net/http too, and means the same.
func FuzzParseResponse(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 204\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nPragma: no-cache\r\n\r\n",
		"HTTP/1.1 999 \r\nContent-Length: 0\r\nConnection: a, close\r\nA: b\r\nA: c\r\n\r\n"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		n, err := Head(bufio.NewReaderSize(bytes.NewReader(b), 4<<10))
		if err != nil {
			return
		}
		r := &http.Request{Method: "GET"}
		if head {
			r.Method = "HEAD"
		}
		got := &http.Response{}
		length, ok := parseResponse(got, b[:n], r)
		if !ok {
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:n])), r)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", b[:n], err)
		}
		if hasBody := want.Body != http.NoBody && want.ContentLength > 0; hasBody != (length > 0) || hasBody && length != want.ContentLength {
			t.Fatalf("%q: a body of %d, want %d", b[:n], length, want.ContentLength)
		}
		want.Body, got.Body = nil, nil
		if got.Close {
			delete(got.Header, "Connection") // net/http forgets what else it named
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\ngot  %+v\nwant %+v", b[:n], got, want)
		}
	})
}
