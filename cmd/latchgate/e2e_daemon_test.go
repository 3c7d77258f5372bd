package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestEditedManifestIsInForceForTheNextRun(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	old := h.agent("api")
	if a := old.get("https://other.example.com/early"); a.err == nil {
		t.Fatalf("the host is not declared yet: %+v", a)
	}
	at := d.now()
	h.write("manifests/api.yaml", strings.NewReplacer("[api.example.com]", "[api.example.com, other.example.com], allowed_methods: [GET]",
		"required: true", "required: true, inject: [{as: bearer, hosts: [api.example.com]}]").Replace(apiManifest))
	_, at = d.waitAfter(at, "reloaded")
	if a := h.agent("api").get("https://other.example.com/edited"); a.status != http.StatusOK {
		t.Errorf("a new run does not reach the new host: %+v", a)
	}
	if a := old.get("https://other.example.com/late"); a.err == nil {
		t.Errorf("an open run got more than it was opened with: %+v", a)
	}
	for _, a := range h.origin.at(otherHost, "") {
		if a.Path != "/edited" || a.Header["Authorization"] != nil {
			t.Errorf("%s arrived, Authorization %d", a.Path, len(a.Header["Authorization"]))
		}
	}
	ready(t, d, "")

	// A slip of the editor takes nothing away, and everybody can see it.
	h.write("manifests/api.yaml", strings.Replace(apiManifest, "egress:", "egres:", 1))
	_, at = d.waitAfter(at, "reload: the last good one stays in force where it failed")
	ready(t, d, `api.yaml:3: manifest: unknown key "egres"; write "egress"`)
	if !strings.Contains(metric(d, "latchgate_config_reloads_total", `result="error"`), " 1") {
		t.Error(metric(d, "latchgate_config_reloads_total", ""))
	}
	if a := h.agent("api").get("https://api.example.com/slip"); a.status != http.StatusOK {
		t.Errorf("the last good manifest is not in force: %+v", a)
	}

	h.write("manifests/api.yaml", apiManifest)
	d.waitAfter(at, "reloaded")
	ready(t, d, "")
	if a := h.agent("api").get("https://other.example.com/gone"); a.err == nil {
		t.Errorf("the host was taken out again: %+v", a)
	}
}

func TestManifestThatAppearsOrGoesIsSeen(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	at := d.now()
	// Editors write beside the file and rename.
	h.write("manifests/.other.yaml.swp", "action_id: other\negress: {profile: proxy_allowlist, allowed_domains: [other.example.com], allowed_methods: [GET]}\n")
	if err := os.Rename(h.path("manifests/.other.yaml.swp"), h.path("manifests/other.yaml")); err != nil {
		t.Fatal(err)
	}
	_, at = d.waitAfter(at, "reloaded")
	if a := h.agent("other").get("https://other.example.com/"); a.status != http.StatusOK {
		t.Errorf("%+v", a)
	}
	if err := os.Remove(h.path("manifests/other.yaml")); err != nil {
		t.Fatal(err)
	}
	d.waitAfter(at, "reloaded")
	if o := h.run("env", "-a", "other"); o.status != 1 || !strings.Contains(o.stderr, `there is no action "other"`) {
		t.Errorf("%d %s", o.status, o.stderr)
	}
}

// The operator's github is narrower than the bundled one, which must not come
// back because of a slip that leaves not even the action_id readable.
func TestBrokenManifestDoesNotUncoverTheBundledOne(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	mine := strings.Replace(apiManifest, "action_id: api", "action_id: github", 1)
	h.write("manifests/github.yaml", mine)
	d := h.start()
	at := d.now()
	h.write("manifests/github.yaml", mine+"{")
	d.waitAfter(at, "reload: the last good one stays in force where it failed")
	agent := h.agent("github")
	if a := agent.get("https://api.example.com/mine"); a.status != http.StatusOK {
		t.Errorf("the last good one is not in force: %+v", a)
	}
	if a := agent.get("https://github.com/"); a.err == nil {
		t.Errorf("the bundled one is in force: %+v", a)
	}
}

func TestEditedConfigurationIsInForceAndABrokenOneIsNot(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	at := d.now()
	h.configure("[policy.data]\ndeny = [\"git\"]\n")
	_, at = d.waitAfter(at, "reloaded")
	if o := h.run("env", "-a", "git"); o.status != 1 || !strings.Contains(o.stderr, "git is on the deny list") {
		t.Errorf("the new policy data is not in force: %d %s", o.status, o.stderr)
	}
	h.configure("[polcy]\n")
	_, at = d.waitAfter(at, "reload: the last good configuration stays in force")
	ready(t, d, "latchgate.toml:17:2: polcy: unknown section; the nearest valid one is [policy]")
	if o := h.run("proxy"); o.status != 1 || !strings.Contains(o.stderr, "latchgate.toml:") {
		t.Errorf("a start with it: %d %s", o.status, o.stderr)
	}
	h.configure("")
	_, at = d.waitAfter(at, "reloaded")
	ready(t, d, "")
	if o := h.run("env", "-a", "git"); o.status != 0 {
		t.Errorf("%d %s", o.status, o.stderr)
	}

	// An address needs a restart, and it says so.
	h.write("latchgate.toml", strings.Replace(h.read("latchgate.toml"), `listen = "127.0.0.1:0"`, `listen = "127.0.0.1:1"`, 1))
	d.waitAfter(at, "reload: the last good one stays in force where it failed")
	ready(t, d, "proxy.listen changed: restart latchgate proxy to use it")
}

func TestEditedPolicyIsInForceAndABrokenOneIsNot(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	rules := func(body string) {
		h.write("policy/rules.rego", "package latchgate\n\n"+body)
	}
	const yes = `action := {"allow": true, "reason": "rule one", "approved_secrets": input.secrets, "approved_hosts": input.hosts}` + "\n"
	rules(yes)
	h.configure("[policy]\ndirs = [\"policy\"]\n")
	d := h.start()
	agent := h.agent("api")
	if a := agent.get("https://api.example.com/one"); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	at := d.now()
	rules(yes + `
default request := {"allow": false, "reason": "only two"}
request := {"allow": true, "reason": "two"} if input.path == "/two"
`)
	_, at = d.waitAfter(at, "reloaded")
	// The request policy holds for open runs too, in their open tunnels.
	if a := agent.get("https://api.example.com/one"); a.status != http.StatusForbidden || a.code != "policy_denied" {
		t.Errorf("%+v", a)
	}
	if a := agent.get("https://api.example.com/two"); a.status != http.StatusOK {
		t.Errorf("%+v", a)
	}
	rules("action := {")
	_, at = d.waitAfter(at, "reload: the last good one stays in force where it failed")
	ready(t, d, "rules.rego")
	if a := h.agent("api").get("https://api.example.com/one"); a.status != http.StatusForbidden || a.code != "policy_denied" {
		t.Errorf("the last good policy is not in force: %+v", a)
	}
	rules(`action := {"allow": false, "reason": "closed"}`)
	d.waitAfter(at, "reloaded")
	if o := h.run("env", "-a", "api"); o.status != 1 || !strings.Contains(o.stderr, "closed") {
		t.Errorf("%d %s", o.status, o.stderr)
	}
}

func TestHangUpReloads(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	at := d.now()
	d.signal(syscall.SIGHUP)
	d.waitAfter(at, "reloaded")
	if !strings.Contains(metric(d, "latchgate_config_reloads_total", `result="ok"`), " 1") {
		t.Error(metric(d, "latchgate_config_reloads_total", ""))
	}
}

func TestRotatedSecretIsOnTheVeryNextRequest(t *testing.T) {
	t.Parallel()
	const rotated = "sentinel-rotated-5566778899aabbccddeeff"
	h := newHome(t)
	h.start()
	agent := h.agent("api")
	if a := agent.get("https://api.example.com/old"); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	if o := h.runWith(rotated, nil, "secrets", "set", "API_TOKEN", "--stdin"); o.status != 0 {
		t.Fatal(o.stderr)
	}
	h.origin.wantAPI(rotated)
	a := agent.get("https://api.example.com/new")
	if a.status != http.StatusOK || !agent.reused {
		t.Errorf("status %d, in the same tunnel: %v", a.status, agent.reused)
	}
	h.authenticatedOnce(apiHost, "/new")
	// An upstream may still send back what it was given before.
	h.origin.say(apiSecret + " and " + rotated)
	a = agent.get("https://api.example.com/say")
	if want := "***REDACTED*** and ***REDACTED***"; a.body != want {
		t.Errorf("want %q; it is otherwise", want)
	}
}

func TestRevokedRunStopsInsideItsOpenTunnel(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.start()
	revoked, other := h.agent("api"), h.agent("api", "git")
	for _, agent := range []*agent{revoked, other} {
		if a := agent.get("https://api.example.com/"); a.status != http.StatusOK {
			t.Fatalf("%+v", a)
		}
	}
	var runs []struct {
		Run, Principal, Door string
		Actions              []string
		Requests             int
	}
	if err := json.Unmarshal([]byte(h.must("runs", "list", "--json").stdout), &runs); err != nil || len(runs) != 2 {
		t.Fatalf("%v %+v", err, runs)
	}
	if r := runs[1]; r.Run != other.run() || r.Door != "env" || strings.Join(r.Actions, " ") != "api git" || r.Requests != 1 || !strings.HasPrefix(r.Principal, "user:") {
		t.Errorf("%+v", r)
	}
	if table := h.must("runs", "list").stdout; !strings.Contains(table, revoked.run()) || !strings.Contains(table, "api,git") {
		t.Error(table)
	}
	if o := h.must("runs", "revoke", revoked.run()); o.stdout != "revoked "+revoked.run()+"\n" {
		t.Error(o.stdout)
	}
	if a := revoked.get("https://api.example.com/revoked"); a.status != http.StatusProxyAuthRequired || a.code != "run_unknown" || !revoked.reused {
		t.Errorf("in the open tunnel (%v): %+v", revoked.reused, a)
	}
	if a := revoked.get("https://api.example.com/revoked"); a.err == nil {
		t.Errorf("in a new tunnel: %+v", a)
	}
	if len(h.origin.at(apiHost, "/revoked")) != 0 {
		t.Error("a request of a revoked run went upstream")
	}
	if a := other.get("https://api.example.com/"); a.status != http.StatusOK || !other.reused {
		t.Errorf("the other run: %+v", a)
	}
	if o := h.run("runs", "revoke", revoked.run()); o.status != 1 || !strings.HasPrefix(o.stderr, "latchgate: there is no open run of that id\n  ") {
		t.Errorf("twice: %d %s", o.status, o.stderr)
	}
}

func TestRunEndsWithItsCommandAndWithItsTime(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	d := h.start()
	at := d.now()
	h.must("exec", "-a", "api", "--", "curl", "-sSf", "-o", h.path("tmp/answer"), "https://api.example.com/")
	line, at := d.waitAfter(at, "run closed")
	if line["outcome"] != "closed" || line["requests"] != 1.0 {
		t.Errorf("%v", line)
	}
	// One whose latchgate was killed has no command any more either.
	cmd := h.command("exec", "-a", "api", "--", "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, at = d.waitAfter(at, "run opened")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, at = d.waitAfter(at, "run closed")
	_ = in.Close()
	_ = cmd.Wait()

	h.must("env", "-a", "api", "--ttl", "50ms")
	if line, _ := d.waitAfter(at, "run closed"); line["outcome"] != "expired" {
		t.Errorf("%v", line)
	}
	if o := h.must("runs", "list", "--json"); strings.TrimSpace(o.stdout) != "[]" {
		t.Error(o.stdout)
	}
}

func TestOperatorsListenerTellsWhatHappened(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	agent := h.agent("api")
	for range 3 {
		if a := agent.get("https://api.example.com/"); a.status != http.StatusOK {
			t.Fatalf("%+v", a)
		}
	}
	if a := agent.get("https://evil.example.com/"); a.err == nil {
		t.Errorf("%+v", a)
	}
	if status, body := d.get("/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	ready(t, d, "")
	_, all := d.get("/metrics")
	for _, want := range []string{
		`latchgate_secrets_injections_total{action="api",host="api.example.com",secret="API_TOKEN"} 3`,
		`latchgate_proxy_requests_total{action="api",code="200",host="api.example.com",method="GET"} 3`,
		`latchgate_proxy_scrubbed_total{action="api",secret="API_TOKEN"}`,
		`latchgate_proxy_denied_total{code="egress_denied"} 1`,
		`latchgate_proxy_tunnels{kind="intercepted"} 1`,
		`latchgate_runs{action="api"} 1`,
		`latchgate_secrets_decrypt_cache_hits_total`,
		`latchgate_secrets_decrypt_cache_misses_total{reason="cold"} 1`,
		`latchgate_secrets_decrypt_duration_seconds_count{backend="embedded"} 1`,
		`latchgate_policy_decisions_total`,
		`latchgate_certs_leaf_cache_misses_total 1`,
		`latchgate_build_info{`,
		`latchgate_proxy_overhead_seconds_count 3`,
		`latchgate_proxy_request_duration_seconds_count{action="api"} 3`,
	} {
		if !strings.Contains(all, "\n"+want) {
			t.Errorf("no metric %s", want)
		}
	}
	noSecret(t, "/metrics", all)
	if strings.Contains(all, "evil.example.com") {
		t.Error("a label holds what a client typed")
	}
}

func TestAuditRecordHoldsWhatWasDoneAndNoValue(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	agent := h.agent("api")
	agent.get("https://api.example.com/path?query=" + "private")
	agent.get("https://evil.example.com/")
	h.run("env", "-a", "nothing")
	at := d.now()
	d.signal(syscall.SIGHUP)
	d.waitAfter(at, "reloaded")
	h.must("runs", "revoke", agent.run())
	d.stop()

	if o := h.must("audit", "verify"); !strings.Contains(o.stdout, " events, unbroken") {
		t.Error(o.stdout)
	}
	o := h.must("audit", "tail", "--follow=false", "--json")
	seen := map[string]map[string]any{}
	for line := range strings.Lines(o.stdout) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		seen[e["kind"].(string)] = e
	}
	for kind, want := range map[string]map[string]any{
		"run_opened":  {"run": agent.run(), "secrets": []any{"API_TOKEN"}, "actions": []any{"api"}},
		"run_refused": {"code": "action_unknown"},
		"request":     {"run": agent.run(), "action": "api", "host": "api.example.com", "method": "GET", "status": 200.0, "secrets": []any{"API_TOKEN"}},
		"denied":      {"run": agent.run(), "host": "evil.example.com", "code": "egress_denied", "method": "CONNECT"},
		"run_closed":  {"run": agent.run(), "reason": "revoked"},
		"reload":      {"code": "ok"},
	} {
		for field, value := range want {
			got, _ := json.Marshal(seen[kind][field])
			if wanted, _ := json.Marshal(value); string(got) != string(wanted) {
				t.Errorf("%s: %s is %s, want %s", kind, field, got, wanted)
			}
		}
	}
	for _, text := range []string{o.stdout, h.must("audit", "tail", "--follow=false").stdout} {
		if strings.Contains(text, "private") || strings.Contains(text, "/path") {
			t.Error("the record holds more of a URL than its host")
		}
	}
	h.noSecretOnDisk()

	record := h.path(".latchgate/audit.jsonl")
	raw, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, []byte(strings.Replace(string(raw), "evil.example.com", "good.example.com", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := h.run("audit", "verify"); o.status != 1 || !strings.HasPrefix(o.stderr, "latchgate: ") || !strings.Contains(o.stderr, "\n  ") {
		t.Errorf("a changed record: %d %s", o.status, o.stderr)
	}
}

// ready checks /readyz: "" wants 200, else 503 with that reason.
func ready(t *testing.T, d *process, reason string) {
	t.Helper()
	status, body := d.get("/readyz")
	if reason == "" && status != http.StatusOK || reason != "" && (status != http.StatusServiceUnavailable || !strings.Contains(body, reason)) {
		t.Errorf("/readyz: %d %q, want %q", status, body, reason)
	}
}

// metric are the lines of /metrics of that name that hold the label.
func metric(d *process, name, label string) string {
	d.t.Helper()
	_, all := d.get("/metrics")
	var found []string
	for line := range strings.Lines(all) {
		if strings.HasPrefix(line, name) && strings.Contains(line, label) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}
