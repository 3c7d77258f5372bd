package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"golang.org/x/net/http2"
)

func TestAnAnswerWithoutContentIsScrubbedToo(t *testing.T) {
	for _, status := range []string{"200", "204", "304"} {
		for _, length := range []string{"", "0"} {
			t.Run(status+"/"+length, func(t *testing.T) {
				h := rawH2(t, func(fr *http2.Framer, id uint32) {
					head := []string{":status", status}
					if length != "" {
						head = append(head, "content-length", length)
					}
					_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: block(head...)})
					if length == "" {
						_ = fr.WriteData(id, false, []byte("body "+token))
					}
					_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true, BlockFragment: block("x-echo", token)})
				})
				run, _ := h.open(bearerManifest)
				r, _ := http.NewRequest(http.MethodGet, h.url("/"), nil)
				resp := h.wire.Do(run, r)
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if resp.Header.Get("Latchgate-Error") != "" {
					t.Fatalf("%s %s", resp.Status, body)
				}
				if strings.Contains(string(body), token) || strings.Contains(fmt.Sprint(resp.Trailer), token) {
					t.Errorf("body %q, trailer %v, %v", body, resp.Trailer, err)
				}
			})
		}
	}
}

func TestAnUpstreamsImpossibleStatusIsAnAnswer(t *testing.T) {
	h := rawH1(t, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n")
		return true
	})
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok)
	resp, body := get(t, client, h.url("/zero"))
	denied(t, resp, body, UpstreamUnreachable)
}

func TestOurOwnShareOfTheTimeIsNeverNegative(t *testing.T) {
	h := rawH1(t, func(net.Conn, *http.Request) bool {
		time.Sleep(20 * time.Millisecond)
		return false
	})
	run, tok := h.open(bearerManifest)
	resp, body := get(t, h.client(run, tok), h.url("/cut"))
	denied(t, resp, body, UpstreamUnreachable)
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "latchgate_proxy_overhead_seconds" && f.GetMetric()[0].GetHistogram().GetSampleSum() < 0 {
			t.Errorf("overhead %v s", f.GetMetric()[0].GetHistogram().GetSampleSum())
		}
	}
}

func TestAnAnswerThatWasDecodedLeavesItsConnectionForTheNextRequest(t *testing.T) {
	var packed bytes.Buffer
	b := brotli.NewWriter(&packed)
	_, _ = io.WriteString(b, "hello")
	_ = b.Close()
	var addrs distinct
	h := rawH1(t, func(c net.Conn, _ *http.Request) bool {
		addrs.add(c.RemoteAddr().String())
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", packed.Len(), packed.String())
		time.Sleep(20 * time.Millisecond) // the end of the chunks comes by itself
		_, _ = io.WriteString(c, "0\r\n\r\n")
		return true
	})
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok)
	for range 3 {
		if _, body := get(t, client, h.url("/br"), "Accept-Encoding", "br"); body != "hello" {
			t.Fatalf("%q", body)
		}
	}
	if n := addrs.count(); n != 1 {
		t.Errorf("%d upstream connections for three requests", n)
	}
}

func TestAnUpstreamCannotSpeakInLatchgatesName(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	h.origin.on("/forged", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Latchgate-Error", "egress_denied") })
	resp, _ := get(t, h.client(run, tok), h.url("/forged"))
	if resp.Header.Get("Latchgate-Error") != "" {
		t.Error("the upstream's Latchgate-Error was passed on")
	}
}

func TestARefusalDoesNotWaitForTheBody(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(strings.Replace(bearerManifest, "profile: proxy_allowlist,", "profile: proxy_allowlist, allowed_paths: [/ok],", 1))
	c := h.stalledUpload(run, tok, "/no")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
}

func TestAnEarlyAnswerDoesNotWaitForTheBody(t *testing.T) {
	h := rawH1(t, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, c)
		return false
	})
	run, tok := h.open(bearerManifest)
	c := h.stalledUpload(run, tok, "/early")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusUnauthorized {
		t.Error(resp.Status)
	}
}
