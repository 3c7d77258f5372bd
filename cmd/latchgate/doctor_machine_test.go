package main

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/cmd/latchgate/sandbox"
	"github.com/latchgate/latchgate/gate"
)

// finding is a line that a check of doctor has to print.
type finding struct {
	name    string
	status  int
	want    string      // begins a line, blanks aside
	environ []string    // of the shell
	spoil   func(*home) // what is wrong
	args    []string    // of doctor
}

func (f *finding) check(t *testing.T, h *home) {
	t.Helper()
	if f.spoil != nil {
		f.spoil(h)
	}
	args := append([]string{"doctor", "--config", h.path("latchgate.toml")}, f.args...)
	c := h.command(args...)
	c.Env = append(c.Env, f.environ...)
	out, _ := c.Output()
	text := strings.Join(strings.Fields(string(out)), " ")
	if got := c.ProcessState.ExitCode(); got != f.status || !strings.Contains(text, f.want) {
		t.Errorf("status %d, want %d and %q:\n%s", got, f.status, f.want, out)
	}
	noSecret(t, "doctor", string(out))
}

// Each of these is the only thing that is wrong.
func TestDoctorNamesWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	const aKey = "AGE-SECRET-KEY-1QQQQQQQQ"
	for _, f := range []finding{
		{name: "nothing", status: 0, want: "0 errors, 0 warnings"},
		{name: "node that leaves something running", status: 0, want: "ok node v99.1.2 reads the proxy variables", spoil: func(h *home) {
			h.write("bin/node", "#!/bin/sh\nsleep 60 &\nprintf 'v99.1.2 true'\n")
			h.mode("bin/node", 0o700)
			h.environ[0] = "PATH=" + h.path("bin") + ":" + os.Getenv("PATH")
		}},
		{name: "service on this machine", status: 0, want: "ok loopback own is about localhost:8443, and clients go past a proxy to this machine itself -> curl --noproxy ''",
			spoil: func(h *home) {
				h.write("manifests/own.yaml", "action_id: own\negress: {profile: proxy_allowlist, allowed_domains: ['localhost:8443', example.com]}\n")
			}},
		{name: "proxy port", status: 1, environ: []string{"LATCHGATE_PROXY__LISTEN=" + taken.Addr().String()},
			want: "error proxy.listen listen tcp " + taken.Addr().String() + ": bind: address already in use -> stop the program that listens there"},
		{name: "metrics port", status: 1, environ: []string{"LATCHGATE_METRICS__LISTEN=" + taken.Addr().String()}, want: "error metrics.listen listen tcp"},
		{name: "runs for strangers", status: 1, environ: []string{"LATCHGATE_PROXY__LISTEN=0.0.0.0:0", "LATCHGATE_PROXY__DEFAULT_ACTIONS=api"},
			want: "proxy.default_actions: gives a run to clients without credentials, which only a loopback or unix listener may do"},
		{name: "clock", status: 2, want: "after what this machine's clock says -> set the clock",
			spoil: func(h *home) {
				later := time.Now().Add(time.Hour)
				if err := os.Chtimes(h.path("latchgate.toml"), later, later); err != nil {
					h.t.Fatal(err)
				}
			}},
		{name: "bundle without us", status: 1, want: "does not hold our root: clients refuse every host that is intercepted -> restart",
			spoil: func(h *home) { h.must("ca", "export"); h.write(".latchgate/ca/bundle.pem", h.read("origin-ca.pem")) }},
		{name: "bundle without the system", status: 1, want: "holds our root alone: clients trust no host that is not intercepted -> restart",
			spoil: func(h *home) { h.write(".latchgate/ca/bundle.pem", h.must("ca", "export").stdout) }},
		{name: "old bundle", status: 2, want: "holds other roots than the system does now -> restart",
			spoil: func(h *home) {
				h.write(".latchgate/ca/bundle.pem", h.must("ca", "bundle").stdout+h.read("origin-ca.pem"))
			}},
		{name: "current bundle", status: 0, want: "roots and ours, current",
			spoil: func(h *home) { h.write(".latchgate/ca/bundle.pem", h.must("ca", "bundle").stdout) }},
		{name: "run of a proxy that is gone", status: 2, environ: []string{"https_proxy=http://run-0123456789ab:t0ken@" + closed.Addr().String()},
			want: "warning https_proxy this shell is in run run-0123456789ab of a proxy that does not run any more"},
		{name: "another proxy", status: 0, environ: []string{"HTTP_PROXY=http://user:pass@proxy.example.com:3128"},
			want: "ok HTTP_PROXY leads to another proxy, at proxy.example.com:3128 -> latchgate itself does not use it"},
		{name: "no proxy at all", status: 2, environ: []string{"HTTP_PROXY=:::"}, want: "warning HTTP_PROXY is not the URL of a proxy"},
		{name: "NO_PROXY over an action's host", status: 2, environ: []string{"HTTPS_PROXY=http://proxy.example.net:1", "NO_PROXY=10.0.0.0/8,.example.com"},
			want: "warning NO_PROXY clients of this shell go past any proxy to api.example.com, git.example.com, so without a credential"},
		{name: "NO_PROXY without a proxy", status: 0, environ: []string{"no_proxy=*"}, want: "ok no_proxy clients of this shell go past any proxy to"},
		{name: "credential in the shell", status: 2, environ: []string{"API_TOKEN=" + apiSecret},
			want: "warning API_TOKEN is set in this shell: what is started without `latchgate exec` has the credential itself -> latchgate secrets set API_TOKEN; unset API_TOKEN"},
		{name: "key of sops", status: 2, environ: []string{"SOPS_AGE_KEY=" + aKey}, want: "warning SOPS_AGE_KEY holds a key of the secrets file"},
		{name: "key under any name", status: 2, environ: []string{"NOTES=" + aKey}, want: "warning NOTES holds a key of the secrets file"},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.environ = append(h.environ, "SSL_CERT_FILE="+h.path("origin-ca.pem"))
			f.check(t, h)
		})
	}
}

func TestDoctorTellsWhatASandboxedCommandCanDoHere(t *testing.T) {
	t.Parallel()
	if _, err := sandbox.Check(); err != nil {
		t.Skip(err)
	}
	h := newHome(t)
	(&finding{want: "ok folder latchgate's files are in " + h.dir + ": a sandboxed command can make and remove nothing in it -> run the command from a folder below"}).check(t, h)
	c := h.command("doctor", "--config", h.path("latchgate.toml"))
	c.Dir = h.path("tmp")
	if out, err := c.Output(); err != nil || !strings.Contains(string(out), "a sandboxed command can work in "+h.path("tmp")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDoctorKnowsWhetherThisShellsRunIsOpen(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.start()
	agent := h.agent("api")
	open := finding{status: 0, want: "this shell is in run " + agent.run() + " of api", environ: []string{"HTTPS_PROXY=" + agent.vars["HTTPS_PROXY"], "API_TOKEN=a-placeholder"}}
	open.check(t, h)
	h.must("runs", "revoke", agent.run())
	ended := finding{status: 2, want: "warning HTTPS_PROXY this shell is in run " + agent.run() + ", which has ended: its clients get 407 -> open another one", environ: []string{"HTTPS_PROXY=" + agent.vars["HTTPS_PROXY"]}}
	ended.check(t, h)
}

func TestDoctorTellsHowTheDaemonIsHardened(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	(&finding{status: 0, want: "ok privileges the daemon can gain none"}).check(t, h)
	if n := canGain(d.cmd.Process.Pid); n != 0 {
		t.Errorf("%d threads of the daemon can gain privileges", n)
	}
	if canGain(os.Getpid()) == 0 && !noNewPrivileges(t) {
		t.Error("a process that can gain privileges passes for one that can't")
	}
	const limits = "Limit                     Soft Limit           Hard Limit           Units     \nMax core file size        unlimited            unlimited            bytes     \n"
	if got := limitOf(limits, "Max core file size"); got != "unlimited" {
		t.Errorf("the soft limit is %q", got)
	}
}

// noNewPrivileges: the tests themselves run in a place where nobody gains any.
func noNewPrivileges(t *testing.T) bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	return strings.Contains(string(status), "\nNoNewPrivs:\t1\n")
}

// What others left in a process is told, where there is one to look at.
func TestDoctorTellsOfAProcessThatIsNotHardened(t *testing.T) {
	if noNewPrivileges(t) {
		t.Skip("nothing here can gain privileges")
	}
	d := &doctor{daemon: &gate.Client{Status: gate.Status{PID: os.Getpid()}}}
	d.lookAtProcess(context.Background())
	for _, c := range d.checks {
		if c.Name == "privileges" && c.Status == checkError && c.Todo != "" {
			return
		}
	}
	t.Errorf("%+v", d.checks)
}
