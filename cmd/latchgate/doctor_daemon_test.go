package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

func TestDoctorLooksAtTheDaemon(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	says := func(status int, want string, args ...string) {
		t.Helper()
		o := h.run(append([]string{"doctor"}, args...)...)
		if o.status != status || !strings.Contains(o.stdout, want) {
			t.Errorf("status %d, want %d and %q:\n%s%s", o.status, status, want, o.stdout, o.stderr)
		}
		noSecret(t, "doctor", o.stdout+o.stderr)
	}
	running := fmt.Sprintf("process %d, ", d.cmd.Process.Pid)
	says(0, running)
	h.write("other.toml", h.read("latchgate.toml"))
	says(2, "runs with another configuration: "+h.path("latchgate.toml"), "--config", "other.toml")
	h.write("manifests/api.yaml", "action_id: api\nallowed_domain: typo\n")
	d.signal(syscall.SIGHUP)
	d.wait("reload: the last good one stays in force where it failed")
	says(1, fmt.Sprintf("process %d is not ready: ", d.cmd.Process.Pid))
	d.stop()
	says(1, "not running")
}

// What sits on the socket and does not answer as a daemon is said to be that, and
// not to be missing.
func TestADaemonThatAnswersWronglyIsNotTakenForNone(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	ln, err := net.Listen("unix", h.path("gate.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	_ = server.Listener.Close()
	server.Listener = ln
	server.Start()
	t.Cleanup(server.Close)
	h.environ = append(h.environ, "LATCHGATE_METRICS__LISTEN="+taken(t))
	o := h.run("doctor")
	if text := strings.Join(strings.Fields(o.stdout), " "); o.status != 1 || !strings.Contains(text, "error daemon the socket ") || !strings.Contains(text, "warning metrics.listen listen tcp") {
		t.Errorf("status %d\n%s", o.status, o.stdout)
	}
	if o := h.run("doctor", "--attack"); o.status != 1 || !strings.Contains(strings.Join(strings.Fields(o.stdout), " "), "error daemon the socket ") {
		t.Errorf("--attack: status %d\n%s", o.status, o.stdout)
	}
	for _, args := range [][]string{{"runs", "list"}, {"env", "-a", "api"}, {"exec", "-a", "api", "--", "true"}, {"run", "api"}, {"approvals", "list"}} {
		if o := h.run(args...); o.status != 1 || !strings.HasPrefix(o.stderr, "latchgate: the daemon at "+h.path("gate.sock")+" does not answer") || !strings.Contains(o.stderr, "\n  restart it") {
			t.Errorf("%v: status %d\n%s", args, o.status, o.stderr)
		}
	}
}

// taken is an address that somebody listens on until the test ends.
func taken(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}
