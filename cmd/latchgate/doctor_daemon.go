package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
)

func (d *doctor) lookAtDaemon(context.Context) {
	client := d.daemon
	switch {
	case d.silent != nil:
		d.failSilent()
	case client == nil:
		d.ok("daemon", "not running; `exec` and `run` do without", "start it with `latchgate proxy` if `env` or other users' clients need it")
	case !client.Status.Ready:
		d.fail("daemon", fmt.Sprintf("process %d is not ready: %s", client.Status.PID, client.Status.Fault), "mend what it names; it keeps the last good one until then")
	case client.Status.Config != d.cfg.File():
		d.warn("daemon", fmt.Sprintf("process %d runs with another configuration: %s", client.Status.PID, cmp.Or(client.Status.Config, "none")), "restart it, or name that file with --config")
	default:
		d.ok("daemon", fmt.Sprintf("process %d, version %s, proxy at %s, %d runs open", client.Status.PID, client.Status.Version, client.Status.Proxy, client.Status.Runs), "")
	}
}

func (d *doctor) failSilent() {
	if errors.Is(d.silent, gate.ErrSocketDenied) {
		d.warn("daemon", d.silent.Error(), "it is another user's: run this as that user or root, or set gate.socket to a daemon of your own")
		return
	}
	d.fail("daemon", fmt.Sprintf("the socket %s answers wrongly: %v", d.cfg.Gate.Socket, d.silent), "restart the daemon; look at its log")
}

// lookAtPorts asks whether the configured addresses are the daemon's, or free.
func (d *doctor) lookAtPorts(context.Context) {
	served := map[string]string{"proxy.listen": "", "metrics.listen": ""}
	if d.daemon != nil {
		served["proxy.listen"], served["metrics.listen"] = d.daemon.Status.Proxy, d.daemon.Status.Metrics
	}
	d.lookAtPort("proxy.listen", d.cfg.Proxy.Listen, served["proxy.listen"])
	if d.cfg.Metrics.Listen == "" {
		d.ok("metrics.listen", "switched off", "")
	} else {
		d.lookAtPort("metrics.listen", d.cfg.Metrics.Listen, served["metrics.listen"])
	}
}

// lookAtPort: served is where the daemon listens, "" where there is none.
func (d *doctor) lookAtPort(key, listen, served string) {
	network, address := configs.SplitListen(listen)
	_, port, _ := net.SplitHostPort(address)
	free := port == "0" && network == "tcp" // whatever port there is
	switch {
	case served != "" && (free || sameAddress(served, address)):
		d.ok(key, served+", the daemon's", "")
		return
	case served != "":
		d.warn(key, fmt.Sprintf("the daemon listens on %s, and the configuration says %s", served, address), "restart it: an address takes effect at the start")
		return
	case network == "unix":
		d.ok(key, address, "")
		return
	}
	ln, err := net.Listen(network, address)
	if err != nil && d.silent != nil {
		d.warn(key, err.Error(), "perhaps it is the daemon above: mend that first")
		return
	}
	if err != nil {
		d.fail(key, err.Error(), fmt.Sprintf("stop the program that listens there (`ss -ltnp`), or set %s in latchgate.toml", key))
		return
	}
	_ = ln.Close()
	d.ok(key, address+" is free", "")
}

// sameAddress: localhost is written by its name and answered by its address.
func sameAddress(served, configured string) bool {
	_, port, _ := net.SplitHostPort(configured)
	return served == configured || strings.HasSuffix(served, ":"+port)
}

// lookAtProcess tells how the daemon's memory is kept from others, or how this
// process' is where there is none.
func (d *doctor) lookAtProcess(context.Context) {
	pid, who := os.Getpid(), "this process"
	if d.daemon != nil {
		pid, who = d.daemon.Status.PID, "the daemon"
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		d.ok("hardening", "not known: this system has no /proc to look at "+who, "")
		return
	}
	if limit := limitOf(string(limits), "Max core file size"); limit != "0" {
		d.fail("core files", fmt.Sprintf("%s may write one of %s bytes, with all that it holds", who, cmp.Or(limit, "?")), "restart it; what started it must not raise the limit again")
	} else {
		d.ok("core files", who+" writes none", "")
	}
	if st, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid)); err == nil && os.Geteuid() != 0 {
		if uid, known := ownerOf(st); known && uid != 0 { // the kernel gives those that can't be traced to root; the folder stays the user's
			d.fail("memory", "other processes of this user can trace "+who+" and read its memory", "restart it; a debugger or a wrapper must not have switched that on")
		} else {
			d.ok("memory", "other processes of this user can't read it", "")
		}
	}
	if d.daemon == nil {
		return
	}
	if n := canGain(pid); n > 0 {
		d.fail("privileges", fmt.Sprintf("the daemon can gain new privileges in %d of its threads", n), "restart it with `latchgate proxy`, which gives them up")
	} else {
		d.ok("privileges", "the daemon can gain none", "")
	}
}

// canGain counts the threads of a process that a child with more privileges can
// be started from.
func canGain(pid int) (n int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, t := range threads {
		status, err := os.ReadFile(t)
		if err == nil && !strings.Contains(string(status), "\nNoNewPrivs:\t1\n") {
			n++
		}
	}
	return n
}

// limitOf is the soft limit of that name in /proc/PID/limits.
func limitOf(limits, name string) string {
	for line := range strings.Lines(limits) {
		if rest, found := strings.CutPrefix(line, name); found {
			soft, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			return soft
		}
	}
	return ""
}
