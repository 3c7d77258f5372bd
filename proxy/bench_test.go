package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/proxy/target"
)

// plainOrigin answers each request on a connection with the same bytes, and
// allocates nothing while it does: what a measurement sees is ours.
func plainOrigin(tb testing.TB, answer string) (port string) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	reply := []byte(answer)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 16<<10)
				for n := 0; ; {
					k, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					if n += k; n < 4 || string(buf[n-4:n]) != "\r\n\r\n" {
						continue
					}
					n = 0
					if _, err := c.Write(reply); err != nil {
						return
					}
				}
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// jsonAnswer is an answer of the kind that APIs give, with a body of that size.
func jsonAnswer(size int) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(size) +
		"\r\nCache-Control: no-store\r\nX-Request-Id: req_011CSHoEeqs5C35K2UUqR7Fy\r\nX-Ratelimit-Remaining: 4999\r\n" +
		"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\nServer: bench\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n" +
		strings.Repeat(`{"id":12345,"name":"something","ok":true},`, size/42+1)[:size]
}

// tunnel opens a plain tunnel to the origin at port, and returns a function that
// makes one request in it and reads the answer.
func (h *house) plainTunnel(run *Run, tok, port string) (once func() (int, error)) {
	c, _, resp := h.connect(run, tok, "127.0.0.1:"+port, "")
	if resp.StatusCode != 200 {
		h.t.Fatal(resp.Status)
	}
	request := []byte("GET /v1/items?limit=10 HTTP/1.1\r\nHost: 127.0.0.1:" + port + "\r\nUser-Agent: bench\r\nAccept: application/json\r\n" +
		"Accept-Encoding: gzip\r\nAuthorization: Bearer placeholder\r\n\r\n")
	buf := make([]byte, 64<<10)
	want := 0
	return func() (int, error) {
		if _, err := c.Write(request); err != nil {
			return 0, err
		}
		for n := 0; ; {
			k, err := c.Read(buf[n:])
			if err != nil {
				return 0, err
			}
			n += k
			if want == 0 {
				head := strings.Index(string(buf[:n]), "\r\n\r\n")
				if head < 0 {
					continue
				}
				r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(buf[:n]))), nil)
				if err != nil {
					return 0, err
				}
				want = head + 4 + int(r.ContentLength)
			}
			if n >= want {
				return n, nil
			}
		}
	}
}

func plainManifest(port string) string {
	return fmt.Sprintf(`
action_id: api
egress: {profile: proxy_allowlist, allowed_domains: ["127.0.0.1:%s"]}
secrets: [{name: TOKEN, required: true}]
`, port)
}

func allowLoopback(w *WireConfig, _ *ServerConfig, _ *policyOptions) {
	w.Upstream.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// BenchmarkDoor is a request through the door and back: client, proxy and origin
// over loopback, without TLS.
func BenchmarkDoor(b *testing.B) {
	h := newHouse(b, allowLoopback)
	port := plainOrigin(b, jsonAnswer(1024))
	run, tok := h.open(plainManifest(port))
	once := h.plainTunnel(run, tok, port)
	if _, err := once(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := once(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWire is the same without the door.
func BenchmarkWire(b *testing.B) {
	h := newHouse(b, allowLoopback)
	port := plainOrigin(b, jsonAnswer(1024))
	run, _ := h.open(plainManifest(port))
	ctx := newScope(context.Background(), run)
	defer ctx.end()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/v1/items?limit=10", nil)
	if err != nil {
		b.Fatal(err)
	}
	header := http.Header{"User-Agent": {"bench"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer placeholder"}}
	to := *r.URL
	buf := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		u := to
		r.URL, r.Header = &u, header.Clone()
		resp := h.wire.Do(run, r)
		for {
			if _, err := resp.Body.Read(buf); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			b.Fatal(resp.Status)
		}
	}
}

// BenchmarkOwnWork is what a request costs beyond reading and writing: match,
// resolve from the cache, strip, stamp, decide, record.
func BenchmarkOwnWork(b *testing.B) {
	h := newHouse(b, allowLoopback)
	run, _ := h.open(bearerManifest)
	header := http.Header{"User-Agent": {"bench"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer placeholder"}}
	u, err := url.Parse(h.url("/v1/items?limit=10"))
	if err != nil {
		b.Fatal(err)
	}
	r := (&http.Request{Method: http.MethodGet, Body: http.NoBody, Header: header.Clone()}).WithContext(context.Background())
	b.ReportAllocs()
	for b.Loop() {
		to := *u
		r.URL, r.Header["Authorization"] = &to, header["Authorization"]
		x := &exchange{wire: h.wire, run: run, started: h.wire.now(), method: r.Method}
		t, path, err := target.FromURL(r.URL)
		x.target = t
		if err != nil {
			b.Fatal(err)
		}
		if path, denied := x.prepare(r, path); denied != nil || x.mayIt(r.Method, path) != nil || x.stamp(r, path) != nil {
			b.Fatal("denied")
		}
		x.sent, x.status = true, 200
		x.record(nil)
		x.releaseSecrets()
	}
}
