package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nodeTells prints Node's version, and whether it reads the proxy variables.
const nodeTells = `process.stdout.write(process.version + ' ' + process.allowedNodeEnvironmentFlags.has('--use-env-proxy'))`

// lookAtClients tells of the runtimes on PATH that need help from `exec`, and
// what to do where there is no `exec`.
func (d *doctor) lookAtClients(ctx context.Context) {
	d.lookAtNode(ctx)
	if _, err := exec.LookPath("java"); err == nil {
		const env = "with `env`, the program needs a java.net.Authenticator that answers with the credentials in HTTPS_PROXY"
		if canTellUsers {
			d.ok("java", "sends a proxy no credentials of itself; `exec` adds them", env)
		} else {
			d.ok("java", "sends a proxy no credentials of itself", strings.Replace(env, "with `env`, ", "", 1))
		}
	}
}

func (d *doctor) lookAtNode(ctx context.Context) {
	path, err := exec.LookPath("node")
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, path, "-e", nodeTells)
	c.WaitDelay = time.Second // a version manager's node may leave something running
	out, err := c.Output()
	if errors.Is(err, exec.ErrWaitDelay) && len(out) > 0 {
		err = nil
	}
	version, reads, _ := strings.Cut(string(out), " ")
	switch {
	case err != nil:
		d.warn("node", path+" does not run: "+err.Error(), "mend or remove it")
	case reads == "true":
		d.ok("node", version+" reads the proxy variables", "")
	default:
		d.ok("node", version+" reads no proxy variable; `exec` loads a module that does",
			"with `env`, set NODE_OPTIONS='--require "+filepath.Join(d.cfg.CA.Dir, "nodeproxy.cjs")+"', or use Node 22.21, 24.5 or later")
	}
}
