//go:build !linux

package h1

import (
	"net"
	"syscall"
)

// Socket is c.
func Socket(c net.Conn) net.Conn { return c }

// socket is a connection that can be looked at.
type socket struct {
	net.Conn
	raw  syscall.RawConn
	open bool // what peek found
	dry  bool // a Read gives errDry
}

// Read satisfies net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if s.dry {
		return 0, errDry
	}
	return s.Conn.Read(p)
}

// socketOf is the socket of a connection of package net, nil for any other.
func socketOf(c net.Conn) *socket {
	if s, ok := c.(*socket); ok {
		return s
	}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return &socket{Conn: c, raw: raw}
		}
	}
	return nil
}

// alive reports whether the socket is open, with nothing to be read.
func (s *socket) alive() bool {
	s.open = false
	return s.raw.Read(s.peek) == nil && s.open
}

// peek looks at the socket without waiting and without taking anything.
func (s *socket) peek(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	s.open = n < 0 && err == syscall.EAGAIN
	return true
}

// Arrived returns how many bytes a [Socket] holds for us; 0, where that can't be
// asked, sends each piece of a body on by itself.
func Arrived(net.Conn) int { return 0 }

// Waits is true: it can't be known whether a Read waits.
func Waits(net.Conn) bool { return true }

// arrived is as [Arrived].
func (s *socket) arrived() int { return 0 }
