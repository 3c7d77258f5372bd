package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// setup is what a latchgate is measured with.
type setup struct {
	program  string
	runs     int // open at a time; clients take turns
	hosts    int // that clients ask for, in turn
	secrets  int // of the run, each stamped in a header of its own
	actions  int // of the run, each of which covers the hosts
	bindings int // of the first secret, of which one covers a request: the others are for other paths
}

// parseSetup reads options such as secrets=8:program=/usr/local/bin/latchgate.
func (b *bench) parseSetup(options string) (setup, error) {
	o := setup{program: b.program, runs: 1, hosts: 1, secrets: 1, actions: 1, bindings: 1}
	numbers := map[string]*int{"runs": &o.runs, "hosts": &o.hosts, "secrets": &o.secrets, "actions": &o.actions, "bindings": &o.bindings}
	for _, option := range strings.FieldsFunc(options, func(r rune) bool { return r == ':' }) {
		key, value, _ := strings.Cut(option, "=")
		if key == "program" {
			o.program = value
			continue
		}
		n, err := strconv.Atoi(value)
		if numbers[key] == nil || err != nil || n < 1 {
			return o, fmt.Errorf("%q is no option of latchgate; one is runs=16, hosts=16, secrets=8, actions=32, bindings=8, program=PATH", option)
		}
		*numbers[key] = n
	}
	return o, nil
}

// startLatchgate starts the daemon as a user does, with everything on: a home, an
// encrypted secrets file, a manifest, audit and metrics.
func (b *bench) startLatchgate(name string, o setup) (*target, error) {
	home, err := os.MkdirTemp(b.dir, "home-")
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(home+"/manifests", 0o700); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`
[proxy]
listen = "127.0.0.1:%d"
allow_private = ["127.0.0.0/8"]
upstream_ca_file = %q
[gate]
socket = %q
max_runs = 1000
[metrics]
listen = "127.0.0.1:%d"
[manifests]
dirs = [%q]
[secrets]
sops_secrets_file = %q
sops_key_file = %q
[ca]
dir = %q
[audit]
file = %q
[log]
level = "warn"
`, freePort(), b.dir+"/origin.pem", home+"/gate.sock", freePort(), home+"/manifests", home+"/secrets.enc.yaml", home+"/age.key", home+"/ca", home+"/audit.jsonl")
	if err := errors.Join(
		os.WriteFile(home+"/latchgate.toml", []byte(config), 0o600),
		os.WriteFile(home+"/manifests/load.yaml", []byte(b.manifests(o)), 0o600)); err != nil {
		return nil, err
	}
	cli := func(stdin string, args ...string) ([]byte, error) {
		c := exec.Command(o.program, append(args, "--config", home+"/latchgate.toml")...)
		c.Dir, c.Stdin = home, strings.NewReader(stdin)
		out, err := c.Output()
		var fault *exec.ExitError
		if errors.As(err, &fault) {
			err = fmt.Errorf("latchgate %s: %w: %s", args[0], err, bytes.TrimSpace(fault.Stderr))
		}
		return out, err
	}
	if _, err := cli("", "secrets", "init"); err != nil {
		return nil, err
	}
	for i := range o.secrets {
		value := secret
		if i > 0 {
			value = fmt.Sprintf("another-secret-%04d-%s", i, secret)
		}
		if _, err := cli(value, "secrets", "set", fmt.Sprintf("TOKEN_%d", i), "--stdin"); err != nil {
			return nil, err
		}
	}
	daemon, err := b.spawn(nil, o.program, "proxy", "--config", home+"/latchgate.toml")
	if err != nil {
		return nil, err
	}
	var address string
	var auths []string
	for range o.runs {
		u, err := openRun(cli, o.actions)
		if err != nil {
			return nil, err
		}
		address = u.Host
		auths = append(auths, "Proxy-Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(u.User.String()))+"\r\n")
	}
	t, err := b.behindCA(name, address, daemon, home+"/ca/ca.pem")
	if err != nil {
		return nil, err
	}
	t.auths, t.hosts = auths, o.hosts
	return t, nil
}

// openRun opens a run of the first actions, and returns its proxy. It waits for
// the daemon to be there.
func openRun(cli func(string, ...string) ([]byte, error), actions int) (*url.URL, error) {
	args := []string{"env", "--format", "json"}
	for i := range actions {
		args = append(args, "--action", fmt.Sprintf("load_%d", i))
	}
	var out []byte
	var err error
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if out, err = cli("", args...); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	var vars map[string]string
	if err := json.Unmarshal(out, &vars); err != nil {
		return nil, err
	}
	return url.Parse(vars["HTTPS_PROXY"])
}

// manifests declare the run's actions. The first binds all secrets; the first of
// these is the one that is sent as a bearer token.
func (b *bench) manifests(o setup) string {
	var s strings.Builder
	everywhere := fmt.Sprintf("hosts: [\"*.%s:%s\"]", domain, b.port)
	for i := range o.actions {
		_, _ = fmt.Fprintf(&s, "---\naction_id: load_%d\ndescription: what is measured\nrisk_level: low\negress: {profile: proxy_allowlist, allowed_domains: [\"*.%s:%s\"]}\n", i, domain, b.port)
		if i > 0 {
			continue
		}
		s.WriteString("secrets:\n")
		for j := range o.secrets {
			_, _ = fmt.Fprintf(&s, "  - name: TOKEN_%d\n    required: true\n    inject:\n", j)
			if j > 0 {
				_, _ = fmt.Fprintf(&s, "      - {as: header, header: X-Token-%d, %s}\n", j, everywhere)
				continue
			}
			for k := range o.bindings - 1 {
				_, _ = fmt.Fprintf(&s, "      - {as: bearer, %s, paths: [\"/other%d/**\"]}\n", everywhere, k)
			}
			_, _ = fmt.Fprintf(&s, "      - {as: bearer, %s}\n", everywhere)
		}
	}
	return s.String()
}
