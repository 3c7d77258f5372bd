package proxy

import (
	"io"
	"net/http"
	"sync/atomic"
)

// closesUnread is w, but that it closes a client's HTTP/1.1 connection after an
// answer that comes before all of the request's body was read: what is left of
// the body stands before the next request, and net/http, once answers may come
// before bodies, panics when it looks for that one. The request is a copy: of one
// whose body is not its own, net/http doesn't wait for the client to read the
// answer before it resets the connection.
func closesUnread(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	if r.ProtoMajor != 1 || r.Body == nil || r.Body == http.NoBody {
		return w, r
	}
	b := &watchedRequest{ReadCloser: r.Body, left: r.ContentLength}
	r = r.WithContext(r.Context())
	r.Body = b
	return &unreadWriter{w, b}, r
}

type unreadWriter struct {
	http.ResponseWriter
	body *watchedRequest
}

// WriteHeader satisfies http.ResponseWriter.
func (w *unreadWriter) WriteHeader(status int) {
	if status >= http.StatusOK && !w.body.ended.Load() {
		w.Header()["Connection"] = []string{"close"}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the server's writer.
func (w *unreadWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// watchedRequest is a request's body that knows whether all of it was read.
type watchedRequest struct {
	io.ReadCloser
	left  int64 // of its length; negative: not known
	ended atomic.Bool
}

func (b *watchedRequest) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left == 0 || err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}
