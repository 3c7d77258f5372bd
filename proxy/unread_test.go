package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What follows a refused request on its connection is its body, of which
// nobody wants to read the rest.
func TestARefusalBeforeItsBodyLeavesNoPanicBehind(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(strings.Replace(bearerManifest, `"]}`, `"], allowed_paths: [/ok]}`, 1))
	for name, body := range map[string]string{
		"short": "Content-Length: 5\r\n\r\nhello", "long": "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000),
		"chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "cut": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"expected": "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := h.tunnelTLS(run, tok, apiHost)
			defer func() { _ = c.Close() }()
			// The next request may come before the refusal of this one.
			go func() {
				_, _ = fmt.Fprintf(c, "POST /no HTTP/1.1\r\nHost: %[1]s:%[2]s\r\n%[3]sGET /ok HTTP/1.1\r\nHost: %[1]s:%[2]s\r\n\r\n", apiHost, h.origin.port, body)
			}()
			br := bufio.NewReader(c)
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			denied(t, resp, string(b), EgressDenied)
			if resp.Close {
				return
			}
			if next, err := http.ReadResponse(br, nil); err != nil || next.StatusCode != 200 {
				t.Errorf("the next answer: %v, %v", next, err)
			}
		})
	}
	if strings.Contains(h.log.String(), "panic") {
		t.Errorf("something panicked:\n%s", h.log.String())
	}
}
