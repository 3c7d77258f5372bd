package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchgate/latchgate/proxy/h1"
)

// slowConn lets each write wait until it is told to go on.
type slowConn struct {
	net.Conn
	entered chan int
	goOn    chan error
	mu      sync.Mutex
	out     bytes.Buffer
}

func (c *slowConn) Write(p []byte) (int, error) {
	c.entered <- len(p)
	if err := <-c.goOn; err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *slowConn) Close() error                     { close(c.goOn); return nil }
func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func newSlowConn() *slowConn { return &slowConn{entered: make(chan int, 100), goOn: make(chan error)} }

func TestWritesThatComeWhileOneIsUnderWayGoOutTogether(t *testing.T) {
	slow := newSlowConn()
	g := gather(slow)
	var want strings.Builder
	write := func(i int) {
		s := fmt.Sprintf("write %d. ", i)
		want.WriteString(s)
		if _, err := io.WriteString(g, s); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	<-slow.entered
	for i := 1; i < 100; i++ {
		write(i)
	}
	slow.goOn <- nil
	if n := <-slow.entered; n != want.Len()-len("write 0. ") {
		t.Errorf("the second write is of %d bytes", n)
	}
	slow.goOn <- nil
	eventually(t, func() error {
		slow.mu.Lock()
		defer slow.mu.Unlock()
		if got := slow.out.String(); got != want.String() {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
}

// What is written faster than it is taken waits at its writer, not in memory.
func TestAGatheredConnectionPushesBack(t *testing.T) {
	slow := newSlowConn()
	g := gather(slow)
	done := make(chan error, 1)
	go func() { _, err := g.Write(make([]byte, 10*gatherSize)); done <- err }()
	for sent := 0; sent < 10*gatherSize; {
		n := <-slow.entered
		if sent += n; n > gatherSize {
			t.Fatalf("%d bytes were held", n)
		}
		if sent < 8*gatherSize {
			select {
			case err := <-done:
				t.Fatal("the write is over before it is taken", err)
			default:
			}
		}
		slow.goOn <- nil
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAGatheredConnectionsErrorIsThatOfALaterWrite(t *testing.T) {
	slow, broken := newSlowConn(), errors.New("broken")
	g := gather(slow)
	_, _ = io.WriteString(g, "lost")
	<-slow.entered
	slow.goOn <- broken
	eventually(t, func() error {
		if _, err := g.Write(nil); !errors.Is(err, broken) {
			return fmt.Errorf("the error is %v", err)
		}
		return nil
	})
}

func TestClosingAGatheredConnectionEndsAWriteThatWaits(t *testing.T) {
	slow := newSlowConn()
	g := gather(slow)
	done := make(chan error, 1)
	go func() { _, err := g.Write(make([]byte, 10*gatherSize)); done <- err }()
	<-slow.entered
	_ = g.Close()
	if err := <-done; err == nil {
		t.Error("the write had success")
	}
}

// A deadline ends a write that waits for room, as net/http expects of a connection.
func TestADeadlineEndsAWriteThatWaitsForRoom(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	g := gather(near)
	defer func() { _ = g.Close() }()
	_ = g.SetWriteDeadline(time.Unix(1, 0))
	for {
		if _, err := g.Write(make([]byte, gatherSize)); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			return
		}
	}
}

// connected is both ends of a TCP connection.
func connected(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if far, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}

// crypto/tls writes each record by itself; a piece that takes four is one write.
func TestALargePieceIsOneWriteThroughTLS(t *testing.T) {
	near, far := connected(t)
	var writes atomic.Int64
	tc := &tunnelConn{replayConn: &replayConn{Conn: &writesCounted{near, &writes}}}
	cert := newAuthority(t, "root").issue(t, newECKey(t), withAddresses(net.IPv4(127, 0, 0, 1)))
	config := serving(cert)
	config.DynamicRecordSizingDisabled = true // as in tunnels
	tc.session = tls.Server(tc, config)
	client := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error, 1)
	go func() { shaken <- tc.session.Handshake() }()
	if err := errors.Join(client.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 16 << 10, 4 * 16 << 10, 5*16<<10 + 1} {
		sent := bytes.Repeat([]byte("x"), size)
		before := writes.Load()
		if n, err := wholeWrites(tc.session).Write(sent); n != size || err != nil {
			t.Fatal(n, err)
		}
		if n := writes.Load() - before; n != 1 {
			t.Errorf("%d bytes took %d writes", size, n)
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

type writesCounted struct {
	net.Conn
	n *atomic.Int64
}

func (c *writesCounted) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

// What has arrived of an upload is read together, and what has not is not waited for.
func TestAnUploadIsReadAsFarAsItHasArrived(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("outside Linux nobody asks a socket what has arrived")
	}
	near, far := connected(t)
	near = h1.Socket(near)
	for arrived, want := range map[int]int{0: 1, h1.RecordSize: 1, 2*h1.RecordSize - 1: 1, 2 * h1.RecordSize: 2, 3*h1.RecordSize + 5: 3} {
		if _, err := far.Write(make([]byte, arrived)); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if n := h1.Arrived(near); n != arrived {
				return fmt.Errorf("%d bytes of %d are here", n, arrived)
			}
			return nil
		})
		b := &uploadBody{ReadCloser: io.NopCloser(&recordReader{near}), ahead: &ahead{socket: near}, interrupt: func() {}}
		if n, err := b.Read(make([]byte, 1<<20)); n != want || err != nil {
			t.Errorf("%d bytes have arrived: %d reads, want %d; %v", arrived, n, want, err)
		}
		_, _ = io.CopyN(io.Discard, near, int64(h1.Arrived(near)))
	}
}

// recordReader takes a record from the connection, if one is there, and gives a byte for it.
type recordReader struct{ c net.Conn }

func (r *recordReader) Read(p []byte) (int, error) {
	_, _ = io.CopyN(io.Discard, r.c, int64(min(h1.Arrived(r.c), h1.RecordSize)))
	return copy(p, "x"), nil
}
