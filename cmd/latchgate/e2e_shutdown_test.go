package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestKillingTheDaemonDuringADownloadDoesNotHangTheClient(t *testing.T) {
	t.Parallel()
	need(t, "curl", "wget")
	for name, command := range map[string][]string{
		"curl": {"curl", "-sS", "-N", "https://api.example.com/download"},
		"wget": {"wget", "-q", "-O-", "--tries=1", "https://api.example.com/download"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			d := h.start()
			x := h.downloading(command...)
			d.signal(syscall.SIGKILL)
			x.breaksOff()
			<-d.done
			h.noSecretOnDisk()

			// What the killed daemon left is in nobody's way.
			d = h.start()
			if o := h.run("exec", "-a", "api", "--", "curl", "-sSf", "https://api.example.com/after"); o.status != 0 {
				t.Errorf("after a restart: status %d: %s", o.status, o.stderr)
			}
			h.must("audit", "verify")
			d.stop()
		})
	}
}

func TestKillingExecDuringADownloadDoesNotHangTheClient(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	x := h.downloading("curl", "-sS", "-N", "https://api.example.com/download")
	if err := x.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The client is an orphan now; its output stays open until it ends.
	x.breaksOff()
}

// transfer is a client in the middle of a download.
type transfer struct {
	h      *home
	cmd    *exec.Cmd
	errOut bytes.Buffer
	ended  chan struct{} // the client, and whoever inherited its output, has ended
}

// downloading starts a client of /download and returns when it has read some of
// it and no more is coming.
func (h *home) downloading(command ...string) *transfer {
	h.t.Helper()
	x := &transfer{h: h, cmd: h.command(append([]string{"exec", "-a", "api", "--"}, command...)...), ended: make(chan struct{})}
	out, in, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	x.cmd.Stdout, x.cmd.Stderr = in, &x.errOut
	if err := x.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	_ = in.Close()
	begun := make(chan struct{})
	go func() {
		defer close(x.ended)
		_, _ = io.CopyN(io.Discard, out, 1000)
		close(begun)
		_, _ = io.Copy(io.Discard, out)
		_ = out.Close()
	}()
	h.t.Cleanup(func() { _ = syscall.Kill(-x.cmd.Process.Pid, syscall.SIGKILL); <-x.ended })
	late := time.After(patience)
	for _, c := range []<-chan struct{}{h.origin.enteredOnce(h.t), begun} {
		select {
		case <-c:
		case <-late:
			h.t.Fatal("the download did not start")
		}
	}
	return x
}

// breaksOff waits for the end of a client whose download was cut.
func (x *transfer) breaksOff() {
	x.h.t.Helper()
	select {
	case <-x.ended:
	case <-time.After(patience):
		x.h.t.Fatal("the client hangs")
	}
	_ = x.cmd.Wait()
	if x.cmd.ProcessState.ExitCode() == 0 {
		x.h.t.Errorf("a download that was cut looks like a whole one: %s", x.errOut.String())
	}
}

func TestAnswerThatBreaksOffUpstreamBreaksOffHere(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	for _, version := range []string{"--http1.1", "--http2"} {
		o := h.run("exec", "-a", "api", "--", "curl", "-sS", "-N", version, "https://api.example.com/break")
		if o.status == 0 || o.stdout != "the first half" {
			t.Errorf("%s: half an answer looks like a whole one: status %d, %q", version, o.status, o.stdout)
		}
	}
}

func TestDaemonThatIsToldToStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	d := h.start()
	var out, errOut bytes.Buffer
	cmd := h.command("exec", "-a", "api", "--", "curl", "-sSf", "https://api.example.com/hold")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	agent := h.agent("api")
	if a := agent.get("https://api.example.com/before"); a.status != http.StatusOK {
		t.Fatalf("before: %+v", a)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-h.origin.enteredOnce(t)
	d.signal(syscall.SIGTERM)
	d.wait("shutting down")

	// The agent's own tunnel was idle: it is closed, or answers once more that it
	// is draining. No new connection is taken.
	if a := agent.get("https://api.example.com/late"); a.err == nil && (a.status != http.StatusServiceUnavailable || a.code != "draining") {
		t.Errorf("a request that came late: %+v", a)
	}
	if n := len(h.origin.at(apiHost, "/late")); n != 0 {
		t.Error("a request that came late went upstream")
	}
	if !d.running() {
		t.Error("the daemon did not wait for the request under way")
	}
	close(h.origin.release)
	if err := cmd.Wait(); err != nil || out.String() != "held to the end" {
		t.Errorf("the request under way: %v %q %s", err, out.String(), errOut.String())
	}
	d.ended(0)
	if _, err := os.Stat(h.path("gate.sock")); err == nil {
		t.Error("the socket is still there")
	}
	h.must("audit", "verify")
	h.noSecretOnDisk()
}

func TestDrainTimeIsAnUpperBound(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	h.write("latchgate.toml", strings.Replace(h.read("latchgate.toml"), "[proxy]\n", "[proxy]\ndrain_timeout = \"200ms\"\n", 1))
	d := h.start()
	x := h.downloading("curl", "-sS", "-N", "https://api.example.com/download")
	d.signal(syscall.SIGTERM)
	x.breaksOff()
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatal("the daemon waits for a request beyond its drain time")
	}
	if !strings.Contains(d.log(), "shutting down") {
		t.Error(d.log())
	}
}

func TestSecondDaemonOnTheSameSocketIsRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.start()
	o := h.run("proxy")
	if o.status != 1 || !strings.Contains(o.stderr, "latchgate: another latchgate proxy is running on this socket: "+h.path("gate.sock")) {
		t.Errorf("status %d: %s", o.status, o.stderr)
	}
	if lines := strings.Split(strings.TrimSpace(o.stderr), "\n"); !strings.HasPrefix(lines[len(lines)-1], "  ") {
		t.Errorf("it does not say what to do:\n%s", o.stderr)
	}
	if o := h.must("runs", "list"); !strings.Contains(o.stdout, "RUN") {
		t.Errorf("the first one does not answer any more: %s", o.stdout)
	}
}

func TestAddressInUseIsSaidClearly(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	h := newHome(t)
	for flag, key := range map[string]string{"--listen": "proxy.listen", "--metrics-listen": "metrics.listen"} {
		o := h.run("proxy", flag, ln.Addr().String())
		lines := strings.Split(strings.TrimSpace(o.stderr), "\n")
		what, todo := lines[max(0, len(lines)-2)], lines[len(lines)-1]
		if o.status != 1 || !strings.HasPrefix(what, "latchgate: "+key) || !strings.Contains(what, "address already in use") || !strings.HasPrefix(todo, "  ") || !strings.Contains(todo, key) {
			t.Errorf("%s: status %d\n%s", flag, o.status, o.stderr)
		}
	}
}

// enteredOnce is closed when a request waits in /hold or /download.
func (o *origin) enteredOnce(t *testing.T) <-chan struct{} {
	c := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-o.entered:
			close(c)
		case <-ctx.Done():
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return c
}
