package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/proxy/h1"
)

func block(fields ...string) []byte {
	var b strings.Builder
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return []byte(b.String())
}

// rawH2 is an upstream that answers each HTTP/2 request frame by frame.
func rawH2(t testing.TB, answer func(fr *http2.Framer, id uint32)) *house {
	return rawUpstream(t, "h2", func(c net.Conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil {
			return
		}
		fr := http2.NewFramer(c, c)
		_ = fr.WriteSettings()
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = fr.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				answer(fr, f.StreamID)
			}
		}
	})
}

// rawH1 is an HTTP/1.1 upstream that answers each request with what answer writes.
func rawH1(t testing.TB, answer func(c net.Conn, r *http.Request) bool) *house {
	return rawUpstream(t, "http/1.1", func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(br)
			if err != nil || !answer(c, r) {
				return
			}
		}
	})
}

// rawUpstream is a house whose upstream speaks protocol as serve does.
func rawUpstream(t testing.TB, protocol string, serve func(net.Conn)) *house {
	t.Helper()
	ca, err := certs.Open(t.TempDir(), certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Leaf(apiHost)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				if c.(*tls.Conn).Handshake() == nil {
					serve(c)
				}
			})
		}
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.RootPEM())
	t.Cleanup(func() { _ = ln.Close() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	h := newHouse(t, func(wc *WireConfig, _ *ServerConfig, _ *policy.Options) { wc.Upstream.Roots = roots })
	h.origin.port = port
	return h
}

type distinct struct {
	mu   sync.Mutex
	seen []string
}

func (d *distinct) add(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.seen, s) {
		d.seen = append(d.seen, s)
	}
}

func (d *distinct) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

func throughPort(t *testing.T, addr *net.TCPAddr) houseOption {
	t.Helper()
	u, err := url.Parse("http://" + addr.String())
	if err != nil {
		t.Fatal(err)
	}
	return func(wc *WireConfig, _ *ServerConfig, _ *policyOptions) { wc.Upstream.Proxy = u }
}

type oneSession struct{ s *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.s, o.s != nil }

func (o *oneSession) Put(_ string, s *tls.ClientSessionState) { o.s = s }

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// stalledUpload begins a chunked upload in a tunnel and sends no more of it.
func (h *house) stalledUpload(run *Run, tok, path string) *tls.Conn {
	c := h.tunnelTLS(run, tok, apiHost)
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s:%s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", path, apiHost, h.origin.port); err != nil {
		h.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	return c
}

// An answer that nobody asked for, right behind one that somebody did, is never the
// answer to another request: net/http gives a connection away before it looks.
func TestAnotherAnswerIsNoAnswerToAnotherStream(t *testing.T) {
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard) // where net/http quotes it
	h := rawH1(t, func(c net.Conn, _ *http.Request) bool {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked")
		return err == nil
	})
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true })
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for range 50 { // two or three of all would get another's
				resp, err := client.Get(h.url("/"))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if len(got) > 0 || err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("%s %q, %v", resp.Status, got, err)
				}
			}
		})
	}
	wg.Wait()
}

// Until net/http waits for more, it may have got more.
func TestAConnectionThatNobodyReadsIsNotUsedAgain(t *testing.T) {
	near, far := connected(t)
	d := newDialled(h1.Socket(near))
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		_, _ = d.Read(make([]byte, 1))
	}()
	settle(httptrace.GotConnInfo{Conn: d, Reused: true})
	if d.open.Err() != nil {
		t.Fatal("it was closed though it waits")
	}
	if _, err := far.Write([]byte("xy")); err != nil {
		t.Fatal(err)
	}
	<-reading
	settle(httptrace.GotConnInfo{Conn: d, Reused: true})
	if d.open.Err() == nil && runtime.GOOS == "linux" {
		t.Error("it is used again though nobody has looked at it")
	}
}
