package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/latchgate/latchgate/secrets"
)

func TestServeReturnsWhenItsListenerFails(t *testing.T) {
	h := newHouse(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- h.server.Serve(ln) }()
	_ = ln.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(3 * time.Second):
		t.Error("Serve hangs though nothing listens")
		go func() { <-ended }()
	}
}

func TestShutdownDoesNotWaitForATunnelThatSaysNothing(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	c, _, resp := h.connect(run, tok, apiHost+":"+h.origin.port, "")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	started := time.Now()
	if err := h.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Errorf("the tunnel is still open after Shutdown: %v", err)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestARunThatEndsWhileItsTunnelIsDialledLeavesNothingOpen(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open("action_id: blind\negress: {profile: proxy_allowlist, allowed_domains: [\"api.localhost:PORT\"]}\n")
	c, br, resp := h.connect(run, tok, apiHost+":"+h.origin.port, "")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	h.runs.Close(run.ID, ErrRunRevoked)
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	if _, err := br.ReadByte(); err == nil || isTimeout(err) {
		t.Errorf("the blind tunnel outlived its run: %v", err)
	}
}

func TestTheEndOfARunCutsAStalledUpload(t *testing.T) {
	arrived := make(chan struct{}, 1)
	h1 := rawH1(t, func(c net.Conn, r *http.Request) bool {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		return false
	})
	h2 := newHouse(t)
	h2.origin.on("/up", func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	for i, h := range []*house{h1, h2} {
		run, tok := h.open(bearerManifest)
		c := h.stalledUpload(run, tok, "/up")
		<-arrived
		h.runs.Close(run.ID, ErrRunRevoked)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if isTimeout(err) {
			t.Errorf("HTTP/%d upstream: the client of a revoked run was left waiting", i+1)
		} else if err == nil && resp.StatusCode != http.StatusProxyAuthRequired {
			t.Error(resp.Status)
		}
	}
}

func TestARunKeepsNothingInMemoryThatItDoesNotDeclare(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	c := h.client(run, tok)
	eventually(t, func() error { // until the file is old enough for one decryption to serve both
		get(t, c, h.url("/"))
		set, err := h.store.View([]secrets.Want{{Name: "OTHER"}}).Acquire(context.Background())
		if err != nil {
			return err
		}
		defer set.Release()
		if run.creds.Load().generation != set.Generation() {
			return context.DeadlineExceeded
		}
		return nil
	})
	set, err := h.store.View([]secrets.Want{{Name: "OTHER"}}).Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	v, _ := set.Get("OTHER")
	b := v.Reveal()
	set.Release()
	_ = h.store.Close() // as when the TTL is over
	if bytes.Contains(b, []byte(other)) {
		t.Error("a run that is idle keeps the whole file in memory")
	}
}

// Over HTTP/2 too, where a run is no connection: a request that waits is answered.
func TestARunThatEndsAnswersTheRequestThatWaits(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		h := newHouse(t)
		run, tok := h.open(bearerManifest)
		arrived := make(chan struct{})
		h.origin.on("/wait", func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
		})
		go func() { <-arrived; h.runs.Close(run.ID, ErrRunRevoked) }()
		resp, body := get(t, h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = h2 }), h.url("/wait"))
		denied(t, resp, body, RunUnknown)
	}
}
