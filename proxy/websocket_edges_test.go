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

// Two readers of one connection would tear its bytes apart.
func TestAHandshakeWithABodyIsNone(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(strings.ReplaceAll(websocketManifest, "PARTS", "body"))
	for _, framing := range []string{"Content-Length: 4\r\n\r\nabcd", "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n"} {
		_, resp := h.dialWebSocket(run, tok, "/", framing)
		if got := h.origin.last(t).Header["Upgrade"]; got != nil || resp.StatusCode != 200 {
			t.Errorf("%q: %s, the upstream was asked for %q", framing, resp.Status, got)
		}
	}
}

func TestACutAnswerToAHandshakeDoesNotLookWhole(t *testing.T) {
	h := rawH1(t, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		return false
	})
	run, tok := h.open(bearerManifest)
	c := h.tunnelTLS(run, tok, apiHost)
	_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", apiHost, h.origin.port)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return
	}
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%s %q looks whole", resp.Status, b)
	}
}

// The code of a close frame is a number that nobody need send.
func TestACloseFrameHidesNothingInItsCode(t *testing.T) {
	h := newHouse(t)
	client, server, _, _ := h.websocket("body", "")
	server.send(frame{0x88, token})
	if f := client.next(); f.head != 0x88 || strings.Contains(f.payload, token[2:]) {
		t.Errorf("the client got %+v", f)
	}
	client, server, _, _ = h.websocket("body", "")
	client.send(frame{0x88, phToken})
	if f := server.next(); strings.Contains(f.payload, phToken[2:]) {
		t.Errorf("the server got %+v", f)
	}
	_, _ = client.c.Close(), server.c.Close()
	eventually(t, func() error {
		if n := metricsOf(t, h)["latchgate_proxy_tripwire_total"]; n != 1 {
			return fmt.Errorf("%v trips", n)
		}
		return nil
	})
}

// A client that reads nothing must not keep the end of its run from its messages.
func TestTheEndOfARunStopsAClientThatReadsNothing(t *testing.T) {
	h := newHouse(t)
	client, server, _, run := h.websocket("body", "")
	flood := make(chan struct{})
	go func() {
		defer close(flood)
		for {
			b := make([]byte, 4+1<<16)
			b[0], b[1], b[2], b[3] = 0x82, 126, 0xFF, 0xFF
			if _, err := server.c.Write(b[:4+0xFFFF]); err != nil {
				return
			}
		}
	}()
	x := func() error { // the flood has filled every buffer on the way
		for last := int64(-1); ; {
			now := run.Bytes()
			if now == last && now > 1<<20 {
				return nil
			}
			if last = now; now < 1<<20 {
				return fmt.Errorf("%d bytes", now)
			}
		}
	}
	eventually(t, x)
	h.runs.Close(run.ID, ErrRunRevoked)
	got := make(chan string, 1)
	go func() {
		for {
			f := server.next()
			if f.payload == "after" || f.payload == "EOF" || f.head&0x0f == opClose {
				got <- f.payload
				return
			}
		}
	}()
	client.send(frame{0x81, "after"})
	if f := <-got; f == "after" {
		t.Error("a message of a revoked run arrived")
	}
	<-flood
}
