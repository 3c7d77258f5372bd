package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
)

func TestAttackFindsNothingAndSendsNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/narrow.yaml", `action_id: narrow
egress: {profile: proxy_allowlist, allowed_domains: [api.example.com], allowed_methods: [POST], allowed_paths: [/v1/*/items]}
secrets: [{name: API_TOKEN, required: true}]
`)
			if mode.daemon {
				h.quietly()
				h.start()
			}
			o := h.run("doctor", "--attack", "--json")
			var found struct{ Checks []check }
			if err := json.Unmarshal([]byte(o.stdout), &found); err != nil || o.status != 0 {
				t.Fatalf("status %d: %v\n%s%s", o.status, err, o.stdout, o.stderr)
			}
			by := map[string]int{}
			for _, c := range found.Checks {
				by[c.Group]++
			}
			for group, least := range map[string]int{"credentials": 5, "door": 12, "addresses": 4, "action api": 13, "action git": 13, "action narrow": 14, "settings": 3, "files": 4} {
				if by[group] < least {
					t.Errorf("%s: %d checks, want %d or more", group, by[group], least)
				}
			}
			if n := len(h.chain.connects()); n > 0 {
				t.Errorf("%d connections left the proxy", n)
			}
			noSecret(t, "doctor --attack", o.stdout+o.stderr)
			if mode.daemon {
				h.must("audit", "verify")
				if o := h.must("runs", "list", "--json"); strings.TrimSpace(o.stdout) != "[]" {
					t.Errorf("runs are left: %s", o.stdout)
				}
				if record := h.read(".latchgate/audit.jsonl"); strings.Count(record, `"tripwire"`) == 0 {
					t.Error("the tripwire is not in the record")
				}
			} else if _, err := os.Stat(h.path(".latchgate")); err == nil {
				t.Error("it left something behind")
			}
		})
	}
}

func TestAttackNamesWhatTheConfigurationOpens(t *testing.T) {
	t.Parallel()
	add := func(file, text string) func(*home) { return func(h *home) { h.write(file, text) } }
	const own = "action_id: own\nsecrets: [{name: API_TOKEN}]\negress: "
	attack := []string{"--attack"}
	for _, f := range []finding{
		{name: "every address", status: 1, environ: []string{"LATCHGATE_PROXY__ALLOW_PRIVATE=0.0.0.0/0"}, want: "error allow_private 0.0.0.0/0 is every address"},
		{name: "link-local", status: 1, environ: []string{"LATCHGATE_PROXY__ALLOW_PRIVATE=169.254.9.0/24"}, want: "error allow_private 169.254.9.0/24 holds link-local addresses"},
		{name: "link-local, by resolution", status: 1, environ: []string{"LATCHGATE_PROXY__ALLOW_PRIVATE=169.254.0.1/32"}, want: "error link-local a name that resolves to one may be dialled"},
		{name: "wide", status: 2, environ: []string{"LATCHGATE_PROXY__ALLOW_PRIVATE=10.0.0.0/8"}, want: "warning allow_private 10.0.0.0/8 is wide"},
		{name: "an action that names this machine", status: 1, environ: []string{"LATCHGATE_PROXY__ALLOW_PRIVATE=127.0.0.1/32"}, want: "error loopback NOT REFUSED by the proxy in this process: 127.0.0.1",
			spoil: add("manifests/own.yaml", own+"{profile: proxy_allowlist, allowed_domains: ['127.0.0.1:9']}\n"), args: []string{"--action", "own"}},
		{name: "default run", status: 2, spoil: func(h *home) { h.startWithDefaults("api") }, want: "warning none a client without any gets a run of api"},
		{name: "suffix of strangers", status: 1, want: "error reach API_TOKEN of own goes to *.github.io: anybody can have a name there",
			spoil: add("manifests/own.yaml", own+"{profile: proxy_allowlist, allowed_domains: ['*.github.io']}\n")},
		{name: "many hosts", status: 2, want: "warning reach API_TOKEN of own goes to 6 hosts",
			spoil: add("manifests/own.yaml", own+"{profile: proxy_allowlist, allowed_domains: [a.example.com, b.example.com, c.example.com, d.example.com, e.example.com, f.example.com]}\n")},
		{name: "passthrough", status: 2, want: "warning reach own passes other hosts through",
			spoil: add("manifests/own.yaml", own+"{profile: passthrough, allowed_domains: [a.example.com]}\n")},
		{name: "nobody is asked", status: 2, want: "warning policy an action of critical risk runs without anybody being asked",
			spoil: func(h *home) { h.configure("[policy.data]\nallow = [\"*\"]\n") }},
		{name: "metrics for all", status: 2, environ: []string{"LATCHGATE_METRICS__LISTEN=0.0.0.0:0"}, want: "warning metrics.listen 0.0.0.0:0 can be reached from other machines"},
		{name: "proxy for all", status: 2, environ: []string{"LATCHGATE_PROXY__LISTEN=0.0.0.0:0"}, want: "warning proxy.listen 0.0.0.0:0 can be reached from other machines"},
		{name: "no record", status: 2, environ: []string{"LATCHGATE_AUDIT__FILE="}, want: "warning record audit.file is empty"},
		{name: "broken record", status: 1, want: "error record ", spoil: func(h *home) {
			d := h.start()
			h.agent("api")
			d.stop()
			h.write(".latchgate/audit.jsonl", strings.Replace(h.read(".latchgate/audit.jsonl"), "api", "git", 1))
		}},
		{name: "record for all", status: 1, want: "error record ", spoil: func(h *home) { h.write("a/audit.jsonl", ""); h.mode("a/audit.jsonl", 0o644) },
			environ: []string{"LATCHGATE_AUDIT__FILE=a/audit.jsonl"}},
		{name: "key for all", status: 1, want: "error key ", spoil: func(h *home) { h.mode("keys/age.key", 0o644) }},
		{name: "password for all", status: 1, want: "error upstream_proxy's password ", spoil: func(h *home) { h.mode("latchgate.toml", 0o644) }},
		{name: "manifest of everybody's", status: 1, want: "error writable ", spoil: func(h *home) { h.mode("manifests/api.yaml", 0o602) }},
		{name: "socket for all", status: 1, want: "error control socket ", spoil: func(h *home) { h.start(); h.mode("gate.sock", 0o666) }},
		{name: "value on the metrics page", status: 1, want: "error metrics the page shows the value of GIT_TOKEN", spoil: func(h *home) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				h.t.Fatal(err)
			}
			h.environ = append(h.environ, "LATCHGATE_METRICS__LISTEN="+ln.Addr().String())
			_ = ln.Close()
			h.setSecrets(map[string]string{"GIT_TOKEN": "latchgate_build_info"}) // which the page begins a line with
			h.start()
		}},
		{name: "daemon with another configuration", status: 2, want: "warning subject the daemon runs with another configuration", spoil: func(h *home) {
			h.write("other.toml", h.read("latchgate.toml"))
			h.start("--config", "other.toml")
		}},
		{name: "host that the policy takes away", status: 0, want: "ok tunnel refused by the proxy in this process, so there is nothing to attack: 403 egress_denied",
			spoil: func(h *home) { h.configure("[policy.data]\ndeny_hosts = [\"api.example.com\"]\n") }},
		{name: "secret that the policy takes away", status: 0, want: "ok inner Host refused by the daemon: 421 target_mismatch", args: []string{"--action", "own"}, spoil: func(h *home) {
			h.write("manifests/own.yaml", own+"{profile: proxy_allowlist, allowed_domains: [api.example.com]}\n")
			h.configure("[policy.data]\ndeny_secrets = [\"API_TOKEN\"]\n")
			h.start()
		}},
		{name: "action that the daemon knows otherwise", status: 2, want: "warning action api the daemon is not attacked with it", spoil: func(h *home) {
			h.write("other.toml", strings.Replace(h.read("latchgate.toml"), `dirs = ["manifests"]`, `dirs = ["others"]`, 1))
			for _, id := range []string{"api", "git"} {
				h.write("others/"+id+".yaml", "action_id: "+id+"\negress: {profile: proxy_allowlist, allowed_domains: [api.example.com, git.example.com]}\n")
			}
			h.start("--config", "other.toml")
		}},
		{name: "action that asks a person", status: 0, args: []string{"--action", "own"}, want: "ok action own does not run unasked, so there is nothing to attack: high risk needs approval",
			spoil: add("manifests/own.yaml", "risk_level: high\n"+own+"{profile: proxy_allowlist, allowed_domains: [api.example.com]}\n")},
		{name: "unknown action", status: 1, args: []string{"--action", "apj"}, want: `error action there is no action apj -> did you mean "api"?`},
		{name: "no secrets", status: 2, environ: []string{"LATCHGATE_SECRETS__SOPS_SECRETS_FILE="}, want: "warning actions none has its secrets set"},
		{name: "key that is gone", status: 1, args: []string{"--action", "api"}, spoil: func(h *home) { h.write("keys/age.key", "") }, want: "error run the proxy in this process opens none"},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.args = append(slices.Clone(attack), f.args...)
			h := newHome(t)
			h.quietly()
			f.check(t, h)
			if n := len(h.chain.connects()); n > 0 {
				t.Errorf("%d connections left the proxy", n)
			}
		})
	}
}

// quietly keeps net/http's complaints of attackers out of the daemon's log.
func (h *home) quietly() { h.environ = append(h.environ, "LATCHGATE_LOG__LEVEL=info") }

func (h *home) mode(name string, mode os.FileMode) {
	h.t.Helper()
	if err := os.Chmod(h.path(name), mode); err != nil {
		h.t.Fatal(err)
	}
}

// startWithDefaults starts a daemon that gives runs to clients without credentials.
func (h *home) startWithDefaults(actions ...string) {
	h.t.Helper()
	h.write("latchgate.toml", strings.Replace(h.read("latchgate.toml"), "[proxy]\n", fmt.Sprintf("[proxy]\ndefault_actions = [%q]\n", actions[0]), 1))
	h.start()
}

// A proxy that refuses nothing has to fail every attack: one that it passes is
// none.
func TestEveryAttackBites(t *testing.T) {
	t.Parallel()
	s := openDoor(t)
	cfg, err := configs.Load(configs.Options{WorkDir: t.TempDir(), Environ: []string{"HOME=" + t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	catalog, problems := manifests.Load(manifests.LoadOptions{Bundled: true})
	if len(problems) > 0 && manifests.HasErrors(problems) {
		t.Fatal(problems)
	}
	m, _ := catalog.Get("github_create_issue")
	d := &doctor{cfg: cfg, catalog: catalog, step: func(string) {}}
	d.attackDoor(t.Context(), s, []*manifests.Manifest{m})
	d.attackAddresses(t.Context(), s, []*manifests.Manifest{m})
	d.group = "action"
	d.attackTunnel(t.Context(), s, m)
	d.attackAction(t.Context(), s, m)
	if len(d.checks) < 39 {
		t.Errorf("only %d attacks", len(d.checks))
	}
	for _, c := range d.checks {
		if c.Status != checkError || c.Todo == "" {
			t.Errorf("%s, %s: %s: %s", c.Group, c.Name, c.Status, c.Found)
		}
	}
}

// openDoor is a proxy that answers 200 to whatever it is sent, in tunnels too.
func openDoor(t *testing.T) *subject {
	t.Helper()
	ca, err := certs.Open(t.TempDir(), certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out, err := startLastHop("")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(c, ca)
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-accepted; _ = out.close() })
	roots := x509.NewCertPool()
	roots.AddCert(ca.Root())
	return &subject{name: "an open door", network: "tcp", address: ln.Addr().String(), roots: roots, out: out, end: func(string) {},
		open: func(context.Context, []string, time.Duration) (*gate.OpenedRun, error) {
			return &gate.OpenedRun{ID: "run-1", Token: "a-token-of-the-run", Actions: []string{"github_create_issue"}, Expires: time.Now(),
				Placeholders: map[string]string{"GITHUB_TOKEN": "ghp_0123456789012345678901234567890123456"}}, nil
		}}
}

func answerAll(c net.Conn, ca *certs.CA) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	for in := bufio.NewReader(c); ; {
		line, err := in.ReadString('\n')
		host, tunnel := strings.CutPrefix(line, "CONNECT ")
		for err == nil && strings.TrimRight(line, "\r\n") != "" {
			line, err = in.ReadString('\n')
		}
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if _, inTunnel := c.(*tls.Conn); tunnel && !inTunnel {
			host, _, _ = strings.Cut(host, ":")
			inner := tls.Server(c, &tls.Config{NextProtos: []string{"h2", "http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return ca.Leaf(host) }})
			if inner.Handshake() != nil {
				return
			}
			if inner.ConnectionState().NegotiatedProtocol == "h2" {
				answerHTTP2(inner)
				return
			}
			c, in = inner, bufio.NewReader(inner)
		}
	}
}

// answerHTTP2 answers one connection, and returns when it is closed.
func answerHTTP2(c *tls.Conn) {
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	server.TLSNextProto = nil
	done := make(chan struct{})
	server.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(done)
		}
	}
	_ = server.Serve(&oneConn{conn: c, done: done})
}

// oneConn is a listener of one connection; it ends when that is closed.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

// Accept satisfies net.Listener.
func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

// Close satisfies net.Listener.
func (l *oneConn) Close() error { return nil }

// Addr satisfies net.Listener.
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
