package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lastHop is an upstream proxy on this machine that everything which leaves a
// latchgate has to go through, and where it ends: at one address of this machine,
// whatever name was asked for, or nowhere.
type lastHop struct {
	url    string
	to     string // host:port; "": nothing gets further
	server *http.Server
	served sync.WaitGroup

	mu   sync.Mutex
	seen []string // what was asked for
}

// startLastHop listens on a free loopback port.
func startLastHop(to string) (*lastHop, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for what leaves the proxy: %w", err)
	}
	h := &lastHop{url: "http://" + ln.Addr().String(), to: to}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	h.served.Go(func() { _ = h.server.Serve(ln) }) // ends with Close
	return h, nil
}

// ServeHTTP answers what latchgate sends to its upstream proxy.
func (h *lastHop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.seen = append(h.seen, r.Method+" "+r.Host)
	h.mu.Unlock()
	if h.to == "" || r.Method != http.MethodConnect {
		http.Error(w, "nothing goes further from here", http.StatusBadGateway)
		return
	}
	upstream, err := net.Dial("tcp", h.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, early, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = upstream.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	h.served.Go(func() { _, _ = io.Copy(upstream, early); _ = upstream.Close() })
	_, _ = io.Copy(client, upstream)
	_ = client.Close()
}

// take returns what was asked for since it was last asked.
func (h *lastHop) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := slices.Clone(h.seen)
	h.seen = h.seen[:0]
	return seen
}

// close waits for what is still under way: its two ends are to be closed before.
func (h *lastHop) close() error {
	err := h.server.Close()
	h.served.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// countedListener counts the connections that it takes.
type countedListener struct {
	net.Listener
	taken atomic.Int64
}

// Accept satisfies net.Listener.
func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.taken.Add(1)
	}
	return c, err
}
