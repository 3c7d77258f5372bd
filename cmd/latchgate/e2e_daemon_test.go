package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

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
