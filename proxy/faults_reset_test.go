package proxy

import (
	"bufio"
	"crypto/tls"
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

// cut ends a connection: with a reset, or as one that was closed.
func cut(c net.Conn, reset bool) {
	if tc, ok := c.(*net.TCPConn); ok && reset {
		_ = tc.SetLinger(0)
	}
	_ = c.Close()
}

// An upstream that breaks off at any byte of its answer gives an error, or an
// answer that breaks off: never one that looks whole, and never a secret.
func TestAnUpstreamThatBreaksOffAtAnyByteIsNeverTakenForWhole(t *testing.T) {
	echo := "Bearer " + token
	for name, answer := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 49\r\nX-Echo: " + echo + "\r\n\r\n" + "hello, " + echo + " and goodbye",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n1e\r\n" + echo + "\r\n0\r\nX-Sum: 1\r\n\r\n",
		"hints":   "HTTP/1.1 103 Early Hints\r\nX-Echo: " + echo + "\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
	} {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reset %t", name, reset), func(t *testing.T) {
				at := make(chan int, 1)
				port := listen(t, func(c net.Conn) {
					if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
						return
					}
					_, _ = io.WriteString(c, answer[:<-at])
					cut(c, reset)
				})
				h := newHouse(t)
				h.origin.port = port
				run, tok := h.open(bearerManifest)
				client := h.client(run, tok)
				head := strings.LastIndex(answer, "HTTP/1.1 ") + strings.Index(answer[strings.LastIndex(answer, "HTTP/1.1 "):], "\r\n\r\n") + 4
				for k := range len(answer) + 1 {
					at <- k
					resp, err := client.Get("http://api.localhost:" + port + "/")
					if err != nil {
						t.Fatalf("%d of %d bytes: %v", k, len(answer), err)
					}
					body, err := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					whole := err == nil && resp.StatusCode < 300
					switch {
					case strings.Contains(string(body)+fmt.Sprint(resp.Header), token):
						t.Fatalf("%d bytes: the secret came through", k)
					case k < head && resp.Header.Get("Latchgate-Error") != string(UpstreamUnreachable):
						t.Fatalf("%d of %d bytes: %s %q %v", k, len(answer), resp.Status, body, err)
					case whole && k < len(answer):
						t.Fatalf("%d of %d bytes: %q looks whole", k, len(answer), body)
					case !whole && k == len(answer) && !reset:
						t.Fatalf("all of it: %s %q %v", resp.Status, body, err)
					}
				}
			})
		}
	}
}

// A client that breaks off at any byte leaves nothing behind, and its request
// is never sent as a whole one.
func TestAClientThatBreaksOffAtAnyByteLeavesNothingBehind(t *testing.T) {
	h := newHouse(t)
	up := newWitness(t)
	h.origin.port = up.port
	run, tok := h.open(bearerManifest)
	request := "POST /ok/x HTTP/1.1\r\nHost: api.localhost:" + up.port + "\r\nContent-Length: 5\r\n\r\nhello"
	chunked := "POST /ok/x HTTP/1.1\r\nHost: api.localhost:" + up.port + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	before := settled(t, h)
	for _, said := range []string{h.connectHead(run, tok, apiHost+":"+up.port) + request, h.connectHead(run, tok, apiHost+":"+up.port) + chunked} {
		for k := range len(said) {
			c := h.dial()
			_, _ = io.WriteString(c, said[:k])
			if k%3 == 2 { // some wait for what there is to read first
				_ = c.(*net.TCPConn).CloseWrite()
				back, _ := io.ReadAll(c)
				if strings.Contains(string(back), token) {
					t.Fatalf("%d bytes: the secret came through", k)
				}
			}
			cut(c, k%3 == 1)
		}
	}
	after := settledTo(t, h, before)
	for _, fault := range up.faults() {
		t.Error(fault)
	}
	if whole := h.answered("200"); whole != 0 {
		t.Errorf("%v cut requests were answered", whole)
	}
	t.Logf("%d goroutines before, %d after", before, after)
}

// The same under TLS, where what is cut is a handshake, a record or a request.
func TestATunnelThatIsCutAtAnyByteLeavesNothingBehind(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	connect := h.connectHead(run, tok, apiHost+":"+h.origin.port)
	before := settled(t, h)
	for _, reading := range []bool{false, true} {
		for k := 1; ; k += 13 {
			c := &cutConn{Conn: h.dial(), left: k, reading: reading}
			g := &gluedConn{Conn: c, before: connect}
			tc := tls.Client(g, &tls.Config{InsecureSkipVerify: true, ServerName: apiHost})
			_, err := io.WriteString(tc, "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
			if err == nil {
				var resp *http.Response
				if resp, err = http.ReadResponse(bufio.NewReader(tc), nil); err == nil {
					_, err = io.ReadAll(resp.Body)
				}
			}
			_ = c.Close()
			if err == nil {
				break // the whole exchange fits into k bytes
			}
			if k > 100_000 {
				t.Fatal(err)
			}
		}
	}
	settledTo(t, h, before)
}

// cutConn is reset when left bytes have been written, or read.
type cutConn struct {
	net.Conn
	left    int
	reading bool
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.reading {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 {
		cut(c.Conn, true)
		return n, net.ErrClosed
	}
	return n, err
}

func (c *cutConn) Read(p []byte) (int, error) {
	if !c.reading {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 {
		cut(c.Conn, true)
		return n, net.ErrClosed
	}
	return n, err
}

// settled waits until no tunnel is open and nothing of one is left, and returns
// the number of goroutines then.
func settled(t testing.TB, h *house) int {
	t.Helper()
	return settledTo(t, h, 1<<30)
}

func settledTo(t testing.TB, h *house, limit int) (n int) {
	t.Helper()
	last := -1
	eventually(t, func() error {
		h.wire.Close() // idle upstream connections are no leak
		for _, kind := range []string{"blind", "intercepted"} {
			if n := testutil.ToFloat64(h.wire.metrics.tunnels.WithLabelValues(kind)); n != 0 {
				return fmt.Errorf("%v %s tunnels are counted as open", n, kind)
			}
		}
		if n := h.server.slots.open.Load(); n != 0 {
			return fmt.Errorf("%d connections are counted as open", n)
		}
		n = runtime.NumGoroutine()
		if n > limit || n != last {
			last = n
			time.Sleep(20 * time.Millisecond)
			return fmt.Errorf("%d goroutines, at most %d before", n, limit)
		}
		return nil
	})
	return n
}
