package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// What a request may cost, counted and not timed. Who goes past one of these
// has made every request dearer: lower the cost, or raise the number and say in
// the commit what it buys.
const (
	allocsPerRequest = 13 // through the door: parse, wire, exchange, answer
	allocsOfOurs     = 3  // of these: match, resolve, strip, stamp, decide, scrub, record
	allocatedPerMiB  = 64 << 10
	writesPerMiB     = 24 // of a scrubbed body to the client; a TLS record's worth each is 64
)

// withoutRace: the detector allocates, and empties pools at random. `make unit`
// runs these tests once more without it.
func withoutRace(t *testing.T) {
	if raceDetector {
		t.Skip("allocations are counted without the race detector")
	}
}

func TestARequestStaysWithinItsAllocations(t *testing.T) {
	withoutRace(t)
	h := newHouse(t, allowLoopback)
	port := plainOrigin(t, jsonAnswer(1024))
	run, tok := h.open(plainManifest(port))
	once := h.plainTunnel(run, tok, port)
	must := func(f func() (int, error)) func() {
		return func() {
			if _, err := f(); err != nil {
				t.Fatal(err)
			}
		}
	}
	decryptedOnce(t, run, must(once))
	if n := testing.AllocsPerRun(500, must(once)); n > allocsPerRequest {
		t.Errorf("%v allocations a request, want %d at most", n, allocsPerRequest)
	}
	ctx := newScope(context.Background(), run)
	defer ctx.end()
	buf := make([]byte, 4<<10)
	read := func(resp *http.Response, err error) (int, error) {
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
		_ = resp.Body.Close()
		if err == io.EOF {
			err = nil
		}
		return 0, err
	}
	header := func() http.Header {
		return http.Header{"User-Agent": {"bench"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer placeholder"}}
	}
	bare := testing.AllocsPerRun(500, must(func() (int, error) {
		u := &url.URL{Scheme: "http", Host: "127.0.0.1:" + port, Opaque: "/v1/items"}
		r := (&http.Request{Method: "GET", URL: u, Host: u.Host, Header: header(), Body: http.NoBody}).WithContext(ctx)
		return read(h.wire.up.inlined.RoundTrip(r))
	}))
	whole := testing.AllocsPerRun(500, must(func() (int, error) {
		u := &url.URL{Scheme: "http", Host: "127.0.0.1:" + port, Path: "/v1/items"}
		r := (&http.Request{Method: "GET", URL: u, Host: u.Host, Header: header(), Body: http.NoBody, ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
		return read(h.wire.Do(run, r), nil)
	}))
	if whole-bare > allocsOfOurs {
		t.Errorf("the wire makes %v allocations beyond the exchange itself, want %d at most", whole-bare, allocsOfOurs)
	}
	t.Logf("allocations: %v for an exchange, %v with the wire", bare, whole)
}

func TestABodyIsNotCollected(t *testing.T) {
	withoutRace(t)
	const size = 1 << 20
	h := newHouse(t, allowLoopback)
	down := plainOrigin(t, jsonAnswer(size))
	run, tok := h.open(plainManifest(down))
	c, _, _ := h.connect(run, tok, "127.0.0.1:"+down, "")
	request := []byte("GET / HTTP/1.1\r\nHost: 127.0.0.1:" + down + "\r\n\r\n")
	buf := make([]byte, 64<<10)
	get := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(string(buf[max(0, n-5):n]), "0\r\n\r\n") {
				return
			}
		}
	}
	decryptedOnce(t, run, get)
	if n := allocated(20, get); n > allocatedPerMiB {
		t.Errorf("%d bytes are allocated for a body of 1 MiB, want %d at most", n, allocatedPerMiB)
	}
}

// decryptedOnce waits until the secrets file is old enough for its decryption to be
// kept: until then each request makes a new one.
func decryptedOnce(t *testing.T, run *Run, request func()) {
	t.Helper()
	generation := func() uint64 {
		request()
		return run.creds.Load().generation
	}
	eventually(t, func() error {
		if a, b := generation(), generation(); a != b {
			return fmt.Errorf("decryption %d, then %d", a, b)
		}
		return nil
	})
}

// allocated is how many bytes one f allocates.
func allocated(times int, f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / uint64(times)
}

// countingListener counts what is written to the connections that it accepts.
type countingListener struct {
	net.Listener
	writes, bytes atomic.Int64
}

type countingConn struct {
	net.Conn
	l *countingListener
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{c, l}, nil
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.l.writes.Add(1)
	c.l.bytes.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// A small answer goes out with its head in one write, and a large one in pieces
// that are worth it.
func TestAnAnswerTakesFewWrites(t *testing.T) {
	h := newHouse(t, allowLoopback)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingListener{Listener: ln}
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(counted) }()
	t.Cleanup(func() { _ = ln.Close(); <-served })
	h.addr = ln.Addr().String()
	for _, c := range []struct {
		size, writes int64
		kind         string
	}{{1 << 10, 1, "a small answer"}, {1 << 20, writesPerMiB, "1 MiB"}} {
		port := plainOrigin(t, jsonAnswer(int(c.size)))
		run, tok := h.open(plainManifest(port))
		tunnel, br, _ := h.connect(run, tok, "127.0.0.1:"+port, "")
		before, bytes := counted.writes.Load(), counted.bytes.Load()
		if _, err := fmt.Fprintf(tunnel, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n", port); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != c.size || err != nil {
			t.Fatal(n, err)
		}
		if n := counted.writes.Load() - before; n > c.writes {
			t.Errorf("%s took %d writes, want %d at most", c.kind, n, c.writes)
		}
		if n := counted.bytes.Load() - bytes; n > c.size+c.size/100+1024 {
			t.Errorf("%s took %d bytes", c.kind, n)
		}
	}
}
