package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestConnectionsBeyondTheLimitAreToldSo(t *testing.T) {
	h := newHouse(t)
	h.server.slots.limit.Store(2)
	run, tok := h.open(bearerManifest)
	held := []net.Conn{h.tunnelTLS(run, tok, apiHost), h.tunnelTLS(run, tok, apiHost)}
	for _, request := range []string{
		"CONNECT api.localhost:443 HTTP/1.1\r\nHost: api.localhost:443\r\n\r\n",
		"GET http://api.localhost/ HTTP/1.1\r\nHost: api.localhost\r\n\r\n",
		"POST http://api.localhost/ HTTP/1.1\r\nHost: api.localhost\r\nContent-Length: 5\r\n\r\nhello",
		"CONNECT api.localhost:443 HTTP/1.0\r\n\r\n",
	} {
		c := h.dial()
		resp, body := raw(t, c, request)
		denied(t, resp, body, Overloaded)
		if resp.Header.Get("Connection") != "close" && !resp.Close {
			t.Errorf("%v says nothing of its end", resp.Header)
		}
		_ = c.Close()
	}
	if n := testutil.ToFloat64(h.wire.metrics.denied.WithLabelValues(string(Overloaded))); n != 4 {
		t.Errorf("%v refusals counted", n)
	}
	if n := strings.Count(h.log.String(), "connections refused"); n != 1 {
		t.Errorf("said %d times", n)
	}
	t.Run("more than can be told are closed", func(t *testing.T) {
		var mute []net.Conn
		for range maxRefusing {
			mute = append(mute, h.dial()) // says nothing, so its refusal waits
		}
		eventually(t, func() error {
			if n := h.server.slots.refusing.Load(); n < maxRefusing {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		c := h.dial()
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("got %v", err)
		}
		for _, c := range mute {
			_ = c.Close()
		}
	})
	for _, c := range held {
		resp, _ := raw(t, c, "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\nConnection: close\r\n\r\n")
		if resp.StatusCode != http.StatusOK {
			t.Errorf("a tunnel that was there before: %s", resp.Status)
		}
		_ = c.Close()
	}
	eventually(t, func() error {
		if n := h.server.slots.open.Load(); n != 0 {
			return fmt.Errorf("%d connections are counted", n)
		}
		return nil
	})
	if resp, _ := get(t, h.client(run, tok), h.url("/")); resp.StatusCode != http.StatusOK {
		t.Errorf("when there is room again: %s", resp.Status)
	}
}

func (h *house) dial() net.Conn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTheConnectionLimitLeavesDescriptorsForUpstreams(t *testing.T) {
	for n, want := range map[int]int{64: 24, 256: 96, 1024: 384, 4096: 1792, 65536: 32512} {
		if got := maxConnections(n); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", n, got, want)
		}
	}
	if descriptors() < 64 {
		t.Errorf("%d descriptors", descriptors())
	}
}

// TestFullDescriptorsAreAnAnswerAndNoCrash runs in a process of its own: the
// limit is the process's.
func TestFullDescriptorsAreAnAnswerAndNoCrash(t *testing.T) {
	if os.Getenv("LATCHGATE_TEST_CHILD") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDescriptorsAreAnAnswerAndNoCrash$", "-test.v")
		cmd.Env = append(os.Environ(), "LATCHGATE_TEST_CHILD=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 200, Max: 200}); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	run, tok := h.open(strings.Replace(bearerManifest, `"api.localhost:PORT"`, `"api.localhost:PORT", "evil.localhost:PORT"`, 1) + blindManifest)
	client := h.client(run, tok)
	if resp, _ := get(t, client, h.url("/")); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	eventually(t, func() error { // until the secrets file is old enough to be cached
		get(t, client, h.url("/"))
		before := run.creds.Load().generation
		get(t, client, h.url("/"))
		if run.creds.Load().generation != before {
			return errors.New("decrypted anew for each request")
		}
		return nil
	})
	there := h.tunnelTLS(run, tok, apiHost) // has an upstream to use again
	fresh, _, _ := h.connect(run, tok, "evil.localhost:"+h.origin.port, "")
	open := h.server.slots.open.Load()
	blind := h.dial()
	eventually(t, func() error { // until it is accepted, which takes a descriptor
		if h.server.slots.open.Load() == open {
			return errors.New("not accepted")
		}
		return nil
	})

	full := fill()
	resp, body := raw(t, there, "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a request that needs no descriptor: %s %s", resp.Status, body)
	}
	full = append(full, fill()...) // what was closed meanwhile
	resp, body = raw(t, fresh, "GET / HTTP/1.1\r\nHost: evil.localhost:"+h.origin.port+"\r\n\r\n")
	denied(t, resp, body, Overloaded)
	full = append(full, fill()...)
	resp, body = raw(t, blind, h.connectHead(run, tok, "127.0.0.1:"+h.origin.port))
	denied(t, resp, body, Overloaded)

	full = append(full, fill()...)
	changed := time.Now().Add(-time.Minute)
	if err := os.Chtimes(filepath.Join(filepath.Dir(h.auditLog), "secrets.enc.yaml"), changed, changed); err != nil {
		t.Fatal(err)
	}
	resp, body = raw(t, there, "GET / HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
	denied(t, resp, body, Overloaded) // the secrets can't be read anew

	// One for the client's end: the door can't accept, and waits.
	_ = full[0].Close()
	late := h.dial()
	if _, err := io.WriteString(late, h.connectHead(run, tok, apiHost+":"+h.origin.port)); err != nil {
		t.Fatal(err)
	}
	for _, f := range full[1:] {
		_ = f.Close()
	}
	resp, err := http.ReadResponse(bufio.NewReader(late), &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("a client that came while there was none left: %v %v", resp, err)
	}
	if resp, _ := get(t, h.client(run, tok), h.url("/")); resp.StatusCode != http.StatusOK {
		t.Errorf("when there are some again: %s", resp.Status)
	}
}

// fill opens files until there is no descriptor left.
func fill() (all []*os.File) {
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return all
		}
		all = append(all, f)
	}
}
