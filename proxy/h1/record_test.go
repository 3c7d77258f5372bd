package h1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// glued writes what was written to it together.
type glued struct {
	net.Conn
	kept bytes.Buffer
	keep bool
}

func (g *glued) Write(p []byte) (int, error) {
	if g.keep {
		return g.kept.Write(p)
	}
	return g.Conn.Write(p)
}

func (g *glued) flush() {
	g.keep = false
	_, _ = g.kept.WriteTo(g.Conn)
}

// An answer that nobody asked for, in a TLS record that came with the last one,
// is not in the socket any more: it must not be the answer to the next request.
func TestAnotherRecordIsNoAnswerToTheNextRequest(t *testing.T) {
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	defer pair.Close()
	roots := x509.NewCertPool()
	roots.AddCert(pair.Certificate())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			g := &glued{Conn: c}
			session := tls.Server(g, pair.TLS)
			br := bufio.NewReader(session)
			for {
				if _, err := http.ReadRequest(br); err != nil {
					break
				}
				g.keep = true
				_, _ = io.WriteString(session, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
				_, _ = io.WriteString(session, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				g.flush()
			}
			_ = c.Close()
		}
	}()
	client := NewClient(Options{Dial: (&net.Dialer{}).DialContext, TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}, HandshakeTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxIdlePerHost: 4, MaxIdle: 4})
	defer func() { client.Close(); _ = ln.Close(); <-served }()
	for range 3 {
		r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+ln.Addr().String(), nil)
		r.URL.Opaque = "/"
		resp, err := client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if string(body) != "hello" || err != nil {
			t.Fatalf("%q %v", body, err)
		}
	}
	if n := conns.Load(); n != 3 {
		t.Errorf("%d connections for 3 requests", n)
	}
}
