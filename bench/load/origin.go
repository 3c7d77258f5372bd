package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// secret is the credential that the proxies put on; a client has another one.
const secret = "load-secret-3f9a2c"

// serveOrigin is the upstream: HTTP/1.1 and HTTP/2 over TLS, with the key pair
// in dir. It says its address on standard output.
func serveOrigin(dir string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(dir+"/origin.pem", dir+"/origin.key")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	s := &http.Server{Handler: http.HandlerFunc(answer), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250}}
	return s.ServeTLS(ln, "", "")
}

// answer takes no request but one with the secret as its only credential: a
// proxy that does not stamp is not measured by accident.
func answer(w http.ResponseWriter, r *http.Request) {
	if a := r.Header["Authorization"]; len(a) != 1 || a[0] != "Bearer "+secret {
		http.Error(w, "not authorized", http.StatusUnauthorized)
		return
	}
	switch kind, arg, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); kind {
	case "bytes":
		n, _ := strconv.Atoi(arg)
		h := w.Header()
		h["Content-Type"] = []string{"application/json"}
		h["Content-Length"] = []string{arg}
		h["Cache-Control"] = []string{"no-store"}
		h["X-Request-Id"] = []string{"req_7Qm2VtYw4kN8"}
		h["X-Ratelimit-Remaining"] = []string{"4999"}
		for n > 0 {
			k, err := w.Write(text[:min(n, len(text))])
			if err != nil {
				return
			}
			n -= k
		}
	case "sum":
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		_, _ = io.WriteString(w, hex.EncodeToString(sum.Sum(nil)))
	case "events":
		n, _ := strconv.Atoi(arg)
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for range n {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano())
			if rc.Flush() != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// text is JSON as APIs give it, over and over.
var text = func() []byte {
	var b []byte
	for i := 0; len(b) < 64<<10; i++ {
		b = fmt.Appendf(b, `{"id":%d,"url":"https://api.example.com/items/%d","title":"An item, said \"plainly\"","labels":["a","b"],"open":true},`, i, i)
	}
	return b
}()
