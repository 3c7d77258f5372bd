package main

import (
	"bufio"
	"os"
	"strings"
	"syscall"
	"testing"
)

// poison are the variables of an operator's shell that an agent must not get.
var poison = []string{
	"API_TOKEN=" + apiSecret, // a declared secret's name, with its value
	"DB_TOKEN=" + apiSecret,  // another, whose placeholder has another name
	"SOPS_AGE_KEY=AGE-SECRET-KEY-1QQPSENTINEL",
	"SOPS_AGE_KEY_FILE=/home/operator/key",
	"MY_BACKUP=# a key\nAGE-SECRET-KEY-1QQPSENTINEL",
	"https_proxy=http://127.0.0.1:1",
	"NODE_USE_ENV_PROXY=0",
}

func TestChildEnvironmentHoldsNoSecret(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/other.yaml", otherManifest+"secrets: [{name: DB_TOKEN, env: DB_PASSWORD}]\n")
			served := h.serving(mode.daemon)
			o := h.runWith("", append(poison, "KEPT=yes"), "exec", "-a", "api", "-a", "git", "-a", "other", "--", "env")
			if o.status != 0 {
				t.Fatalf("status %d: %s", o.status, o.stderr)
			}
			noSecret(t, "the child's environment", o.stdout)
			child := map[string]string{}
			for line := range strings.Lines(o.stdout) {
				name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				if _, twice := child[name]; twice {
					t.Errorf("%s is set twice", name)
				}
				child[name] = value
			}
			for name, want := range map[string]string{"API_TOKEN": "sk-", "GIT_TOKEN": "", "DB_PASSWORD": "", "KEPT": "yes", "NODE_USE_ENV_PROXY": "1",
				"HTTPS_PROXY": "http://run-", "https_proxy": "http://run-", "NO_PROXY": "localhost,127.0.0.1,::1"} {
				if got, ok := child[name]; !ok || !strings.HasPrefix(got, want) {
					t.Errorf("%s is %q, want %q and more", name, got, want)
				}
			}
			for _, name := range []string{"SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "MY_BACKUP", "DB_TOKEN"} {
				if _, ok := child[name]; ok {
					t.Errorf("%s reached the child", name)
				}
			}
			for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "WGETRC", "GIT_SSL_CAINFO"} {
				if _, err := os.Stat(child[name]); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			served()
			h.noSecretOnDisk()
		})
	}
}

// A client that insists on a key sends what its variable holds: a placeholder,
// whose place the real one takes.
func TestPlaceholderThatAClientSendsIsReplaced(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	o := h.runWith("", poison, "exec", "-a", "api", "--", "sh", "-c", `curl -sSf -H "Authorization: Bearer $API_TOKEN" -H "authorization: Basic bWluZTptaW5l" https://api.example.com/placeholder`)
	if o.status != 0 {
		t.Fatalf("status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	header := h.authenticatedOnce(apiHost, "/placeholder")
	for name, values := range header {
		if strings.Contains(strings.Join(values, " "), "sk-") {
			t.Errorf("the placeholder went upstream in %s", name)
		}
	}
}

func TestExitStatusIsTheCommands(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			served := h.serving(mode.daemon)
			for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9} {
				if o := h.run("exec", "-a", "api", "--", "sh", "-c", script); o.status != want {
					t.Errorf("%s: status %d, want %d: %s", script, o.status, want, o.stderr)
				}
			}
			o := h.runWith("from standard input", nil, "exec", "-a", "api", "--", "sh", "-c", `cat; echo problem >&2; echo "$1"`, "sh", "a b  $c")
			if o.stdout != "from standard inputa b  $c\n" || !strings.Contains(o.stderr, "problem\n") {
				t.Errorf("standard input, output, error or arguments did not pass: %q %q", o.stdout, o.stderr)
			}
			served()
		})
	}
}

// A signal is the command's to act on: its run must still work while it cleans up.
func TestSignalsReachTheCommandAndItsCleanUpStillHasItsRun(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			served := h.serving(mode.daemon)
			for _, c := range []struct {
				name   string
				signal syscall.Signal
				group  bool // as a terminal sends it: to all in the foreground
			}{{"TERM", syscall.SIGTERM, false}, {"HUP", syscall.SIGHUP, false}, {"INT", syscall.SIGINT, true}, {"QUIT", syscall.SIGQUIT, true}, {"TERM", syscall.SIGTERM, true}} {
				cmd := h.command("exec", "-a", "api", "--", "sh", "-c", `trap 'curl -sSf -o /dev/null https://api.example.com/cleanup || exit 99; exit 3' `+c.name+`
echo ready
while :; do sleep 0.05; done`)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
					t.Fatalf("the command did not start: %q %v", line, err)
				}
				pid := cmd.Process.Pid
				if c.group {
					pid = -pid
				}
				if err := syscall.Kill(pid, c.signal); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				if got := cmd.ProcessState.ExitCode(); got != 3 {
					t.Errorf("SIG%s, group %v: status %d, want the command's own, 3", c.name, c.group, got)
				}
			}
			if n := len(h.authenticated(apiHost, "/cleanup")); n < 5 {
				t.Errorf("%d of 5 clean-ups made their request", n)
			}
			served()
		})
	}
}

func TestExecRefusesBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("manifests/risky.yaml", "action_id: risky\nrisk_level: high\negress: {profile: proxy_allowlist, allowed_domains: [other.example.com]}\n")
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   []string
	}{
		{"an action that is not there", []string{"-a", "apj", "--", "touch", "ran"}, 1, []string{`there is no action "apj"`, `did you mean "api"?`}},
		{"an action that needs approval", []string{"-a", "risky", "--", "touch", "ran"}, 1, []string{"action risky needs approval: high risk needs approval"}},
		{"one of two", []string{"-a", "api", "-a", "risky", "--", "touch", "ran"}, 1, []string{"action risky needs approval"}},
		{"no action", []string{"--", "touch", "ran"}, 2, []string{"exec needs at least one --action"}},
		{"no command", []string{"-a", "api"}, 2, []string{"usage: latchgate exec"}},
		{"a command that is not there", []string{"-a", "api", "--", "no-such-command"}, 1, []string{"no-such-command: command not found"}},
	} {
		o := h.run(append([]string{"exec"}, c.args...)...)
		if o.status != c.status {
			t.Errorf("%s: status %d, want %d", c.name, o.status, c.status)
		}
		for _, s := range c.says {
			if !strings.Contains(o.stderr, s) {
				t.Errorf("%s: want %q in:\n%s", c.name, s, o.stderr)
			}
		}
		if _, err := os.Stat(h.path("ran")); err == nil {
			t.Errorf("%s: the command ran", c.name)
		}
	}
}
