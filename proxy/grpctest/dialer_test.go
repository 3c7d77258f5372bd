package grpctest

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
)

// connectDialer asks the proxy for a tunnel, as gRPC does by HTTPS_PROXY. That
// is not used itself: it is read from the environment once, and each test has
// a proxy of its own.
func connectDialer(door, id, tok string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", door)
		if err != nil {
			return nil, err
		}
		auth := base64.StdEncoding.EncodeToString([]byte(id + ":" + tok))
		if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n", address, address, auth); err != nil {
			_ = c.Close()
			return nil, err
		}
		br := bufio.NewReader(c)
		resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
		if err != nil || resp.StatusCode != http.StatusOK || br.Buffered() > 0 {
			_ = c.Close()
			return nil, fmt.Errorf("CONNECT: %v %w", resp, err)
		}
		return c, nil
	}
}
