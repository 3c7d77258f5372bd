package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a `latchgate proxy` that runs in a home.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	proxy, metrics string // addresses

	mu     sync.Mutex
	lines  []map[string]any
	raw    strings.Builder
	more   chan struct{} // closed and replaced with each line
	done   chan struct{} // the process has ended and its log is read
	status int
}

// in is the home as a subtest sees it.
func (h *home) in(t *testing.T) *home {
	sub := *h
	sub.t = t
	return &sub
}

// start starts the daemon and returns when it is ready. When the test ends it
// is told to stop, and must do so with status 0.
func (h *home) start(args ...string) *process {
	h.t.Helper()
	d := h.spawn(args...)
	ready := d.wait("ready")
	d.proxy, _ = ready["proxy"].(string)
	d.metrics, _ = ready["metrics"].(string)
	h.t.Cleanup(func() {
		if d.running() {
			d.stop()
		}
	})
	return d
}

// spawn starts the daemon.
func (h *home) spawn(args ...string) *process {
	h.t.Helper()
	// Its life is the test's, not that of one command.
	c := exec.Command(h.program, append([]string{"proxy"}, args...)...)
	c.Dir, c.Env = h.dir, h.environ
	log, err := c.StderrPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	d := &process{t: h.t, cmd: c, more: make(chan struct{}), done: make(chan struct{})}
	go d.follow(log)
	h.t.Cleanup(func() { _ = c.Process.Kill(); <-d.done })
	return d
}

// follow reads the log to its end, then waits for the process.
func (d *process) follow(log io.Reader) {
	defer close(d.done)
	for s := bufio.NewScanner(log); s.Scan(); {
		var line map[string]any
		_ = json.Unmarshal(s.Bytes(), &line) // a panic or a race is no JSON
		d.mu.Lock()
		d.raw.WriteString(s.Text() + "\n")
		d.lines = append(d.lines, line)
		close(d.more)
		d.more = make(chan struct{})
		d.mu.Unlock()
	}
	_ = d.cmd.Wait()
	d.status = d.cmd.ProcessState.ExitCode()
}

// wait returns the first log line of that message, those of the past included.
func (d *process) wait(msg string) map[string]any {
	d.t.Helper()
	line, _ := d.waitAfter(0, msg)
	return line
}

// waitAfter is wait from the nth line on; it returns the number of the next.
func (d *process) waitAfter(n int, msg string) (map[string]any, int) {
	d.t.Helper()
	late := time.After(patience)
	for ended := false; ; {
		d.mu.Lock()
		lines, more := d.lines, d.more
		d.mu.Unlock()
		for ; n < len(lines); n++ {
			if lines[n]["msg"] == msg {
				return lines[n], n + 1
			}
		}
		if ended {
			d.t.Fatalf("the daemon ended without saying %q:\n%s", msg, d.log())
		}
		select {
		case <-more:
		case <-d.done:
			ended = true // one more look at what came last
		case <-late:
			d.t.Fatalf("the daemon never said %q:\n%s", msg, d.log())
		}
	}
}

// now is the number of log lines so far, for waitAfter.
func (d *process) now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lines)
}

func (d *process) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.raw.String()
}

func (d *process) running() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

func (d *process) signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// stop ends the daemon as an init system does, and looks at what it left.
func (d *process) stop() {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	d.ended(0)
}

// ended waits for the end of the process.
func (d *process) ended(status int) {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(patience):
		d.t.Fatalf("the daemon does not end:\n%s", d.log())
	}
	if d.status != status {
		d.t.Errorf("the daemon's exit status is %d, want %d:\n%s", d.status, status, d.log())
	}
	if strings.Contains(d.log(), "DATA RACE") || strings.Contains(d.log(), "panic") {
		d.t.Errorf("the daemon's log:\n%s", d.log())
	}
	noSecret(d.t, "the daemon's log", d.log())
}

// get asks the operator's listener: /metrics, /healthz, /readyz.
func (d *process) get(path string) (int, string) {
	d.t.Helper()
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + d.metrics + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
