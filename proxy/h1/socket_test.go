package h1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair is a socket and its peer.
func pair(t *testing.T) (s net.Conn, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = c.Close() })
	return Socket(a), c.(*net.TCPConn)
}

// More than the kernel holds: both sides have to wait for each other.
func TestSocketCarriesWhatDoesNotFit(t *testing.T) {
	s, peer := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	go func() {
		_, _ = io.Copy(peer, peer)
		_ = peer.CloseWrite()
	}()
	wrote := make(chan error, 1)
	go func() {
		n, err := s.Write(sent)
		if err == nil && n < len(sent) {
			err = io.ErrShortWrite
		}
		if err == nil {
			err = s.(interface{ CloseWrite() error }).CloseWrite()
		}
		wrote <- err
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, sent) {
		t.Error(len(got), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// Its errors are those of package net, in their words.
func TestSocketFailsAsPackageNetDoes(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(t *testing.T, s net.Conn, peer *net.TCPConn) error
		is   error
	}{
		{"a deadline that is over", func(_ *testing.T, s net.Conn, _ *net.TCPConn) error {
			_ = s.SetReadDeadline(time.Unix(1, 0))
			_, err := s.Read(make([]byte, 1))
			return err
		}, os.ErrDeadlineExceeded},
		{"a deadline that comes", func(_ *testing.T, s net.Conn, _ *net.TCPConn) error {
			time.AfterFunc(time.Millisecond, func() { _ = s.SetReadDeadline(time.Unix(1, 0)) })
			_, err := s.Read(make([]byte, 1))
			return err
		}, os.ErrDeadlineExceeded},
		{"closed here", func(_ *testing.T, s net.Conn, _ *net.TCPConn) error {
			time.AfterFunc(time.Millisecond, func() { _ = s.Close() })
			_, err := s.Read(make([]byte, 1))
			return err
		}, net.ErrClosed},
		{"written to after it was closed", func(_ *testing.T, s net.Conn, _ *net.TCPConn) error {
			_ = s.Close()
			_, err := s.Write([]byte("x"))
			return err
		}, net.ErrClosed},
		{"reset by the peer", func(_ *testing.T, s net.Conn, peer *net.TCPConn) error {
			_ = peer.SetLinger(0)
			_ = peer.Close()
			_, err := s.Read(make([]byte, 1))
			return err
		}, syscall.ECONNRESET},
		{"written to after a reset", func(_ *testing.T, s net.Conn, peer *net.TCPConn) error {
			_ = peer.SetLinger(0)
			_ = peer.Close()
			_, _ = s.Read(make([]byte, 1))
			_, err := s.Write([]byte("x"))
			return err
		}, syscall.EPIPE},
		{"closed by the peer", func(_ *testing.T, s net.Conn, peer *net.TCPConn) error {
			_ = peer.Close()
			_, err := s.Read(make([]byte, 1))
			return err
		}, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, peer := pair(t)
			if _, ok := s.(*net.TCPConn); ok {
				t.Skip("sockets are package net's own outside Linux: nothing to compare")
			}
			err := c.fail(t, s, peer)
			s, peer = pair(t)
			want := c.fail(t, s.(*socket).Conn, peer)
			if !errors.Is(err, c.is) || words(err) != words(want) {
				t.Errorf("%v, want %v", err, want)
			}
		})
	}
}

// words are err's without addresses.
func words(err error) string {
	first, rest, _ := strings.Cut(err.Error(), " ")
	if i := strings.LastIndex(rest, ": "); i >= 0 {
		rest = rest[i:]
	}
	return first + rest
}

// A close ends whatever is under way, whoever waits for whom.
func TestSocketMayBeClosedAtAnyTime(t *testing.T) {
	for i := range 50 {
		s, peer := pair(t)
		var wg sync.WaitGroup
		forever := func(step func() error) {
			wg.Go(func() {
				for step() == nil {
				}
			})
		}
		for range 2 {
			small, large := make([]byte, 100), make([]byte, 100_000)
			forever(func() error { _, err := s.Read(small); return err })
			forever(func() error { _, err := s.Write(large); return err })
			forever(func() error { Waits(s); Arrived(s); return s.SetDeadline(time.Now().Add(time.Hour)) })
		}
		_, _ = peer.Write([]byte("hello"))
		_, _ = io.CopyN(io.Discard, peer, int64(i)*10_000)
		_ = s.Close()
		wg.Wait()
	}
}

func TestSocketTellsWhetherItIsStillOpen(t *testing.T) {
	c, peer := pair(t)
	s := socketOf(c)
	if !s.alive() {
		t.Error("an idle one is not alive")
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// Something wakes a Read only when it is there, and a look takes nothing.
	waitFor(t, "the byte", func() bool { return !s.alive() })
	if n, err := s.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Error(n, err)
	}
	if !s.alive() {
		t.Error("an idle one is not alive")
	}
	_ = peer.Close()
	waitFor(t, "the end", func() bool { return !s.alive() })
}
