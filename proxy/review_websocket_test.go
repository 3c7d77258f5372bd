package proxy

import (
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
