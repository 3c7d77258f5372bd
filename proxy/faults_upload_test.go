package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// An upstream that dies in the middle of an upload is told of at once, also to
// a client that pauses: it would send for nothing.
func TestAnUpstreamThatDiesDuringAnUploadIsToldAtOnce(t *testing.T) {
	h1 := rawH1(t, func(c net.Conn, r *http.Request) bool {
		_, _ = io.ReadFull(r.Body, make([]byte, 5))
		return false
	})
	h2 := newHouse(t)
	h2.origin.on("/up", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 5))
		panic(http.ErrAbortHandler)
	})
	for i, h := range []*house{h1, h2} {
		run, tok := h.open(bearerManifest)
		c := h.stalledUpload(run, tok, "/up")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("HTTP/%d upstream: %v", i+1, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		denied(t, resp, string(body), UpstreamUnreachable)
	}
}

// An upstream that has heard enough answers before the end of the body, and its
// answer arrives whole.
func TestAnEarlyAnswerArrivesWhole(t *testing.T) {
	long := strings.Repeat("no, thank you. ", 20_000)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			t.Run(proto+" "+expect, func(t *testing.T) {
				h := newHouse(t)
				h.wire.up.ForceAttemptHTTP2 = proto == "HTTP/2.0"
				h.origin.on("/up", func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(http.StatusExpectationFailed)
					_, _ = io.WriteString(w, long)
				})
				run, tok := h.open(bearerManifest)
				for range 5 {
					c := h.tunnelTLS(run, tok, apiHost)
					_, _ = fmt.Fprintf(c, "POST /up HTTP/1.1\r\nHost: %s:%s\r\n%sContent-Length: 10000000\r\n\r\n", apiHost, h.origin.port, expect)
					if expect == "" {
						_, _ = io.WriteString(c, "some of it")
					}
					resp, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil {
						t.Fatal(err)
					}
					if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusExpectationFailed || err != nil || string(body) != long {
						t.Fatalf("%s, %d bytes of %d, %v", resp.Status, len(body), len(long), err)
					}
					_ = c.Close()
				}
			})
		}
	}
}
