package h1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
)

// What a pooled buffer held is gone when it is used for something else: a secret
// on the way up, and one that an upstream sends back.
func TestPooledBuffersKeepNothing(t *testing.T) {
	const secret = "a-secret-0123456789"
	u := newUpstream(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 19\r\nX-Echo: "+secret+"\r\n\r\n"+secret))
	r := u.request(context.Background(), http.MethodGet, "/", "")
	r.Header.Set("Authorization", "Bearer "+secret)
	resp, err := u.client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	br := resp.Body.(*answer).uc.br
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	br.Reset(bytes.NewReader(make([]byte, 0)))
	_, _ = br.Peek(1)
	for range 10 {
		bw := writers.Get().(*bufio.Writer)
		if bytes.Contains(bw.AvailableBuffer()[:bw.Size()], []byte(secret)) {
			t.Error("a writer's buffer holds a secret")
		}
		defer writers.Put(bw)
	}
}
