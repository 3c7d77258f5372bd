package proxy

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// peer is one end of a WebSocket, spoken by hand so that nothing of ours is
// held against itself.
type peer struct {
	t      testing.TB
	c      io.ReadWriteCloser
	r      *bufio.Reader
	masked bool
}

type frame struct {
	head    byte // FIN, RSV and opcode
	payload string
}

func (p *peer) send(frames ...frame) {
	var b []byte
	for _, f := range frames {
		b = append(b, f.head)
		mask := byte(0)
		if p.masked {
			mask = 0x80
		}
		switch n := len(f.payload); {
		case n < 126:
			b = append(b, mask|byte(n))
		case n < 1<<16:
			b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
		default:
			b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
		}
		if !p.masked {
			b = append(b, f.payload...)
			continue
		}
		key := []byte{0x11, 0x2f, 0xa3, 0x07}
		b = append(b, key...)
		for i := range len(f.payload) {
			b = append(b, f.payload[i]^key[i&3])
		}
	}
	if _, err := p.c.Write(b); err != nil {
		p.t.Errorf("send: %v", err)
	}
}

// next reads one frame. An end of the connection is the frame {0, "EOF"}.
func (p *peer) next() frame {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return frame{0, "EOF"}
	}
	if got := head[1]&0x80 != 0; got == p.masked {
		p.t.Errorf("masked: %v", got)
	}
	n := uint64(head[1] &^ 0x80)
	switch n {
	case 126:
		var b [2]byte
		_, _ = io.ReadFull(p.r, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, _ = io.ReadFull(p.r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	var key [4]byte
	if head[1]&0x80 != 0 {
		_, _ = io.ReadFull(p.r, key[:])
	}
	b := make([]byte, n)
	_, _ = io.ReadFull(p.r, b)
	for i := range b {
		b[i] ^= key[i&3]
	}
	return frame{head[0], string(b)}
}

// message reads a whole message; control frames in it go to control.
func (p *peer) message(control ...*[]frame) frame {
	whole := frame{}
	for first := true; ; {
		f := p.next()
		if f.payload == "EOF" && f.head == 0 {
			return f
		}
		if f.head&0x08 != 0 && len(control) > 0 {
			*control[0] = append(*control[0], f)
			continue
		}
		if first {
			whole.head = f.head | 0x80
		}
		first = false
		if whole.payload += f.payload; f.head&0x80 != 0 {
			return whole
		}
	}
}

// serveWebSocket accepts handshakes at path and hands the connections over.
func (o *origin) serveWebSocket(t testing.TB, path string, header ...string) <-chan *peer {
	peers := make(chan *peer, 4)
	o.on(path, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		t.Cleanup(func() { _ = c.Close() })
		extra := ""
		for i := 0; i < len(header); i += 2 {
			extra += header[i] + ": " + header[i+1] + "\r\n"
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nX-Echo: %s\r\n%s\r\n",
			acceptOf(r.Header.Get("Sec-WebSocket-Key")), r.Header.Get("Authorization"), extra)
		peers <- &peer{t: t, c: c, r: rw.Reader}
	})
	return peers
}

// dialWebSocket makes a handshake through a tunnel.
func (h *house) dialWebSocket(run *Run, tok, path, extra string) (*peer, *http.Response) {
	h.t.Helper()
	c := h.tunnelTLS(run, tok, apiHost)
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
		path, apiHost, h.origin.port, extra)
	if err != nil {
		h.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &peer{t: h.t, c: c, r: br, masked: true}, resp
}

const websocketManifest = `
action_id: api
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets:
  - {name: TOKEN, required: true, inject: [{as: bearer}, {as: placeholder, in: [PARTS]}]}
`

func (h *house) websocket(parts, extra string, header ...string) (client, server *peer, resp *http.Response, run *Run) {
	h.t.Helper()
	run, tok := h.open(strings.ReplaceAll(websocketManifest, "PARTS", parts), placeholdersOf)
	peers := h.origin.serveWebSocket(h.t, "/ws", header...)
	client, resp = h.dialWebSocket(run, tok, "/ws", extra)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		b, _ := io.ReadAll(resp.Body)
		h.t.Fatalf("handshake: %s %s", resp.Status, b)
	}
	return client, <-peers, resp, run
}

func TestAWebSocketHandshakeIsStampedAndItsMessagesAreChecked(t *testing.T) {
	h := newHouse(t)
	client, server, resp, _ := h.websocket("body", "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: v1\r\nAuthorization: Bearer mine\r\n",
		"Sec-WebSocket-Protocol", "v1")
	at := h.origin.last(t)
	if got := at.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+token {
		t.Errorf("the handshake carried %q", got)
	}
	if at.Header.Get("Sec-WebSocket-Extensions") != "" || at.Header.Get("Sec-WebSocket-Protocol") != "v1" {
		t.Errorf("the handshake: %v", at.Header)
	}
	if resp.Header.Get("X-Echo") != "Bearer ***REDACTED***" || resp.Header.Get("Sec-Websocket-Protocol") != "v1" || resp.Header.Get("Upgrade") != "websocket" {
		t.Errorf("the answer: %v", resp.Header)
	}
	t.Run("a text goes up as it is, whole, and masked", func(t *testing.T) {
		client.send(frame{0x81, "hello"})
		if f := server.next(); f != (frame{0x81, "hello"}) {
			t.Errorf("got %+v", f)
		}
	})
	t.Run("a placeholder in a text gives way to its secret", func(t *testing.T) {
		client.send(frame{0x81, `{"token":"` + phToken + `"}`})
		var v struct{ Token string }
		if f := server.next(); json.Unmarshal([]byte(f.payload), &v) != nil || v.Token != token || f.head != 0x81 {
			t.Errorf("got %+v", f)
		}
	})
	t.Run("one that is cut over fragments with a ping between too", func(t *testing.T) {
		client.send(frame{0x01, "a" + phToken[:9]}, frame{0x89, "ping"}, frame{0x00, phToken[9:20]}, frame{0x80, phToken[20:] + "z"})
		var control []frame
		if f := server.message(&control); f.payload != "a"+token+"z" {
			t.Errorf("got %+v", f)
		}
		if !slices.Equal(control, []frame{{0x89, "ping"}}) {
			t.Errorf("control frames %+v", control)
		}
	})
	t.Run("what the upstream says is scrubbed, cut or not", func(t *testing.T) {
		server.send(frame{0x81, "your token is " + token + "!"})
		if f := client.next(); f != (frame{0x81, "your token is ***REDACTED***!"}) {
			t.Errorf("got %+v", f)
		}
		server.send(frame{0x01, "x" + token[:5]}, frame{0x00, token[5:8]}, frame{0x80, token[8:] + "y"})
		if f := client.message(); f.payload != "x***REDACTED***y" {
			t.Errorf("got %+v", f)
		}
		server.send(frame{0x82, "\x00\x01" + token + "\xff"})
		if f := client.next(); f != (frame{0x82, "\x00\x01***REDACTED***\xff"}) {
			t.Errorf("binary: got %+v", f)
		}
		server.send(frame{0x8A, token})
		if f := client.next(); f != (frame{0x8A, "***REDACTED***"}) {
			t.Errorf("pong: got %+v", f)
		}
	})
	t.Run("a large message passes both ways", func(t *testing.T) {
		big := strings.Repeat("0123456789abcde\n", 20000) // 320 kB
		go client.send(frame{0x82, big})
		if f := server.message(); f.payload != big || f.head != 0x82 {
			t.Errorf("up: %x, %d bytes", f.head, len(f.payload))
		}
		go server.send(frame{0x81, big + token})
		if f := client.message(); f.payload != big+"***REDACTED***" || f.head != 0x81 {
			t.Errorf("down: %x, %d bytes", f.head, len(f.payload))
		}
	})
	t.Run("an empty message", func(t *testing.T) {
		client.send(frame{0x81, ""}, frame{0x01, ""}, frame{0x80, "x"})
		if f := server.next(); f != (frame{0x81, ""}) {
			t.Errorf("got %+v", f)
		}
		if f := server.message(); f != (frame{0x81, "x"}) {
			t.Errorf("got %+v", f)
		}
	})
	t.Run("closing goes through with its code, the reason scrubbed", func(t *testing.T) {
		server.send(frame{0x88, "\x0f\xa1bad " + token})
		if f := client.next(); f != (frame{0x88, "\x0f\xa1bad ***REDACTED***"}) {
			t.Errorf("got %+v", f)
		}
		client.send(frame{0x88, "\x0f\xa1"})
		if f := server.next(); f != (frame{0x88, "\x0f\xa1"}) {
			t.Errorf("got %+v", f)
		}
		_ = server.c.Close()
		if f := client.next(); f.payload != "EOF" {
			t.Errorf("got %+v", f)
		}
	})
}

func TestAPlaceholderInAMessageWhereNoneMayStandEndsTheWebSocket(t *testing.T) {
	for name, sent := range map[string][]frame{
		"text":    {{0x81, "x " + phToken}},
		"cut":     {{0x01, "x " + phToken[:10]}, {0x80, phToken[10:]}},
		"binary":  {{0x82, "\x00" + phToken}},
		"ping":    {{0x89, phToken}},
		"close":   {{0x88, "\x03\xe8" + phToken}},
		"another": {{0x81, phOther}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			doc := strings.ReplaceAll(websocketManifest, "PARTS", "header") + "  - {name: OTHER, inject: [{as: query, param: k}]}\n"
			run, tok := h.open(doc, placeholdersOf)
			peers := h.origin.serveWebSocket(t, "/ws")
			client, resp := h.dialWebSocket(run, tok, "/ws", "")
			if resp.StatusCode != 101 {
				t.Fatal(resp.Status)
			}
			server := <-peers
			client.send(sent...)
			if f := client.next(); f.head != 0x88 || !strings.HasPrefix(f.payload, "\x03\xf0") {
				t.Errorf("the client got %+v", f)
			}
			_ = client.c.Close()
			for {
				f := server.next()
				if strings.Contains(f.payload, phToken[10:]) || strings.Contains(f.payload, phOther) {
					t.Errorf("the upstream got %+v", f)
				}
				if f.payload == "EOF" {
					break
				}
			}
			_ = server.c.Close()
			for metricsOf(t, h)["latchgate_proxy_tripwire_total"] != 1 {
				if t.Context().Err() != nil {
					t.Fatal("not counted")
				}
			}
		})
	}
}

func TestAWebSocketEndsWhenEitherSideBreaksOff(t *testing.T) {
	h := newHouse(t)
	client, server, _, _ := h.websocket("body", "")
	_ = server.c.Close()
	if f := client.next(); f.payload != "EOF" {
		t.Errorf("the client got %+v", f)
	}
	client, server, _, _ = h.websocket("body", "")
	_ = client.c.Close()
	if f := server.next(); f.payload != "EOF" {
		t.Errorf("the server got %+v", f)
	}
	client, server, _, run := h.websocket("body", "")
	h.runs.Close(run.ID, ErrRunRevoked)
	if f := client.next(); f.payload != "EOF" && (f.head != 0x88 || !strings.HasPrefix(f.payload, "\x03\xf0")) {
		t.Errorf("of a revoked run, the client got %+v", f)
	}
	if f := server.next(); f.payload != "EOF" {
		t.Errorf("of a revoked run, the server got %+v", f)
	}
}

func TestWhatIsNotAWebSocketIsNotRelayedAsOne(t *testing.T) {
	for name, sent := range map[string]frame{
		"a reserved bit":       {0xC1, "x"},
		"an unknown opcode":    {0x83, "x"},
		"a long control frame": {0x89, strings.Repeat("x", 126)},
		"a cut control frame":  {0x09, "x"},
		"no beginning":         {0x80, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			client, server, _, _ := h.websocket("body", "")
			server.send(sent)
			if f := client.next(); f != (frame{0x88, "\x03\xea"}) {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestAWrongAnswerToAHandshakeIsRefused(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest, placeholdersOf)
	h.origin.on("/wrong", func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := http.NewResponseController(w).Hijack()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n")
		_ = c.Close()
	})
	_, resp := h.dialWebSocket(run, tok, "/wrong", "")
	b, _ := io.ReadAll(resp.Body)
	denied(t, resp, string(b), UpstreamUnreachable)
	h.origin.serveWebSocket(t, "/extension", "Sec-WebSocket-Extensions", "permessage-deflate")
	_, resp = h.dialWebSocket(run, tok, "/extension", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
	b, _ = io.ReadAll(resp.Body)
	denied(t, resp, string(b), Unscannable)
	// A 4xx must come through at once: some clients wait for two minutes.
	h.origin.on("/no", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no "+token, http.StatusForbidden) })
	_, resp = h.dialWebSocket(run, tok, "/no", "")
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 403 || string(b) != "no ***REDACTED***\n" {
		t.Errorf("%s %q", resp.Status, b)
	}
}

func TestAWebSocketOfARunWithoutSecretsKeepsItsExtensions(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open("action_id: a\negress: {profile: proxy_allowlist, allowed_domains: [\"api.localhost:PORT\"], allowed_paths: [/ws]}\n")
	peers := h.origin.serveWebSocket(t, "/ws", "Sec-WebSocket-Extensions", "permessage-deflate")
	client, resp := h.dialWebSocket(run, tok, "/ws", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
	if resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Extensions") != "permessage-deflate" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	server := <-peers
	client.send(frame{0xC1, "compressed"})
	if f := server.next(); f != (frame{0xC1, "compressed"}) {
		t.Errorf("got %+v", f)
	}
}

func TestShutdownSaysGoodbyeToWebSockets(t *testing.T) {
	h := newHouse(t)
	client, server, _, _ := h.websocket("body", "")
	done := make(chan error, 1)
	go func() { done <- h.server.Shutdown(t.Context()) }()
	if f := client.next(); f.head != 0x88 || !strings.HasPrefix(f.payload, "\x03\xe9") {
		t.Errorf("the client got %+v", f)
	}
	if f := server.next(); f.head != 0x88 {
		t.Errorf("the server got %+v", f)
	}
	client.send(frame{0x88, "\x03\xe9"})
	server.send(frame{0x88, "\x03\xe9"})
	_ = server.c.Close()
	_ = client.c.(net.Conn).Close()
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}
