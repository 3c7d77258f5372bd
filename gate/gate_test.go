package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/pem"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate/provider"
	"github.com/latchgate/latchgate/internal/testenv"
	"github.com/latchgate/latchgate/secrets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "tok-0123456789abcdef"

// world is a gate over a folder of real files, with a real TLS upstream.
type world struct {
	*Gate
	t        testing.TB
	dir      string
	port     string // of the upstream, at api.localhost
	log      *syncBuffer
	registry *prometheus.Registry
	mu       sync.Mutex
	arrived  []*http.Request
	forgets  bool                // keeps neither requests nor log, for benchmarks
	arrives  func(*http.Request) // is called with each request before it is answered; nil: nothing is
}

// forget keeps neither requests nor log from now on: both would grow with a
// benchmark, and their collection be measured.
func (w *world) forget() {
	w.mu.Lock()
	w.forgets = true
	w.mu.Unlock()
	w.log.mu.Lock()
	w.log.drop = true
	w.log.mu.Unlock()
}

const worldConfig = `
[proxy]
listen = "127.0.0.1:0"
upstream_ca_file = "origin.pem"
allow_private = ["127.0.0.0/8"]
[metrics]
listen = ""
[manifests]
dirs = ["actions"]
bundled = false
[gate]
socket = "gate.sock"
`

// newWorld writes the manifest (PORT in it is the upstream's) and opens a gate.
func newWorld(t testing.TB, manifest, config string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &syncBuffer{}}
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen := r.Clone(context.Background())
		seen.Body = io.NopCloser(strings.NewReader(string(body)))
		w.mu.Lock()
		if !w.forgets {
			w.arrived = append(w.arrived, seen)
		}
		w.mu.Unlock()
		if w.arrives != nil {
			w.arrives(r)
		}
		if r.Header.Get("Authorization") != "Bearer "+token {
			rw.WriteHeader(http.StatusUnauthorized)
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"echo": r.Header.Get("Authorization"), "path": r.URL.Path})
	}))
	cert, der := selfSigned(t, "api.localhost")
	origin.TLS = cert
	origin.StartTLS()
	t.Cleanup(origin.Close)
	u, _ := url.Parse(origin.URL)
	w.port = u.Port()
	w.write("origin.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	w.write("actions/a.yaml", strings.ReplaceAll(manifest, "PORT", w.port))
	w.write("latchgate.toml", worldConfig+config)
	w.start()
	t.Cleanup(w.stop)
	return w
}

// start builds the gate from the files as they are.
func (w *world) start() {
	w.t.Helper()
	w.registry = prometheus.NewRegistry()
	g, err := New(context.Background(), Options{Config: w.load(), Registerer: w.registry, Version: "test", PolicyTimeout: 10 * time.Second,
		Log: w.log.logger()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Gate = g
}

func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.Shutdown(ctx); err != nil {
		w.t.Errorf("shutdown: %v", err)
	}
}

// restart is what a restart of the daemon is.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) load() *configs.Config {
	w.t.Helper()
	c, err := configs.Load(configs.Options{File: filepath.Join(w.dir, "latchgate.toml"), Environ: []string{}})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// setSecrets makes the secrets file where there is none, and sets values in it.
func (w *world) setSecrets(values map[string]string) {
	w.t.Helper()
	setSecrets(w.t, w.dir, values)
}

func setSecrets(t testing.TB, dir string, values map[string]string) {
	t.Helper()
	file, key := filepath.Join(dir, "secrets.enc.yaml"), filepath.Join(dir, ".latchgate", "sops-age.key")
	if _, err := secrets.Init(context.Background(), secrets.InitOptions{File: file, KeyFile: key}); err != nil {
		t.Fatal(err)
	}
	s, err := secrets.Open(secrets.Options{File: file, KeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Edit(context.Background(), func(d *secrets.Document) error {
		for k, v := range values {
			if err := d.Set(k, []byte(v)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) requests() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.arrived
}

// code checks that err is the gate's error of that code.
func code(t testing.TB, err error, want string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != want {
		t.Fatalf("want %s, got %v (%#v)", want, err, e)
	}
	return e
}

const callManifest = `
action_id: call
provider_module_digest: builtin:http_api
template:
  method: POST
  url_template: "https://api.localhost:PORT/items/{{id}}"
  body_template: {note: "{{note}}", count: "{{count}}"}
io:
  request_schema:
    type: object
    required: [id]
    additionalProperties: false
    properties: {id: {type: string}, note: {type: string, default: none}, count: {type: integer}}
  response_schema: {type: object, required: [ok, status]}
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"], allowed_methods: [POST]}
secrets: [{name: TOKEN, required: true}]
`

func TestAnActionRunsThroughItsProviderOverTheWire(t *testing.T) {
	w := newWorld(t, callManifest, `[secrets]
sops_secrets_file = "secrets.enc.yaml"
`)
	w.setSecrets(map[string]string{"TOKEN": token})
	done, err := w.Execute(context.Background(), ExecuteRequest{Principal: "user:test", Action: "call", Args: map[string]any{"id": "a/b?x#y", "count": 3}})
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		OK     bool
		Status int
		Body   struct{ Echo, Path string }
	}
	if err := json.Unmarshal(done.Result, &result); err != nil || !result.OK || result.Status != 200 {
		t.Fatalf("%s: %v", done.Result, err)
	}
	if result.Body.Echo != "Bearer ***REDACTED***" || result.Body.Path != "/items/a/b?x#y" {
		t.Errorf("body %+v", result.Body)
	}
	all := w.requests()
	body, _ := io.ReadAll(all[0].Body)
	if len(all) != 1 || all[0].Header.Get("Authorization") != "Bearer "+token || string(body) != `{"count":3,"note":"none"}` {
		t.Errorf("%d requests, %q", len(all), body)
	}
	if runs := w.Runs().List(); len(runs) != 0 {
		t.Errorf("%d runs stay open", len(runs))
	}
	if n := testutil.ToFloat64(w.metrics.runs.WithLabelValues("call", "closed")); n != 1 {
		t.Errorf("runs_total %v", n)
	}
}

func TestEachFailureOfAnExecutionHasItsCode(t *testing.T) {
	w := newWorld(t, callManifest+`
---
action_id: agents_only
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
---
action_id: risky
risk_level: high
---
action_id: module_missing
provider_module_digest: "sha256:`+strings.Repeat("0", 64)+`"
provider_source: nowhere.wasm
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: ABSENT, required: true}]
---
action_id: module_wrong
provider_module_digest: "sha256:`+strings.Repeat("0", 64)+`"
provider_source: wrong.wasm
`, `[secrets]
sops_secrets_file = "secrets.enc.yaml"
`)
	w.setSecrets(map[string]string{"TOKEN": token})
	w.write("actions/wrong.wasm", "\x00asm\x01\x00\x00\x00")
	run := func(action string, args map[string]any) error {
		_, err := w.Execute(context.Background(), ExecuteRequest{Principal: "user:test", Action: action, Args: args})
		return err
	}
	if e := code(t, run("cal", nil), CodeActionUnknown); !strings.Contains(e.Hint, `did you mean "call"?`) {
		t.Errorf("hint %q", e.Hint)
	}
	e := code(t, run("call", map[string]any{"count": "secret-looking-argument", "unknown": 1}), CodeArgumentsInvalid)
	for _, want := range []string{"id", "count", "unknown"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("%q does not name %s", e.Message, want)
		}
	}
	if strings.Contains(e.Message, "secret-looking-argument") {
		t.Errorf("%q repeats an argument", e.Message)
	}
	code(t, run("agents_only", nil), CodeNoProvider)
	// Required secrets are looked at before the module is loaded: this module
	// does not even exist.
	if e := code(t, run("module_missing", nil), string(secrets.RequiredSecretMissing)); e.Message != "required secret 'ABSENT' not found in sops file" {
		t.Errorf("message %q", e.Message)
	}
	code(t, run("module_wrong", nil), string(provider.CodeDigestMismatch))
	if e := code(t, run("risky", nil), CodeNoProvider); e.Action != "risky" {
		t.Errorf("action %q", e.Action)
	}
	_, err := w.Open(context.Background(), OpenRequest{Principal: "user:test", Door: DoorExec, Actions: []string{"risky"}})
	code(t, err, CodeApprovalRequired)
	if n := len(w.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
	if runs := w.Runs().List(); len(runs) != 0 {
		t.Errorf("%d runs stay open", len(runs))
	}
}

func TestAThirdPartyModuleRunsByItsDigest(t *testing.T) {
	program := testenv.Program(t, "go")
	wasm := filepath.Join(t.TempDir(), "provider.wasm")
	build := exec.Command(program, "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", wasm, "./provider/testdata/pages")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	module, err := os.ReadFile(wasm)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(module)
	w := newWorld(t, `
action_id: list
provider_module_digest: "sha256:`+hex.EncodeToString(sum[:])+`"
provider_source: list.wasm
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: TOKEN, required: true}]
resource_limits: {memory_mb: 64, timeout_seconds: 300}   # it is compiled within, which takes long under the race detector
`, "[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n")
	w.setSecrets(map[string]string{"TOKEN": token})
	w.write("actions/list.wasm", string(module))
	_, err = w.Execute(context.Background(), ExecuteRequest{Principal: "user:test", Action: "list",
		Args: map[string]any{"url": "https://api.localhost:" + w.port + "/list", "pages": 1}})
	// The upstream answers an object where the guest wants a list: its own
	// failure comes back whole, after an authenticated request.
	if e := code(t, err, string(provider.CodeFailed)); !strings.Contains(string(e.Detail), "list_failed") {
		t.Errorf("detail %s", e.Detail)
	}
	if all := w.requests(); len(all) != 1 || all[0].Header.Get("Authorization") != "Bearer "+token {
		t.Errorf("%d requests", len(all))
	}
	// And a host that the action may not reach is refused on the same wire.
	_, err = w.Execute(context.Background(), ExecuteRequest{Principal: "user:test", Action: "list",
		Args: map[string]any{"url": "https://evil.localhost/list", "pages": 1}})
	if e := code(t, err, string(provider.CodeFailed)); !strings.Contains(string(e.Detail), "403") {
		t.Errorf("detail %s", e.Detail)
	}
}

func TestWithoutASecretsFile(t *testing.T) {
	w := newWorld(t, callManifest+`
---
action_id: optional
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: TOKEN}]
`, "")
	const warning = "action has policy-approved secrets but no sops_secrets_file is configured"
	if _, err := w.Open(context.Background(), OpenRequest{Principal: "p", Door: DoorExec, Actions: []string{"optional"}}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.log.String(), warning) {
		t.Error("the warning is given for an optional secret")
	}
	done, err := w.Execute(context.Background(), ExecuteRequest{Principal: "p", Action: "call", Args: map[string]any{"id": "1"}})
	if err != nil {
		t.Fatalf("the run does not open: %v", err)
	}
	if !strings.Contains(string(done.Result), "secret_unavailable") || len(w.requests()) != 0 {
		t.Errorf("result %s, %d requests", done.Result, len(w.requests()))
	}
	if n := strings.Count(w.log.String(), warning); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestTheErrorTableOfTheSecretsDeniesTheRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(t *testing.T, w *world)
		code    secrets.Code
		text    string
	}{
		{"no file", func(*testing.T, *world) {}, secrets.SecretsFileNotFound, "secrets file not found"},
		{"no key", func(t *testing.T, w *world) {
			w.setSecrets(map[string]string{"TOKEN": token})
			if err := os.Remove(filepath.Join(w.dir, ".latchgate", "sops-age.key")); err != nil {
				t.Fatal(err)
			}
		}, secrets.KeyFileNotFound, "key file not found"},
		{"another key", func(t *testing.T, w *world) {
			w.setSecrets(map[string]string{"TOKEN": token})
			otherDir := t.TempDir()
			setSecrets(t, otherDir, nil)
			key, err := os.ReadFile(filepath.Join(otherDir, ".latchgate", "sops-age.key"))
			if err != nil {
				t.Fatal(err)
			}
			w.write(".latchgate/sops-age.key", string(key))
		}, secrets.DecryptFailed, "sops decryption failed"},
		{"corrupt", func(t *testing.T, w *world) {
			w.setSecrets(map[string]string{"TOKEN": token})
			raw, err := os.ReadFile(filepath.Join(w.dir, "secrets.enc.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			w.write("secrets.enc.yaml", strings.Replace(string(raw), "data:", "data:AAAA", 1))
		}, secrets.DecryptFailed, "sops decryption failed"},
		{"not there", func(_ *testing.T, w *world) { w.setSecrets(map[string]string{"OTHER": "x"}) },
			secrets.RequiredSecretMissing, "required secret 'TOKEN' not found in sops file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, callManifest, "[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n")
			c.arrange(t, w)
			_, err := w.Execute(context.Background(), ExecuteRequest{Principal: "p", Action: "call", Args: map[string]any{"id": "1"}})
			e := code(t, err, string(c.code))
			if !strings.HasPrefix(e.Message, c.text) || strings.Contains(e.Message, w.dir) {
				t.Errorf("message %q", e.Message)
			}
			if len(w.Runs().List()) != 0 || len(w.requests()) != 0 {
				t.Error("the run was opened")
			}
		})
	}
}

func TestReloadKeepsTheLastGoodOne(t *testing.T) {
	w := newWorld(t, callManifest, "[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n")
	w.setSecrets(map[string]string{"TOKEN": token})
	open := func(id string) error {
		o, err := w.Open(context.Background(), OpenRequest{Principal: "p", Door: DoorExec, Actions: []string{id}})
		if err == nil {
			w.Close(o.ID)
		}
		return err
	}
	w.write("actions/b.yaml", "action_id: added\n")
	if err := w.Reload(context.Background(), w.load()); err != nil || open("added") != nil {
		t.Fatalf("a new manifest: %v, %v", err, open("added"))
	}
	w.write("actions/b.yaml", "action_id: added\nallowed_domain: typo\n")
	if err := w.Reload(context.Background(), w.load()); err == nil || w.Ready() == nil {
		t.Error("a broken manifest is not reported")
	}
	if err := open("added"); err != nil {
		t.Errorf("the last good one is gone: %v", err)
	}
	w.write("actions/b.yaml", "action_id: renamed\n")
	if err := w.Reload(context.Background(), w.load()); err != nil || w.Ready() != nil {
		t.Errorf("mended: %v, %v", err, w.Ready())
	}
	code(t, open("added"), CodeActionUnknown)
	w.write("latchgate.toml", worldConfig+"[policy.data]\ndeny = [\"call\"]\n[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n")
	if err := w.Reload(context.Background(), w.load()); err != nil {
		t.Fatal(err)
	}
	code(t, open("call"), CodePolicyDenied)
	w.write("latchgate.toml", strings.Replace(worldConfig, "127.0.0.1:0", "127.0.0.1:9", 1))
	if err := w.Reload(context.Background(), w.load()); err == nil || !strings.Contains(err.Error(), "proxy.listen changed: restart") {
		t.Errorf("a changed address: %v", err)
	}
	if ok, bad := testutil.ToFloat64(w.metrics.reloads.WithLabelValues("ok")), testutil.ToFloat64(w.metrics.reloads.WithLabelValues("error")); ok != 3 || bad != 2 {
		t.Errorf("reloads: %v ok, %v error", ok, bad)
	}
}

func TestWatchSeesANewManifest(t *testing.T) {
	w := newWorld(t, callManifest, "")
	ctx, cancel := context.WithCancel(context.Background())
	changed, ended := make(chan struct{}, 16), make(chan struct{})
	watch, err := w.Watch()
	if err != nil {
		t.Fatal(err)
	}
	w.write("actions/new.yaml", "action_id: new\n")
	go func() { watch(ctx, func() { changed <- struct{}{} }); close(ended) }()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("no change was seen")
	}
}

// No request asks again, and the TTL is far away.
func TestWatchHasASupersededSecretsFileForgotten(t *testing.T) {
	for _, name := range []string{"vault/secrets.enc.yaml", "link.yaml"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, callManifest, "[secrets]\nsops_secrets_file = \""+name+"\"\nsops_key_file = \"vault/.latchgate/sops-age.key\"\n")
			vault := filepath.Join(w.dir, "vault")
			setSecrets(t, vault, map[string]string{"TOKEN": token})
			if err := os.Symlink("vault/secrets.enc.yaml", filepath.Join(w.dir, "link.yaml")); err != nil {
				t.Fatal(err)
			}
			watch, err := w.Watch()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { watch(ctx, func() {}); close(ended) }()
			defer func() {
				cancel()
				<-ended
			}()
			for hits := float64(0); hits == 0; { // a file that was just written is not cached
				if _, err := w.Open(ctx, OpenRequest{Principal: "p", Door: DoorExec, Actions: []string{"call"}}); err != nil {
					t.Fatal(err)
				}
				hits = metric(t, w.registry, "latchgate_secrets_decrypt_cache_hits_total")
			}
			setSecrets(t, vault, map[string]string{"TOKEN": "another"})
			for deadline := time.Now().Add(10 * time.Second); !strings.Contains(w.log.String(), "what was decrypted is forgotten"); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the old values are still in memory")
				}
			}
		})
	}
}

func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func TestCoerceArgs(t *testing.T) {
	schema := map[string]any{"properties": map[string]any{
		"n": map[string]any{"type": "integer"}, "b": map[string]any{"type": "boolean"}, "o": map[string]any{"type": "object"},
		"s": map[string]any{"type": "string"}, "either": map[string]any{"type": []any{"string", "null"}}}}
	args, err := CoerceArgs(schema, []string{"n=3", "b=true", `o={"x":[1]}`, "s=true", "either=null", "free=1=2"})
	got, _ := json.Marshal(args)
	if err != nil || string(got) != `{"b":true,"either":"null","free":"1=2","n":3,"o":{"x":[1]},"s":"true"}` {
		t.Fatalf("%s %v", got, err)
	}
	for _, word := range []string{"novalue", "=x", "n=three-secret"} {
		if _, err := CoerceArgs(schema, []string{word}); err == nil || strings.Contains(err.Error(), "three-secret") {
			t.Errorf("%q: %v", word, err)
		}
	}
}

func TestPlaceholdersAreRandomAndOfTheirShape(t *testing.T) {
	a, b := newPlaceholder("ghp_{random:36}"), newPlaceholder("ghp_{random:36}")
	if a == b || len(a) != 40 || !strings.HasPrefix(a, "ghp_") {
		t.Fatalf("%q %q", a, b)
	}
}

type syncBuffer struct {
	mu   sync.Mutex
	b    strings.Builder
	drop bool
}

func (l *syncBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drop {
		return len(p), nil
	}
	return l.b.Write(p)
}

func (l *syncBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *syncBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
