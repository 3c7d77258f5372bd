package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/secrets"
)

// Names of the demo.
const (
	demoSecret   = "DEMO_TOKEN"
	demoAction   = "demo"      // for an agent
	demoCall     = "demo_call" // through a provider
	demoPrefix   = "demo_"     // of the token
	demoMasked   = demoPrefix + "••••••••"
	demoSettings = "latchgate.toml"
)

// demoManifests takes the upstream's host:port.
const demoManifests = `# What an agent behind the proxy may do in the demo.
action_id: demo
version: "1.0.0"
description: The demo's API for an agent behind the proxy.
risk_level: low
egress:
  profile: proxy_allowlist
  allowed_domains: ["%[1]s"]
secrets:
  - name: DEMO_TOKEN
    required: true
    placeholder: "demo_{random:32}"
    inject:
      - as: bearer
---
# The same API through a WASM provider.
action_id: demo_call
version: "1.0.0"
description: Say hello, through the bundled WASM provider.
risk_level: low
provider_module_digest: builtin:http_api
required_imports: [latchgate:io/http, latchgate:io/log]
template:
  method: GET
  url_template: "https://%[1]s/v1/hello/{{name}}"
  headers: {Accept: application/json}
io:
  request_schema:
    type: object
    required: [name]
    additionalProperties: false
    properties:
      name: {type: string, pattern: "^[A-Za-z]{1,40}$", description: Who is greeted.}
egress:
  profile: proxy_allowlist
  allowed_domains: ["%[1]s"]
  allowed_methods: [GET]
  allowed_paths: ["/v1/hello/*"]
secrets:
  - name: DEMO_TOKEN
    required: true
declared_side_effects: [http_read]
`

const demoConfig = `# Settings of latchgate demo; the ports are free ones.
[proxy]
listen           = "127.0.0.1:0"
upstream_ca_file = "upstream/ca.pem"
allow_private    = ["127.0.0.1/32", "::1/128"]   # the demo's upstream is on this machine
drain_timeout    = "1s"

[gate]
socket = "gate.sock"

[metrics]
listen = "127.0.0.1:0"

[manifests]
dirs = ["manifests"]

[secrets]
sops_secrets_file = "secrets.enc.yaml"
sops_key_file     = ".latchgate/sops-age.key"
backend           = "embedded"

[ca]
dir = ".latchgate/ca"

[log]
level = "error"   # it refuses a request on purpose, and shows that itself

[audit]
file = ".latchgate/audit.jsonl"
`

// demoHouse is a whole latchgate in a folder of its own: key, secrets,
// manifests, settings, an upstream, and a daemon that serves.
type demoHouse struct {
	dir      string
	token    string // known here and to the upstream, as a real one is to its owner
	upstream *demoUpstream
	way      *lastHop // to the upstream, where it has a name that no resolver knows; else nil
	daemon   *daemon
	door     *countedListener
	client   *gate.Client // over the daemon's socket, as `exec` and `run` are

	stop   context.CancelFunc
	served chan error
}

// openDemoHouse builds the house; what it made before an error is removed. host
// is the upstream's name; another one than [demoHost] is reached by a proxy on
// this machine, and has port 443.
func (a *app) openDemoHouse(ctx context.Context, step func(string), host string) (_ *demoHouse, err error) {
	h := &demoHouse{token: newDemoToken()}
	if h.dir, err = os.MkdirTemp("", "latchgate-demo-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	step("starting the upstream")
	if h.upstream, err = startDemoUpstream(filepath.Join(h.dir, "upstream"), h.token, host); err != nil {
		return nil, err
	}
	if host != demoHost {
		if h.way, err = startLastHop(h.upstream.address); err != nil {
			return nil, err
		}
		h.upstream.api = host + ":443"
	}
	step("making the key, the encrypted secrets and the manifests")
	if err := h.furnish(ctx); err != nil {
		return nil, err
	}
	step("starting the proxy")
	return h, a.startDemoDaemon(ctx, h)
}

func newDemoToken() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return demoPrefix + hex.EncodeToString(b)
}

// furnish writes what an operator would have: a key, a secrets file,
// manifests and settings.
func (h *demoHouse) furnish(ctx context.Context) error {
	made, err := secrets.Init(ctx, secrets.InitOptions{File: h.path("secrets.enc.yaml"), KeyFile: h.path(".latchgate/sops-age.key")})
	if err != nil {
		return err
	}
	store, err := secrets.Open(secrets.Options{File: made.File, KeyFile: made.KeyFile, Backend: secrets.BackendEmbedded})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if err := store.Edit(ctx, func(d *secrets.Document) error { return d.Set(demoSecret, []byte(h.token)) }); err != nil {
		return err
	}
	if err := os.Mkdir(h.path("manifests"), 0o700); err != nil {
		return err
	}
	manifests := fmt.Sprintf(demoManifests, h.upstream.api)
	return errors.Join(os.WriteFile(h.path("manifests/demo.yaml"), []byte(manifests), 0o600),
		os.WriteFile(h.path(demoSettings), []byte(demoConfig), 0o600))
}

// startDemoDaemon starts what `latchgate proxy` runs. Settings of the
// operator's own latchgate are not the demo's.
func (a *app) startDemoDaemon(ctx context.Context, h *demoHouse) error {
	environ := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "LATCHGATE_") })
	if h.way != nil {
		environ = append(environ, "LATCHGATE_PROXY__UPSTREAM_PROXY="+h.way.url)
	}
	load := func() (*configs.Config, error) {
		return configs.Load(configs.Options{File: h.path(demoSettings), Environ: environ})
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	if h.daemon, err = newDaemon(ctx, cfg, a.quietLogger(cfg), nil); err != nil {
		return err
	}
	h.door = &countedListener{Listener: h.daemon.proxyLn}
	h.daemon.proxyLn = h.door
	ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	h.served = make(chan error, 1)
	go func() { h.served <- h.daemon.serve(ctx, load) }()
	h.client, err = gate.Dial(ctx, cfg.Gate.Socket)
	return err
}

// close ends the daemon and the upstream and removes the folder.
func (h *demoHouse) close() error {
	var errs []error
	if h.served != nil {
		h.stop()
		errs = append(errs, <-h.served)
	}
	if h.upstream != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		errs = append(errs, h.upstream.close(ctx))
	}
	if h.way != nil {
		errs = append(errs, h.way.close())
	}
	return errors.Join(append(errs, os.RemoveAll(h.dir))...)
}

func (h *demoHouse) path(name string) string { return filepath.Join(h.dir, filepath.FromSlash(name)) }

// mask takes the token out of what is to be shown.
func (h *demoHouse) mask(lines []string) []string {
	masked := make([]string, len(lines))
	for i, line := range lines {
		masked[i] = strings.ReplaceAll(line, h.token, demoMasked)
	}
	return masked
}
