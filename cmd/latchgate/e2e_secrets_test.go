package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

const noFileWarning = "action has policy-approved secrets but no sops_secrets_file is configured"

// unconfigured takes the secrets out of the home and its configuration.
func (h *home) unconfigured() {
	h.t.Helper()
	text := h.read("latchgate.toml")
	from := strings.Index(text, "[secrets]")
	to := strings.Index(text, "[log]")
	h.write("latchgate.toml", text[:from]+text[to:])
	for _, name := range []string{"secrets.enc.yaml", "keys/age.key", ".sops.yaml"} {
		if err := os.Remove(h.path(name)); err != nil {
			h.t.Fatal(err)
		}
	}
}

func TestNoFileConfiguredOpensTheRunAndRefusesTheRequest(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.unconfigured()
			h.write("latchgate.toml", strings.Replace(h.read("latchgate.toml"), "level = \"debug\"\n", "", 1))
			warned := func(o outcome) string { return o.stderr }
			if mode.daemon {
				d := h.start()
				warned = func(outcome) string { return d.log() }
			}
			o := h.run("exec", "-a", "api", "--", "curl", "-sS", "-w", "%{http_code}", "https://api.example.com/none")
			if o.status != 0 || !strings.HasSuffix(o.stdout, "502") || !strings.Contains(o.stdout, `"code":"secret_unavailable"`) {
				t.Errorf("status %d\n%s%s", o.status, o.stdout, o.stderr)
			}
			if n := strings.Count(warned(o), noFileWarning); n != 1 {
				t.Errorf("%d warnings, want one:\n%s", n, warned(o))
			}
			if n := len(h.origin.at(apiHost, "")); n != 0 {
				t.Errorf("%d requests went upstream without a credential", n)
			}
		})
	}
}

func TestNoFileConfiguredLetsOptionalSecretsBe(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	h.unconfigured()
	h.write("manifests/other.yaml", "action_id: other\negress: {profile: proxy_allowlist, allowed_domains: [other.example.com]}\nsecrets: [{name: OPTIONAL}]\n")
	o := h.run("exec", "-a", "other", "--", "curl", "-sSf", "-H", "Authorization: Bearer mine", "https://other.example.com/optional")
	if o.status != 0 || strings.Contains(o.stderr, noFileWarning) {
		t.Errorf("status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	// The field is the binding's all the same: the agent can't choose what is in it.
	if got := h.origin.at(otherHost, "/optional"); len(got) != 1 || got[0].Header["Authorization"] != nil {
		t.Errorf("%+v", got)
	}
}

// Everything that is wrong with a file that is configured denies the run, word
// for word, before anything runs.
func TestWrongSecretsFileDeniesTheRun(t *testing.T) {
	t.Parallel()
	noSops := func(h *home) { // a PATH with all that the test needs but sops
		dir := h.t.TempDir()
		if err := os.Symlink(testenv.Program(h.t, "touch"), filepath.Join(dir, "touch")); err != nil {
			h.t.Fatal(err)
		}
		h.environ[0] = "PATH=" + dir
	}
	backend := func(h *home, name string) {
		h.write("latchgate.toml", strings.Replace(h.read("latchgate.toml"), "[secrets]\n", "[secrets]\nbackend = \""+name+"\"\n", 1))
	}
	for _, c := range []struct {
		name  string
		spoil func(h *home)
		says  string
		cause string // in the daemon's log
	}{
		{"no secrets file", func(h *home) { h.remove("secrets.enc.yaml") }, "secrets file not found", "secrets_file_not_found"},
		{"no key file", func(h *home) { h.remove("keys/age.key") }, "key file not found", "key_file_not_found"},
		{"another key", func(h *home) {
			h.remove("keys/age.key")
			h.remove(".sops.yaml")
			h.write("other/.keep", "")
			h.must("secrets", "init", "--config", h.otherConfig())
			h.write("keys/age.key", h.read("other/age.key"))
		}, "sops decryption failed", "recipient"},
		{"a changed value", func(h *home) {
			h.write("secrets.enc.yaml", strings.Replace(h.read("secrets.enc.yaml"), "API_TOKEN:", "API_TOKEN2:", 1))
		}, "sops decryption failed", ""},
		{"half a file", func(h *home) {
			text := h.read("secrets.enc.yaml")
			h.write("secrets.enc.yaml", text[:len(text)/2])
		}, "sops decryption failed", ""},
		{"no sops", func(h *home) { noSops(h); backend(h, "sops") }, "sops binary not found", "sops_not_found"},
		{"a sops that prints a list", func(h *home) {
			noSops(h)
			backend(h, "sops")
			dir := strings.TrimPrefix(h.environ[0], "PATH=")
			if err := os.WriteFile(filepath.Join(dir, "sops"), []byte("#!/bin/sh\necho '[1]'\n"), 0o700); err != nil {
				h.t.Fatal(err)
			}
		}, "failed to parse sops output as JSON", "secrets_unparsable"},
		{"a required secret that is not there", func(h *home) { h.must("secrets", "remove", "API_TOKEN") }, "required secret 'API_TOKEN' not found in sops file", ""},
		{"two that are not there", func(h *home) {
			h.must("secrets", "remove", "API_TOKEN")
			h.must("secrets", "remove", "GIT_TOKEN")
		}, "required secret 'API_TOKEN' not found in sops file (also missing: 'GIT_TOKEN')", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			c.spoil(h)
			h.write("latchgate.toml", strings.Replace(h.read("latchgate.toml"), "level = \"debug\"\n", "", 1))
			deny := func(how string) outcome {
				o := h.run("exec", "-a", "git", "-a", "api", "--", "touch", "ran")
				lines := strings.Split(strings.TrimSuffix(o.stderr, "\n"), "\n")
				lines = lines[max(0, len(lines)-2):]
				if o.status != 1 || len(lines) != 2 || !strings.HasPrefix(lines[0], "latchgate: "+c.says) || !strings.HasPrefix(lines[1], "  ") {
					t.Errorf("%s: status %d\n%s", how, o.status, o.stderr)
				}
				if _, err := os.Stat(h.path("ran")); err == nil {
					t.Errorf("%s: the command ran", how)
				}
				noSecret(t, "what exec printed", o.stdout+o.stderr)
				return o
			}
			if o := deny("without a daemon"); !strings.Contains(o.stderr, c.cause) {
				t.Errorf("the person at the terminal does not see the cause, %q:\n%s", c.cause, o.stderr)
			}
			d := h.start()
			if o := deny("with a daemon"); strings.Count(o.stderr, "\n") != 2 {
				t.Errorf("a client of the daemon sees more than code and text:\n%s", o.stderr)
			}
			if line := d.wait("run refused"); !strings.Contains(d.log(), c.cause) {
				t.Errorf("the log does not hold the cause, %q: %v", c.cause, line)
			}
		})
	}
}

// A file that breaks while a run is open: no request goes out without its credential.
func TestSecretsThatBreakDuringARunRefuseItsRequests(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.start()
	agent := h.agent("api")
	if a := agent.get("https://api.example.com/"); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	good := h.read("secrets.enc.yaml")
	for name, text := range map[string]string{"removed": "", "cut": good[:len(good)/2], "renamed": strings.Replace(good, "API_TOKEN:", "API_TOKEN2:", 1)} {
		h.remove("secrets.enc.yaml")
		if text != "" {
			h.write("secrets.enc.yaml", text)
		}
		if a := agent.get("https://api.example.com/broken"); a.status != http.StatusBadGateway || a.code != "secret_unavailable" {
			t.Errorf("%s: %+v", name, a)
		}
		h.write("secrets.enc.yaml", good)
		if a := agent.get("https://api.example.com/"); a.status != http.StatusOK {
			t.Errorf("%s and put back: %+v", name, a)
		}
	}
	if n := len(h.origin.at(apiHost, "/broken")); n != 0 {
		t.Errorf("%d requests went upstream", n)
	}
}

func (h *home) remove(name string) {
	h.t.Helper()
	if err := os.Remove(h.path(name)); err != nil {
		h.t.Fatal(err)
	}
}

// otherConfig is a configuration that names other secrets.
func (h *home) otherConfig() string {
	h.write("other/latchgate.toml", "[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\nsops_key_file = \"age.key\"\n")
	return h.path("other/latchgate.toml")
}

// The first five minutes, in the order of the README, under a daemon that is
// running already: nothing has to be restarted.
func TestFirstUseNeedsNoRestart(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	h.unconfigured()
	h.remove("manifests/api.yaml")
	d := h.start()
	at := d.now()
	h.must("secrets", "init")
	_, at = d.waitAfter(at, "reloaded")
	if o := h.runWith(apiSecret+"\n", nil, "secrets", "set", "API_TOKEN", "--stdin"); o.status != 0 {
		t.Fatal(o.stderr)
	}
	h.write("manifests/my_action.yaml", strings.Replace(apiManifest, "action_id: api", "action_id: my_action", 1))
	d.waitAfter(at, "reloaded")
	if o := h.must("secrets", "list"); !strings.Contains(o.stdout, "my_action") {
		t.Error(o.stdout)
	}
	h.must("exec", "--action", "my_action", "--", "curl", "-sSf", "-o", h.path("tmp/answer"), "https://api.example.com/first")
	h.authenticatedOnce(apiHost, "/first")
	if answer := h.read("tmp/answer"); !strings.Contains(answer, "***REDACTED***") {
		t.Error("the echo is not scrubbed")
	}
	if err := os.Rename(h.path(".latchgate/sops-age.key"), h.path("keys/age.key")); err != nil { // where noSecretOnDisk expects it
		t.Fatal(err)
	}
	h.noSecretOnDisk()
}
