package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReloadedDrainTimeIsTheOneThatCounts(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	d := h.start()
	at := d.now()
	h.write("latchgate.toml", strings.Replace(h.read("latchgate.toml"), "[proxy]\n", "[proxy]\ndrain_timeout = \"200ms\"\n", 1))
	d.waitAfter(at, "reloaded")
	x := h.downloading("curl", "-sS", "-N", "https://api.example.com/download")
	d.signal(syscall.SIGTERM)
	x.breaksOff()
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatal("the daemon drains for the time that it was started with")
	}
}

func TestSecondSignalEndsADaemonThatDrains(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	d := h.start()
	x := h.downloading("curl", "-sS", "-N", "https://api.example.com/download")
	at := d.now()
	d.signal(syscall.SIGTERM)
	d.waitAfter(at, "shutting down")
	d.signal(syscall.SIGTERM)
	x.breaksOff()
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatal("the second signal was ignored")
	}
}
