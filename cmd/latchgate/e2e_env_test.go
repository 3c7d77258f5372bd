package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestEnvFormatsGiveOtherLaunchersTheSameEnvironment(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	d := h.start()
	const request = "curl -sSf https://api.example.com/"
	ways := map[string]func(printed string) outcome{
		"shell": func(printed string) outcome {
			return h.script(`eval "$1"; `+request+`shell && env`, printed)
		},
		"dotenv": func(printed string) outcome {
			h.write("tmp/agent.env", printed)
			return h.script(`set -a; . tmp/agent.env; ` + request + `dotenv && env`)
		},
		"docker": func(printed string) outcome { // as docker reads --env-file: NAME=VALUE, nothing is a quote
			return h.script(`env "$@" sh -c '`+request+`docker && env'`, strings.Split(strings.TrimSuffix(printed, "\n"), "\n")...)
		},
		"json": func(printed string) outcome {
			var vars map[string]string
			if err := json.Unmarshal([]byte(printed), &vars); err != nil {
				t.Fatalf("not one flat object of strings: %v", err)
			}
			var pairs []string
			for name, value := range vars {
				pairs = append(pairs, name+"="+value)
			}
			return h.script(`env "$@" sh -c '`+request+`json && env'`, pairs...)
		},
	}
	var names []string // of the variables that the first format set
	for _, format := range slices.Sorted(maps.Keys(ways)) {
		o := h.runWith("", poison, "env", "--action", "api", "--action", "git", "--format", format, "--ttl", "5m")
		if o.status != 0 {
			t.Fatalf("%s: status %d: %s", format, o.status, o.stderr)
		}
		noSecret(t, "env --format "+format, o.stdout)
		used := ways[format](o.stdout)
		if used.status != 0 {
			t.Errorf("%s: status %d\n%s%s", format, used.status, used.stdout, used.stderr)
			continue
		}
		h.authenticatedOnce(apiHost, "/"+format)
		got := map[string]string{}
		for line := range strings.Lines(used.stdout) {
			if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
				got[name] = value
			}
		}
		if !strings.HasPrefix(got["API_TOKEN"], "sk-") || !strings.Contains(got["JAVA_TOOL_OPTIONS"], " -Dhttps.proxyHost=127.0.0.1 ") || strings.ContainsAny(got["JAVA_TOOL_OPTIONS"], `"'`) {
			t.Errorf("%s: %q %q", format, got["API_TOKEN"], got["JAVA_TOOL_OPTIONS"])
		}
		set := slices.Sorted(maps.Keys(got))
		if names == nil {
			names = set
		} else if !slices.Equal(names, set) {
			t.Errorf("%s sets %v; the others %v", format, set, names)
		}
	}
	if n := strings.Count(d.log(), `"msg":"run opened"`); n != 4 {
		t.Errorf("%d runs were opened, want 4", n)
	}
}

// What `env` prints for a shell takes away what `exec` would take away.
func TestEnvForAShellUnsetsSecrets(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.start()
	o := h.runWith("", poison, "env", "-a", "api", "--format", "shell")
	for _, name := range []string{"SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "MY_BACKUP"} {
		if !strings.Contains(o.stdout, "unset "+name+"\n") {
			t.Errorf("%s stays set", name)
		}
	}
	if strings.Contains(o.stdout, "unset API_TOKEN") || !strings.Contains(o.stdout, "export API_TOKEN='sk-") {
		t.Error("API_TOKEN is not the placeholder")
	}
}

func TestEnvNeedsTheDaemon(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, args := range [][]string{{"env", "-a", "api"}, {"runs", "list"}, {"runs", "revoke", "run-1"}} {
		o := h.run(args...)
		lines := strings.Split(strings.TrimSuffix(o.stderr, "\n"), "\n")
		if o.status != 1 || o.stdout != "" || len(lines) != 2 || !strings.HasPrefix(lines[0], "latchgate: no latchgate proxy is running") || !strings.Contains(lines[1], "`latchgate proxy`") {
			t.Errorf("%v: status %d\n%s%s", args, o.status, o.stdout, o.stderr)
		}
	}
	h.start()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"env"}, "env needs at least one --action"},
		{[]string{"env", "-a", "api", "--format", "xml"}, `unknown format "xml"`},
		{[]string{"env", "-a", "api", "--ttl", "0s"}, "--ttl"},
		{[]string{"env", "-a", "api", "extra"}, "extra"},
	} {
		if o := h.run(c.args...); o.status != 2 || !strings.Contains(o.stderr, c.says) || !strings.Contains(o.stderr, "\n  ") {
			t.Errorf("%v: status %d: %s", c.args, o.status, o.stderr)
		}
	}
}

// Clients without credentials get the run of default_actions, where there is one.
func TestDefaultActionsServeAClientWithoutCredentials(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	d := h.start("--action", "api")
	get := func(proxy, path string) outcome {
		return h.script(`curl -sS -o /dev/null -w '%{http_code} %{http_connect}' --cacert .latchgate/ca/ca.pem -x "$1" "$2"`, proxy, "https://api.example.com"+path)
	}
	if o := get("http://"+d.proxy, "/default"); o.stdout != "200 200" {
		t.Errorf("%+v", o)
	}
	h.authenticatedOnce(apiHost, "/default")
	// Wrong credentials are not no credentials.
	for _, wrong := range []string{"run-000000000000:wrong", h.agent("api").run() + ":wrong", "nonsense"} {
		if o := get("http://"+wrong+"@"+d.proxy, "/wrong"); o.stdout != "000 407" {
			t.Errorf("%s: %+v", wrong, o)
		}
	}
	if len(h.origin.at(apiHost, "/wrong")) != 0 {
		t.Error("a request with wrong credentials went upstream")
	}
	d.stop()
	d = h.start()
	if o := get("http://"+d.proxy, "/none"); o.stdout != "000 407" {
		t.Errorf("without default_actions: %+v", o)
	}
	if info, err := os.Stat(h.path("gate.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the control socket: %v %v", info.Mode(), err)
	}
}
