package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// An answer ends the exchange while its request's body still comes.
func TestAPlaceholderMayComeAfterTheAnswer(t *testing.T) {
	h := rawH1(t, func(c net.Conn, r *http.Request) bool {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = io.Copy(io.Discard, r.Body)
		return err == nil
	})
	run, tok := h.openPlaceholders("body")
	for range 30 {
		c := h.tunnelTLS(run, tok, apiHost)
		_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s:%s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", apiHost, h.origin.port)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(phToken), phToken); err != nil {
					return
				}
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, _ = io.ReadAll(resp.Body)
		}
		_ = c.Close()
		<-done
	}
	eventually(t, func() error {
		if n := run.creds.Load().refs.Load(); n != 1 {
			return fmt.Errorf("%d hold the secrets", n)
		}
		return nil
	})
	if n := metricsOf(t, h)["latchgate_proxy_tripwire_total"]; n != 0 {
		t.Errorf("%v trips", n)
	}
}
