package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"golang.org/x/net/websocket"
)

// answerClient answers what clients ask for that want more than an echo:
// package registries, below any path, gRPC, whose service has any name, and
// WebSocket. What they print of the answer echoes the credential.
func answerClient(w http.ResponseWriter, r *http.Request) bool {
	echo := r.Header.Get("Authorization")
	if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		answerGRPC(w, r, echo)
		return true
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		websocket.Server{Handler: func(c *websocket.Conn) { answerWebSocket(c, echo) }}.ServeHTTP(w, r)
		return true
	}
	base := "https://" + r.Host + path.Dir(r.URL.Path)
	var answer any
	switch path.Base(r.URL.Path) {
	case "thing-simple": // a page of Python's simple index
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><a href="thing_simple-1.0.0-py3-none-any.whl" data-echo="%s">thing_simple-1.0.0-py3-none-any.whl</a>`, echo)
		return true
	case "thing-npm":
		answer = map[string]any{"name": "thing-npm", "dist-tags": map[string]string{"latest": "1.0.0"}, "versions": map[string]any{
			"1.0.0": map[string]any{"name": "thing-npm", "version": "1.0.0", "description": echo, "dist": map[string]string{"tarball": base + "/thing.tgz", "shasum": strings.Repeat("0", 40)}}}}
	case "config.json": // of a cargo registry
		answer = map[string]string{"dl": base + "/dl", "api": base}
	case "crates":
		answer = map[string]any{"crates": []any{map[string]string{"name": "thing", "max_version": "1.0.0", "description": echo}}, "meta": map[string]int{"total": 1}}
	default:
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
	return true
}

// answerWebSocket says the credential, and then what it hears.
func answerWebSocket(c *websocket.Conn, echo string) {
	for message := echo; websocket.Message.Send(c, "heard: "+message) == nil; {
		if websocket.Message.Receive(c, &message) != nil {
			break
		}
	}
	_ = c.Close()
}

// answerGRPC sends back each message as it comes, and the credential in the
// header and the trailer (the gRPC over HTTP/2 protocol; a message follows a
// byte and its length in four).
func answerGRPC(w http.ResponseWriter, r *http.Request, echo string) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("X-Echo", echo)
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	for {
		var head [5]byte
		if _, err := io.ReadFull(r.Body, head[:]); err != nil {
			break
		}
		message := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(r.Body, message); err != nil {
			break
		}
		_, _ = w.Write(append(head[:], message...))
		_ = rc.Flush()
	}
	w.Header().Set(http.TrailerPrefix+"X-Trailer-Echo", echo)
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}
