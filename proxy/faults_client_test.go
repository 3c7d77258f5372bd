package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// connectHead is a CONNECT with the run's credentials.
func (h *house) connectHead(run *Run, tok, authority string) string {
	auth := base64.StdEncoding.EncodeToString([]byte(run.ID + ":" + tok))
	return fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n", authority, authority, auth)
}

func (h *house) denials(code Code) float64 {
	return testutil.ToFloat64(h.wire.metrics.denied.WithLabelValues(string(code)))
}

func (h *house) answered(status string) float64 {
	return testutil.ToFloat64(h.wire.metrics.requests.WithLabelValues("api", "api.localhost:"+h.origin.port, "POST", status)) +
		testutil.ToFloat64(h.wire.metrics.requests.WithLabelValues("api", "api.localhost:"+h.origin.port, "GET", status))
}

func (h *house) audited() string {
	h.t.Helper()
	if err := h.wire.audit.Sync(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	data, err := os.ReadFile(h.auditLog)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

// A client that gives up is not a fault of the upstream, and nothing that
// latchgate refused.
func TestAClientThatGivesUpIsRecordedAsGone(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			h := newHouse(t)
			run, tok := h.open(bearerManifest)
			started := make(chan struct{})
			h.origin.on("/slow", func(_ http.ResponseWriter, r *http.Request) {
				close(started)
				<-r.Context().Done()
			})
			ctx, cancel := context.WithCancel(context.Background())
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.url("/slow"), nil)
			ended := make(chan error, 1)
			client := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = proto == "h2" })
			go func() { _, err := client.Do(r); ended <- err }()
			<-started
			cancel()
			<-ended
			eventually(t, func() error {
				if n := h.answered("499"); n != 1 {
					return fmt.Errorf("%v requests with 499", n)
				}
				return nil
			})
			if n := h.denials(UpstreamUnreachable) + h.denials(ClientGone); n != 0 {
				t.Errorf("counted %v times as refused", n)
			}
			if record := h.audited(); !strings.Contains(record, `"code":"client_gone"`) || !strings.Contains(record, `"kind":"request"`) {
				t.Errorf("the record: %s", record)
			}
			if strings.Contains(h.log.String(), "request refused") {
				t.Errorf("the log: %s", h.log)
			}
		})
	}
}

// A body that is malformed or cut short is the client's fault.
func TestABodyThatBreaksOffIsTheClientsFault(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	h.origin.on("/up", func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("the upstream took a cut body for a whole one")
		}
		panic(http.ErrAbortHandler)
	})
	const head = "POST /up HTTP/1.1\r\nHost: api.localhost:PORT\r\n"
	for name, request := range map[string]string{
		"chunk size":   "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
		"no CRLF":      "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX3\r\n",
		"end of input": "Content-Length: 10\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			c := h.tunnelTLS(run, tok, apiHost)
			if _, err := io.WriteString(c, strings.ReplaceAll(head+request, "PORT", h.origin.port)); err != nil {
				t.Fatal(err)
			}
			_ = c.CloseWrite()
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return // gone before it could be told
			}
			if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != 499 {
				t.Errorf("%s", resp.Status)
			}
		})
	}
	eventually(t, func() error {
		if n := h.answered("400") + h.answered("499"); n != 3 {
			return fmt.Errorf("%v requests", n)
		}
		return nil
	})
	if n := h.denials(UpstreamUnreachable); n != 0 {
		t.Errorf("%v times the upstream's fault", n)
	}
}

// A client that says something and then nothing is given the header time.
func TestSlowClientsAreGivenUp(t *testing.T) {
	h := newHouse(t, func(_ *WireConfig, s *ServerConfig, _ *policyOptions) { s.HeaderTimeout = 50 * time.Millisecond })
	run, tok := h.open(bearerManifest)
	connect := h.connectHead(run, tok, apiHost+":"+h.origin.port)
	hello := string(clientHello(t))
	for name, said := range map[string]string{
		"nothing":                        "",
		"half a CONNECT line":            connect[:12],
		"half a CONNECT head":            connect[:len(connect)-2],
		"a CONNECT":                      connect,
		"a CONNECT and half a hello":     connect + hello[:len(hello)/2],
		"a CONNECT and a byte of it":     connect + hello[:1],
		"a CONNECT and a hello":          connect + hello,
		"a CONNECT and half a plain one": connect + "GET / HTTP/1.1\r\nHo",
		"half a plain request":           "GET http://api.localhost/ HTTP/1.1\r\nHost: api.loc",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := h.dial()
			if _, err := io.WriteString(c, said); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, c); isTimeout(err) {
				t.Error("the connection stays open")
			}
		})
	}
}

// A slow client that keeps sending is not slow in the sense of a limit.
func TestSlowBodiesPassBothWays(t *testing.T) {
	h := newHouse(t, func(_ *WireConfig, s *ServerConfig, _ *policyOptions) {
		s.HeaderTimeout, s.IdleTimeout = time.Second, time.Second
	})
	run, tok := h.open(bearerManifest)
	next := make(chan struct{})
	h.origin.on("/echo", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		b := make([]byte, 1)
		for {
			if _, err := r.Body.Read(b); err != nil {
				return
			}
			_, _ = w.Write(b)
			_ = http.NewResponseController(w).Flush()
			next <- struct{}{}
		}
	})
	pr, pw := io.Pipe()
	go func() {
		for range 3 {
			_, _ = pw.Write([]byte("x"))
			<-next
			time.Sleep(600 * time.Millisecond) // longer in all than either limit
		}
		_ = pw.Close()
	}()
	r, _ := http.NewRequest(http.MethodPost, h.url("/echo"), pr)
	if resp, body := do(t, h.client(run, tok), r); resp.StatusCode != http.StatusOK || body != "xxx" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

// clientTLS speaks TLS in a tunnel, as a client that trusts us.
func clientTLS(h *house, c net.Conn) *tls.Conn {
	h.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.ca.RootPEM())
	tc := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: apiHost})
	if err := tc.Handshake(); err != nil {
		h.t.Fatal(err)
	}
	return tc
}

// A connection that is reset while an answer is on its way cancels the upstream.
func TestAResetInTheMiddleOfAnAnswerReachesTheUpstream(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	gone := make(chan struct{})
	h.origin.on("/endless", func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	})
	c, _, _ := h.connect(run, tok, apiHost+":"+h.origin.port, "")
	tc := clientTLS(h, c)
	if _, err := fmt.Fprintf(tc, "GET /endless HTTP/1.1\r\nHost: %s:%s\r\n\r\n", apiHost, h.origin.port); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(tc, make([]byte, 4<<10)); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
	<-gone // the test's own deadline is the limit
	eventually(t, func() error {
		if h.answered("200") != 1 {
			return errors.New("the exchange has not ended")
		}
		return nil
	})
}
