package main

import (
	"cmp"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

// modes are the two ways in which exec serves: by itself, and by the daemon.
var modes = []struct {
	name   string
	daemon bool
}{{"without a daemon", false}, {"with a daemon", true}}

// serving starts a daemon where the mode has one. The function that it returns
// checks that it was the daemon that served, or that there was none.
func (h *home) serving(daemon bool) func() {
	h.t.Helper()
	if !daemon {
		return func() {
			if _, err := os.Stat(h.path("gate.sock")); err == nil {
				h.t.Error("exec left a control socket behind")
			}
		}
	}
	d := h.start()
	return func() { d.wait("run opened") }
}

// clientsHome is a home with the actions that the clients use.
func clientsHome(t *testing.T) *home {
	h := newHome(t)
	h.setSecrets(map[string]string{"GITHUB_TOKEN": gitSecret})
	// Intercepted, and without a secret: what arrives there is what the client sent.
	h.write("manifests/other.yaml", "action_id: other\negress: {profile: proxy_allowlist, allowed_domains: [other.example.com], allowed_methods: [GET, POST]}\n")
	h.serveRepository()
	return h
}

// withDaemon are the clients that run in that mode too, where no more differs
// than the proxy's address: one of each way to find it.
var withDaemon = []string{"curl", "wget", "go-grpc", "python-requests", "node20-fetch", "node24-https", "java"}

// Each client runs without any flag, once with all that exec sets, and once
// with no more than the variables of its row: that is what the table claims.
func TestRealClientsArriveAuthenticatedAndNeverSeeTheSecret(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := clientsHome(t)
			served := h.serving(mode.daemon)
			var rows clientTable
			t.Run("clients", func(t *testing.T) { // ends when those that are parallel have
				for i := range clients {
					c := &clients[i]
					if mode.daemon && !slices.Contains(withDaemon, c.id) {
						continue
					}
					t.Run(c.id, func(t *testing.T) {
						t.Parallel()
						h := h.in(t)
						program := c.find(t)
						h.arrives(c, program)
						if !mode.daemon {
							h.needsNoMore(c, program)
							rows.add(c, versionOf(t, program, c.version))
						}
					})
				}
			})
			served()
			h.onlyChainCredentials()
			h.noSecretOnDisk()
			if !mode.daemon {
				rows.compare(t)
			}
		})
	}
}

// arrives runs the client, and looks at what arrived and what it got back.
func (h *home) arrives(c *client, program string) {
	h.t.Helper()
	host := cmp.Or(c.host, apiHost)
	o := h.runWith("", c.given, slices.Concat([]string{"exec", "--action", cmp.Or(c.action, "api"), "--", program}, absolute(h.t, c.command("https://"+host+"/"+c.id)))...)
	if o.status != 0 {
		h.t.Fatalf("status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	if got := h.authenticated(host, "/"+cmp.Or(c.path, c.id)); len(got) != 1 && !c.several {
		h.t.Errorf("%d requests arrived", len(got))
	}
	if !c.silent && !strings.Contains(o.stdout, "***REDACTED***") {
		h.t.Errorf("the echo of the secret is not redacted:\n%s", o.stdout)
	}
	noSecret(h.t, "what the client printed", o.stdout+o.stderr)
}

// needsNoMore runs the client with the variables of its row alone, against a
// host that has no secret: what arrives there has no credential. A client with
// a host of its own needs what that host gives to the authenticated.
func (h *home) needsNoMore(c *client, program string) {
	h.t.Helper()
	host, action, names, id := otherHost, "other", slices.Concat(c.proxy, c.trust), c.id+"-alone"
	if c.host != "" {
		host, action, id = c.host, c.action, cmp.Or(c.path, c.id)
	}
	if c.keyed {
		names = append(names, "GITHUB_TOKEN")
	}
	script := `env -i PATH="$PATH" HOME="$HOME" TMPDIR="$TMPDIR" `
	for _, v := range c.given {
		script += "'" + v + "' "
	}
	for _, name := range names {
		script += name + `="$` + name + `" `
	}
	args := slices.Concat([]string{"exec", "--action", action, "--", "sh", "-c", script + `"$@"`, "sh", program}, absolute(h.t, c.command("https://"+host+"/"+id)))
	if o := h.run(args...); o.status != 0 {
		h.t.Fatalf("with %v alone: status %d\n%s%s", names, o.status, o.stdout, o.stderr)
	}
	h.authenticated(host, "/"+id)
}

// authenticated checks that requests arrived at the path or below it, and that
// each had exactly one Authorization, the right one, or none where the host
// wants none. The origin refuses any other; this is the record's word for it.
func (h *home) authenticated(host, path string) []arrival {
	h.t.Helper()
	var got []arrival
	for _, a := range h.origin.at(host, "") {
		if a.Path != path && !strings.HasPrefix(a.Path, path+"/") {
			continue
		}
		got = append(got, a)
		var want []string
		if one := h.origin.wants(host); one != "" {
			want = []string{one}
		}
		if values := a.Header["Authorization"]; !slices.Equal(values, want) {
			h.t.Errorf("%s %s%s arrived with %d Authorization fields, or a wrong one; want %d", a.Method, host, a.Path, len(values), len(want))
		}
	}
	if len(got) == 0 {
		h.t.Fatalf("nothing arrived at %s%s", host, path)
	}
	return got
}

// authenticatedOnce is authenticated for a single request.
func (h *home) authenticatedOnce(host, path string) http.Header {
	h.t.Helper()
	got := h.authenticated(host, path)
	if len(got) != 1 {
		h.t.Fatalf("%d requests arrived at %s%s", len(got), host, path)
	}
	return got[0].Header
}

// toolsDir is where `make tools` puts programs; those of npm are below it.
const (
	toolsDir    = "../../.tools"
	nodeModules = toolsDir + "/clients/node_modules"
)

// packaged are the programs that come as npm packages.
var packaged = map[string]string{
	"node20": nodeModules + "/node20/bin/node", "node24": nodeModules + "/node24/bin/node",
	"deno": nodeModules + "/@deno/linux-x64-glibc/deno", "bun": nodeModules + "/@oven/bun-linux-x64/bin/bun",
}

// find is the path of the client's program, with the library that it needs.
func (c *client) find(t *testing.T) string {
	t.Helper()
	places := []string{c.program, toolsDir + "/bin/" + c.program}
	if p, ok := packaged[c.program]; ok {
		places = []string{p}
	}
	if c.program == "python3" { // the system's has the system's libraries
		places = append(places, "/usr/bin/python3")
	}
	for _, p := range places {
		p, err := exec.LookPath(p)
		if err != nil || c.has != nil && exec.Command(p, c.has...).Run() != nil {
			continue
		}
		if p, err = filepath.Abs(p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	testenv.Missing(t, c.name)
	return ""
}

var aVersion = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// versionOf is the first number in what the program tells about itself.
func versionOf(t *testing.T, program string, args []string) string {
	t.Helper()
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", program, args, err)
	}
	return aVersion.FindString(string(out))
}

// absolute makes the paths into testdata good for another working directory.
func absolute(t *testing.T, args []string) []string {
	t.Helper()
	for i, a := range args {
		if strings.HasPrefix(a, "testdata/") {
			full, err := filepath.Abs(a)
			if err != nil {
				t.Fatal(err)
			}
			args[i] = full
		}
	}
	return args
}
