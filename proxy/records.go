package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
)

// held are the TLS records that wait to be written together. crypto/tls writes
// each of them by itself, and for one of 16 KiB the kernel does most of what it
// does for four.
type held struct {
	mu   sync.Mutex
	on   bool
	data *[]byte
}

var heldRecords = sync.Pool{New: func() any { b := make([]byte, 0, 4*maxRecord); return &b }}

// maxRecord is the most that a record of TLS 1.2 or 1.3 takes as crypto/tls writes it.
const maxRecord = 16<<10 + 64

// write keeps p for later, or writes it to c.
func (h *held) write(c net.Conn, p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on {
		return c.Write(p)
	}
	*h.data = append(*h.data, p...)
	return len(p), nil
}

func (h *held) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on, h.data = true, heldRecords.Get().(*[]byte)
}

func (h *held) end(c net.Conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := c.Write(*h.data)
	*h.data = (*h.data)[:0]
	heldRecords.Put(h.data)
	h.on, h.data = false, nil
	return err
}

// whole is a tunnel's connection as somebody sees it who writes large pieces: each
// goes out in one write.
type whole tunnelConn

// Write implements io.Writer.
func (w *whole) Write(p []byte) (int, error) {
	if len(p) <= 16<<10 {
		return w.session.Write(p)
	}
	w.held.begin()
	n, err := w.session.Write(p)
	if e := w.held.end(w.replayConn); err == nil {
		err = e
	}
	return n, err
}

// wholeWrites is c, with each write of a piece that takes several TLS records one
// write to the socket.
func wholeWrites(c net.Conn) io.Writer {
	if tc, ok := c.(*tls.Conn); ok {
		return (*whole)(tc.NetConn().(*tunnelConn))
	}
	return c
}
