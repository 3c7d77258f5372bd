package main

import (
	"fmt"
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
