package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is c with reads and writes that Go's scheduler is not told of. It takes
// care of system calls that last: a thread stands by, and takes the processor over
// from one that is in a call for some 20 microseconds. The sockets of package net
// never wait in a call, but a write does a good part of the network's work and
// takes that long. What is no socket of package net is returned as it is.
func Socket(c net.Conn) net.Conn {
	if s := socketOf(c); s != nil {
		return s
	}
	return c
}

// socketOf is the [Socket] of a connection of package net, nil for any other.
func socketOf(c net.Conn) *socket {
	if s, ok := c.(*socket); ok {
		return s
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil // its next use says why
	}
	s := &socket{Conn: c, raw: raw}
	s.in.step, s.out.step = s.in.read, s.out.write
	s.look = s.peek
	return s
}

type socket struct {
	net.Conn
	raw     syscall.RawConn
	in, out direction
	look    func(fd uintptr) bool // peek, made once
	open    bool                  // what look found
	dry     bool                  // a Read gives errDry
}

// direction is the Read or Write under way.
type direction struct {
	mu   sync.Mutex // one at a time, as everywhere in package net
	p    []byte
	n    int // of p, done
	err  syscall.Errno
	step func(fd uintptr) (done bool) // read or write, made once

	parked atomic.Bool // a Read found nothing, and waits
}

// maxCall bounds one system call, in bytes: the garbage collector waits for it.
const maxCall = 64 << 10

func (d *direction) read(fd uintptr) (done bool) {
	if d.parked.Load() {
		d.parked.Store(false)
	}
	if d.n, done = d.call(unix.SYS_READ, fd, d.p); !done {
		d.parked.Store(true)
	}
	return done
}

func (d *direction) write(fd uintptr) (done bool) {
	for done = true; done && d.err == 0 && d.n < len(d.p); {
		var n int
		n, done = d.call(unix.SYS_WRITE, fd, d.p[d.n:])
		d.n += n
	}
	return done
}

// call reads or writes. done is false where that has to wait.
func (d *direction) call(number, fd uintptr, p []byte) (n int, done bool) {
	for {
		n, _, err := unix.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(min(len(p), maxCall)))
		switch err {
		case 0:
			return int(n), true
		case unix.EAGAIN:
			return 0, false
		case unix.EINTR:
			continue
		}
		d.err = err
		return 0, true
	}
}

// run does all of p, as far as it goes, by wait: the socket's poller.
func (d *direction) run(p []byte, wait func(func(uintptr) bool) error) (n int, fault syscall.Errno, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.p, d.n, d.err = p, 0, 0
	err = wait(d.step)
	d.p = nil
	if d.parked.Load() { // until a deadline or the connection's end
		d.parked.Store(false)
	}
	return d.n, d.err, err
}

// Read satisfies net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.dry {
		return 0, errDry
	}
	n, fault, err := s.in.run(p, s.raw.Read)
	if err != nil || fault != 0 {
		return 0, s.fail("read", fault, err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write satisfies net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	n, fault, err := s.out.run(p, s.raw.Write)
	if err != nil || fault != 0 {
		return n, s.fail("write", fault, err)
	}
	return n, nil
}

// fail is the error as package net words it.
func (s *socket) fail(op string, fault syscall.Errno, err error) error {
	if fault != 0 {
		err = os.NewSyscallError(op, fault)
	} else if wrapped := (*net.OpError)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	local := s.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: s.RemoteAddr(), Err: err}
}

// CloseWrite half-closes.
func (s *socket) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// alive reports whether the socket is open, with nothing to be read.
func (s *socket) alive() bool {
	s.open = false
	return s.raw.Read(s.look) == nil && s.open
}

// peek looks at the socket without waiting and without taking anything.
func (s *socket) peek(fd uintptr) bool {
	var b [1]byte
	_, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	s.open = err == unix.EAGAIN
	return true
}

// Arrived returns how many bytes a [Socket] holds for us; 0, where that can't be asked.
func Arrived(c net.Conn) int {
	if s := socketOf(c); s != nil {
		return s.arrived()
	}
	return 0
}

// Waits reports whether a Read of a [Socket] waits for what has not come yet: whoever
// reads it has nothing left over. It is true where that can't be known.
func Waits(c net.Conn) bool {
	s, ok := c.(*socket)
	// In this order: what came is taken by a Read that waits no more.
	return !ok || s.in.parked.Load() && s.arrived() == 0 && s.in.parked.Load()
}

// arrived is as [Arrived].
func (s *socket) arrived() int {
	n := 0
	_ = s.raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}
