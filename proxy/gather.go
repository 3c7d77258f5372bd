package proxy

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// gathered is a connection whose writes go out together: those that come while
// others wait for the processor, or for the kernel, make one. The streams of an
// HTTP/2 connection write a head or a piece of a body each, and a TLS record at a
// time; the kernel asks as much for each of these as for all together.
//
// A Write returns when its bytes are taken, and waits while there is no room. An
// error is that of a later Write.
type gathered struct {
	net.Conn
	mu       sync.Mutex
	room     *sync.Cond
	buf      *[gatherSize]byte // nil: nothing is to be written
	n        int               // of buf
	flushing bool              // a goroutine runs flush
	writing  bool              // somebody is in the connection's Write
	err      error
}

const gatherSize = 4 * maxRecord

var gatherBuffers = sync.Pool{New: func() any { return new([gatherSize]byte) }}

func gather(c net.Conn) *gathered {
	g := &gathered{Conn: c}
	g.room = sync.NewCond(&g.mu)
	return g
}

// Write implements net.Conn.
func (g *gathered) Write(p []byte) (n int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.err == nil {
		if g.buf == nil {
			g.buf = gatherBuffers.Get().(*[gatherSize]byte)
		}
		k := copy(g.buf[g.n:], p[n:])
		g.n += k
		n += k
		if !g.flushing {
			g.flushing = true
			go g.flush()
		}
		if n == len(p) {
			return n, nil
		}
		g.write()
	}
	return n, g.err
}

// flush writes until there is nothing more to write.
func (g *gathered) flush() {
	runtime.Gosched() // who is about to write gets to it
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.n > 0 && g.err == nil {
		g.write()
	}
	g.flushing = false
}

// write writes what there is, or waits while another does.
func (g *gathered) write() {
	if g.writing {
		g.room.Wait()
		return
	}
	buf, n := g.buf, g.n
	g.buf, g.n, g.writing = nil, 0, true
	g.mu.Unlock()
	_, err := g.Conn.Write(buf[:n])
	clear(buf[:n]) // over plain HTTP it may have held a secret
	gatherBuffers.Put(buf)
	g.mu.Lock()
	if g.writing = false; g.err == nil {
		g.err = err
	}
	g.room.Broadcast()
}

// farewell bounds the last write of a connection.
const farewell = time.Second

// Close implements net.Conn. What can't be written at once is dropped.
func (g *gathered) Close() error {
	g.mu.Lock()
	if g.n > 0 && !g.writing && g.err == nil {
		_ = g.Conn.SetWriteDeadline(time.Now().Add(farewell)) // crypto/tls has set one in the past
		_, _ = g.Conn.Write(g.buf[:g.n])
	}
	if g.buf != nil {
		clear(g.buf[:g.n])
		gatherBuffers.Put(g.buf)
	}
	g.buf, g.n, g.err = nil, 0, net.ErrClosed
	g.room.Broadcast()
	g.mu.Unlock()
	return g.Conn.Close()
}
