package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
	"github.com/latchgate/latchgate/secrets"
)

// The values that must be at the origin and nowhere else.
const (
	apiSecret = "sentinel/api+0123456789abcdefghijklmnop=="
	gitSecret = "sentinel_git_ZYXWVUTSRQPONMLKJIHGFEDCBA"
)

// patience bounds everything that could hang. Nothing waits for it to pass.
const patience = 2 * time.Minute

const apiManifest = `action_id: api
description: A service that wants a bearer token.
egress: {profile: proxy_allowlist, allowed_domains: [api.example.com]}
secrets:
  - {name: API_TOKEN, required: true, placeholder: "sk-{random:40}"}
`

const gitManifest = `action_id: git
description: A git host, which knows no Bearer.
egress: {profile: proxy_allowlist, allowed_domains: [git.example.com]}
secrets:
  - name: GIT_TOKEN
    required: true
    inject: [{as: basic, username: x-access-token}]
`

// home is a folder as a user has it, with a configuration, manifests and an
// encrypted secrets file, and the world around it: the origin, and the
// upstream proxy by which its names are reached.
type home struct {
	t       *testing.T
	program string
	dir     string // what the user sees; scanned for secrets
	environ []string
	origin  *origin
	chain   *chain
}

// newHome makes a home whose origin wants the secrets that its file holds.
func newHome(t *testing.T) *home {
	t.Helper()
	// A socket's path has room for 107 bytes, less than t.TempDir may give.
	dir, err := os.MkdirTemp("", "lg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &home{t: t, program: builtProgram(t), dir: dir, origin: newOrigin(t, apiSecret, gitSecret)}
	h.chain = newChain(t, h.origin.addr)
	h.write("origin-ca.pem", string(h.origin.caPEM))
	h.write("manifests/api.yaml", apiManifest)
	h.write("manifests/git.yaml", gitManifest)
	h.write("tmp/.keep", "")
	h.configure("")
	h.setSecrets(map[string]string{"API_TOKEN": apiSecret, "GIT_TOKEN": gitSecret})
	h.environ = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + filepath.Join(dir, "tmp"), "LANG=C.UTF-8", "GORACE=" + os.Getenv("GORACE")}
	return h
}

// configure writes latchgate.toml: what every test needs, and more.
func (h *home) configure(more string) {
	h.t.Helper()
	h.write("latchgate.toml", fmt.Sprintf(`[proxy]
listen = "127.0.0.1:0"
upstream_ca_file = "origin-ca.pem"
upstream_proxy = %q
[gate]
socket = "gate.sock"
[metrics]
listen = "127.0.0.1:0"
[manifests]
dirs = ["manifests"]
[secrets]
sops_secrets_file = "secrets.enc.yaml"
sops_key_file = "keys/age.key"
[log]
level = "debug"
format = "json"
`, h.chain.url)+more)
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// write writes a file in one step: a daemon that watches it never sees half.
func (h *home) write(name, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o700); err != nil {
		h.t.Fatal(err)
	}
	half := h.path(".half")
	if err := os.WriteFile(half, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(half, h.path(name)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) read(name string) string {
	h.t.Helper()
	raw, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(raw)
}

// setSecrets puts values into the home's secrets file, which it makes first.
func (h *home) setSecrets(values map[string]string) {
	h.t.Helper()
	ctx, file, key := context.Background(), h.path("secrets.enc.yaml"), h.path("keys/age.key")
	if _, err := secrets.Init(ctx, secrets.InitOptions{File: file, KeyFile: key}); err != nil {
		h.t.Fatal(err)
	}
	s, err := secrets.Open(secrets.Options{File: file, KeyFile: key})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	err = s.Edit(ctx, func(d *secrets.Document) error {
		for name, v := range values {
			if err := d.Set(name, []byte(v)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// script runs a shell script in the home, outside latchgate.
func (h *home) script(text string, args ...string) outcome {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", append([]string{"-c", text, "sh"}, args...)...)
	var out, errOut bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr, c.WaitDelay = h.dir, h.environ, &out, &errOut, time.Second
	if err := c.Run(); c.ProcessState == nil || ctx.Err() != nil {
		h.t.Fatalf("%s: %v", text, err)
	}
	return outcome{out.String(), errOut.String(), c.ProcessState.ExitCode()}
}

// outcome is what became of a command.
type outcome struct {
	stdout, stderr string
	status         int
}

// run runs latchgate in the home to its end. One that does not end in time
// fails the test.
func (h *home) run(args ...string) outcome {
	h.t.Helper()
	return h.runWith("", nil, args...)
}

// runWith is run with standard input and more variables.
func (h *home) runWith(stdin string, environ []string, args ...string) outcome {
	h.t.Helper()
	c := h.command(args...)
	c.Env = append(c.Env, environ...)
	var out, errOut bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errOut
	err := c.Run()
	if c.ProcessState == nil {
		h.t.Fatalf("latchgate %s: %v", strings.Join(args, " "), err)
	}
	o := outcome{out.String(), errOut.String(), c.ProcessState.ExitCode()}
	if strings.Contains(o.stderr, "DATA RACE") {
		h.t.Errorf("latchgate %s: %s", strings.Join(args, " "), o.stderr)
	}
	return o
}

// must is run for a command that succeeds.
func (h *home) must(args ...string) outcome {
	h.t.Helper()
	o := h.run(args...)
	if o.status != 0 {
		h.t.Fatalf("latchgate %s: status %d\n%s%s", strings.Join(args, " "), o.status, o.stdout, o.stderr)
	}
	return o
}

// command is latchgate in a process group of its own, which is killed whole
// when it takes too long: a client that hangs must not outlive the test.
func (h *home) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	h.t.Cleanup(cancel)
	c := exec.CommandContext(ctx, h.program, args...)
	c.Dir, c.Env = h.dir, append([]string(nil), h.environ...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error {
		h.t.Errorf("latchgate %s: killed, for it did not end by itself", strings.Join(args, " "))
		return syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	}
	c.WaitDelay = time.Second
	return c
}

// need makes sure that the programs are there.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		testenv.Program(t, p)
	}
}

// spellings are the forms in which a value could lie around.
func spellings(value string) map[string]string {
	all := map[string]string{"raw": value, "hex": hex.EncodeToString([]byte(value)), "percent": url.QueryEscape(value)}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00"[:shift] + value))
		// Without the characters that its neighbours have a part in.
		all[fmt.Sprintf("base64+%d", shift)] = strings.TrimRight(encoded[(shift*8+5)/6:len(encoded)-4], "=")
	}
	return all
}

// holdsSecret says which secret the text holds and how, "" when none.
func holdsSecret(text string) string {
	for name, value := range map[string]string{"API_TOKEN": apiSecret, "GIT_TOKEN": gitSecret} {
		for form, s := range spellings(value) {
			if strings.Contains(text, s) {
				return name + ", " + form
			}
		}
	}
	if strings.Contains(text, "AGE-SECRET-KEY-") {
		return "the age key"
	}
	return ""
}

// noSecret fails the test when the text holds one; it does not print it.
func noSecret(t *testing.T, what, text string) {
	t.Helper()
	if s := holdsSecret(text); s != "" {
		t.Errorf("%s holds a secret: %s", what, s)
	}
}

// noSecretOnDisk looks into every file of the home but the key.
func (h *home) noSecretOnDisk() {
	h.t.Helper()
	files := 0
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == h.path("keys/age.key") {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		if err == nil {
			noSecret(h.t, path, string(raw))
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if files < 5 {
		h.t.Errorf("only %d files were looked at", files)
	}
}

// onlyChainCredentials checks that the upstream proxy got its own credentials
// and never those of a run, and that no proxy header went further than it.
func (h *home) onlyChainCredentials() {
	h.t.Helper()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(chainUser+":"+chainPassword))
	for _, c := range h.chain.connects() {
		if values := c.Header["Proxy-Authorization"]; len(values) != 1 || values[0] != want {
			h.t.Errorf("%s %s: the upstream proxy got %d credentials, or another one", c.Method, c.Host, len(values))
		}
		for name := range c.Header {
			if c.Method == http.MethodConnect && name != "Proxy-Authorization" && name != "User-Agent" {
				h.t.Errorf("CONNECT %s: the upstream proxy got %s", c.Host, name)
			}
		}
	}
	for _, host := range []string{apiHost, gitHost, otherHost} {
		for _, a := range h.origin.at(host, "") {
			for name := range a.Header {
				if strings.HasPrefix(name, "Proxy-") {
					h.t.Errorf("%s %s%s: the origin got %s", a.Method, host, a.Path, name)
				}
			}
		}
	}
}
