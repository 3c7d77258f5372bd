package policy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/latchgate/latchgate/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder writes files of a policy; names may have folders in them.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func rules(t testing.TB, rego string) Options {
	t.Helper()
	return Options{Dirs: []string{folder(t, map[string]string{"p.rego": "package latchgate\n" + rego})}, Timeout: 5 * time.Second}
}

func engine(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func issue(risk string) ActionInput {
	return ActionInput{
		Principal: "alice", Door: "exec", Actions: []string{"github_create_issue", "github_search"}, Action: "github_create_issue",
		Version: "1.0.0", RiskLevel: risk, SideEffects: []string{"http_write"}, Secrets: []string{"GITHUB_TOKEN", "OTHER"},
		Hosts: []string{"api.github.com", "*.example.com:8443"}, Tags: []string{"coding"}, ArgSizes: map[string]int{"title": 12, "body": 2048},
	}
}

func TestBuiltinPolicyDecidesByRiskAndLists(t *testing.T) {
	for name, c := range map[string]struct {
		risk    string
		data    map[string]any
		want    Code
		reason  string
		secrets []string
		hosts   []string
	}{
		"low":              {"low", nil, CodeAllow, "low risk is allowed", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"medium":           {"medium", nil, CodeAllow, "medium risk", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"high":             {"high", nil, CodeApproval, "high risk needs approval", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"critical":         {"critical", nil, CodeApproval, "critical risk", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"unknown":          {"harmless", nil, CodeDeny, "no rule", nil, nil},
		"strict low":       {"low", map[string]any{"preset": "strict"}, CodeAllow, "low risk is allowed", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"strict medium":    {"medium", map[string]any{"preset": "strict"}, CodeApproval, "medium risk needs approval", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"strict critical":  {"critical", map[string]any{"preset": "strict"}, CodeDeny, "critical risk is denied by the preset strict", nil, nil},
		"standard high":    {"high", map[string]any{"preset": "standard"}, CodeApproval, "high risk", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"open critical":    {"critical", map[string]any{"preset": "open"}, CodeAllow, "critical risk is allowed", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"open, deny list":  {"low", map[string]any{"preset": "open", "deny": []string{"*"}}, CodeDeny, "deny list", nil, nil},
		"allow list":       {"critical", map[string]any{"allow": []any{"github_*"}}, CodeAllow, "allow list", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
		"deny list":        {"low", map[string]any{"deny": []string{"github_create_issue"}, "allow": []string{"*"}}, CodeDeny, "deny list", nil, nil},
		"denied secret":    {"low", map[string]any{"deny_secrets": []any{"OTH*"}}, CodeAllow, "low", []string{"GITHUB_TOKEN"}, []string{"api.github.com", "*.example.com:8443"}},
		"denied host":      {"high", map[string]any{"deny_hosts": []any{"WWW.Example.com."}}, CodeApproval, "high", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com"}},
		"all hosts denied": {"low", map[string]any{"deny_hosts": []any{"*.com"}}, CodeAllow, "low", []string{"GITHUB_TOKEN", "OTHER"}, []string{}},
		"empty lists":      {"low", map[string]any{"deny": []any{}, "deny_secrets": []any{}, "deny_hosts": []any{}}, CodeAllow, "low", []string{"GITHUB_TOKEN", "OTHER"}, []string{"api.github.com", "*.example.com:8443"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := engine(t, Options{Data: c.data, Timeout: 5 * time.Second}).Action(t.Context(), issue(c.risk))
			if d.Code != c.want || d.Allow != (c.want == CodeAllow || c.want == CodeApproval) || d.RequireApproval != (c.want == CodeApproval) {
				t.Errorf("%+v, want %s", d, c.want)
			}
			if !strings.Contains(d.Reason, c.reason) {
				t.Errorf("reason %q, want %q in it", d.Reason, c.reason)
			}
			if !slices.Equal(d.ApprovedSecrets, c.secrets) || !slices.Equal(d.ApprovedHosts, c.hosts) {
				t.Errorf("approved %q %q", d.ApprovedSecrets, d.ApprovedHosts)
			}
		})
	}
}

func TestAnswerThatIsNotADecisionDenies(t *testing.T) {
	for rego, want := range map[string]error{
		`action := {"allow": true} if input.risk_level == "none"`: ErrUndefined,
		`action := true`:                                                                            ErrNotADecision,
		`action := "allow"`:                                                                         ErrNotADecision,
		`action := [{"allow": true}]`:                                                               ErrNotADecision,
		`action contains "allow"`:                                                                   ErrNotADecision,
		`action := {"allow": "true"}`:                                                               ErrNotADecision,
		`action := {"allow": 1}`:                                                                    ErrNotADecision,
		`action := {"allow": true, "reason": 7}`:                                                    ErrNotADecision,
		`action := {"allow": true, "require_approval": "no"}`:                                       ErrNotADecision,
		`action := {"allow": true, "approved_secrets": "GITHUB_TOKEN"}`:                             ErrNotADecision,
		`action := {"allow": true, "approved_secrets": null}`:                                       ErrNotADecision,
		`action := {"allow": true, "approved_hosts": [1]}`:                                          ErrNotADecision,
		`action := {"allow": true, "aproved_secrets": []}`:                                          ErrNotADecision,
		`action := {"allow": true, 1: 2}`:                                                           ErrNotADecision,
		`action := {"allow": x} if some x in [true, false]`:                                         nil, // two answers
		`action := {"allow": true} if not to_number(input.principal) == 1`:                          nil, // a builtin that fails
		`action := {"allow": true} if count([x | some x in numbers.range(1, 1000000000)]) > 1000`:   ErrTimeout,
		`action := {"allow": count(x) > 3} if x := {y | some y in numbers.range(1, 50000000)}`:      ErrTimeout,
		`action := {"allow": true, "approved_secrets": {s: true | some s in input.secrets}}`:        ErrNotADecision,
		`action := {"allow": true, "reason": "x", "approved_secrets": [["GITHUB_TOKEN"]]}`:          ErrNotADecision,
		`action.allow := true` + "\n" + `action.reasn := "a typo"`:                                  ErrNotADecision,
		`action := {"allow": false, "require_approval": true, "approved_secrets": input.secretsss}`: ErrUndefined,
	} {
		o := rules(t, rego)
		if want == ErrTimeout {
			o.Timeout = 20 * time.Millisecond
		}
		d := engine(t, o).Action(t.Context(), issue("low"))
		if d.Allow || d.Code != CodeError || d.Reason == "" || d.Err == nil || d.RequireApproval || len(d.ApprovedSecrets)+len(d.ApprovedHosts) > 0 {
			t.Errorf("%s\n\t%+v", rego, d)
		}
		if want != nil && !errors.Is(d.Err, want) {
			t.Errorf("%s\n\t%v, want %v", rego, d.Err, want)
		}
	}
}

func TestMisspeltKeyIsNamedWithTheNearest(t *testing.T) {
	d := engine(t, rules(t, `action := {"allow": true, "aproved_secrets": []}`)).Action(t.Context(), issue("low"))
	if d.Err == nil || !strings.Contains(d.Err.Error(), "the nearest valid one is approved_secrets") {
		t.Errorf("%v", d.Err)
	}
}

func TestDenialApprovesNothingAndWaitsForNobody(t *testing.T) {
	d := engine(t, rules(t, `action := {"allow": false, "require_approval": true, "approved_secrets": input.secrets}`)).
		Action(t.Context(), issue("low"))
	if d.Allow || d.RequireApproval || d.ApprovedSecrets != nil || d.ApprovedHosts != nil || d.Code != CodeDeny || d.Reason == "" {
		t.Errorf("%+v", d)
	}
}

func TestPolicyApprovesNeverMoreThanIsDeclared(t *testing.T) {
	for rego, want := range map[string][2][]string{
		`action := {"allow": true}`: {{"GITHUB_TOKEN", "OTHER"}, {"api.github.com", "*.example.com:8443"}},
		`action := {"allow": true, "approved_secrets": [], "approved_hosts": set()}`:                                  {{}, {}},
		`action := {"allow": true, "approved_secrets": ["ROOT", "OTHER", "OTHER"], "approved_hosts": ["evil.com"]}`:   {{"OTHER"}, {}},
		`action := {"allow": true, "approved_secrets": {"github_token"}, "approved_hosts": {"*.github.com", "*"}}`:    {{}, {}},
		`action := {"allow": true, "approved_secrets": {"OTHER", "GITHUB_TOKEN"}, "approved_hosts": ["example.com"]}`: {{"GITHUB_TOKEN", "OTHER"}, {}},
	} {
		d := engine(t, rules(t, rego)).Action(t.Context(), issue("low"))
		if !d.Allow || d.ApprovedSecrets == nil || d.ApprovedHosts == nil ||
			!slices.Equal(d.ApprovedSecrets, want[0]) || !slices.Equal(d.ApprovedHosts, want[1]) {
			t.Errorf("%s\n\t%+v, want %q", rego, d, want)
		}
	}
}

func TestCancelledCallerIsDenied(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := engine(t, Options{}).Action(ctx, issue("low"))
	if d.Allow || !errors.Is(d.Err, context.Canceled) {
		t.Errorf("%+v", d)
	}
}

func TestArgumentsThatAreNotJSONDeny(t *testing.T) {
	in := issue("low")
	in.Args = map[string]any{"f": func() {}}
	if d := engine(t, Options{}).Action(t.Context(), in); d.Allow || d.Code != CodeError {
		t.Errorf("%+v", d)
	}
}

func TestReasonOfAFailureDoesNotQuoteThePolicyButTheLogDoes(t *testing.T) {
	var log bytes.Buffer
	o := rules(t, `action := {"allow": true} if to_number(input.principal) == 1`)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	d := engine(t, o).Action(t.Context(), issue("low"))
	if strings.Contains(d.Reason, "p.rego") || strings.Contains(d.Reason, "alice") {
		t.Errorf("reason %q", d.Reason)
	}
	if where := filepath.Join(o.Dirs[0], "p.rego") + ":2"; !strings.Contains(log.String(), where) || !strings.Contains(d.Err.Error(), where) {
		t.Errorf("%s is neither in the log nor in %v\n%s", where, d.Err, &log)
	}
}

func TestReloadSwapsOrKeepsTheOldPolicy(t *testing.T) {
	e := engine(t, rules(t, `action := {"allow": true, "reason": "first"}`))
	reason := func() string { return e.Action(t.Context(), issue("low")).Reason }
	for name, files := range map[string]map[string]string{
		"does not parse":   {"p.rego": "package latchgate\naction := {"},
		"does not compile": {"p.rego": "package latchgate\naction := {\"allow\": x}"},
		"no decision":      {"p.rego": "package latchgate\nallow := true"},
		"fails its tests": {"p.rego": "package latchgate\naction := {\"allow\": true}",
			"p_test.rego": "package latchgate_test\ntest_deny if not data.latchgate.action.allow"},
		"tests do not compile": {"p.rego": "package latchgate\naction := {\"allow\": true}", "p_test.rego": "package t\ntest_x if y"},
	} {
		if err := e.Reload(t.Context(), Options{Dirs: []string{folder(t, files)}}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := reason(); got != "first" {
			t.Fatalf("%s: %q is in force", name, got)
		}
	}
	if err := e.Reload(t.Context(), rules(t, `action := {"allow": true, "reason": "second"}`)); err != nil {
		t.Fatal(err)
	}
	if got := reason(); got != "second" {
		t.Errorf("%q is in force", got)
	}
	if err := e.Reload(t.Context(), Options{}); err != nil || reason() != "low risk is allowed" {
		t.Errorf("%v, %q", err, reason())
	}
}

func TestEvaluationsDuringAReloadSeeOnePolicy(t *testing.T) {
	with := func(secret string) Options {
		return rules(t, `action := {"allow": true, "reason": "`+secret+`", "approved_secrets": ["`+secret+`"]}`+"\n"+
			`request := {"allow": true, "reason": "`+secret+`"}`)
	}
	policies := []Options{with("GITHUB_TOKEN"), with("OTHER")}
	e := engine(t, policies[0])
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			if err := e.Reload(context.Background(), policies[i%2]); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		d := e.Action(t.Context(), issue("low"))
		if !d.Allow || len(d.ApprovedSecrets) != 1 || d.ApprovedSecrets[0] != d.Reason {
			t.Fatalf("%+v", d)
		}
		if d := e.Request(t.Context(), get("/")); !d.Allow {
			t.Fatalf("%+v", d)
		}
	}
}

func TestDecisionsAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	o := rules(t, `
action := {"allow": true} if input.risk_level == "low"
action := {"allow": true, "require_approval": true} if input.risk_level == "high"
action := {"allow": false} if input.risk_level == "critical"
request := {"allow": input.method == "GET"}`)
	o.Registerer = reg
	e := engine(t, o)
	// The second "high" and GET come from the cache: a decision, and no evaluation.
	for _, risk := range []string{"low", "high", "high", "critical", "undefined"} {
		e.Action(t.Context(), issue(risk))
	}
	e.Request(t.Context(), get("/"))
	e.Request(t.Context(), get("/"))
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP latchgate_policy_decisions_total Policy decisions on actions and requests: allow, deny, approval or error (which denies).
# TYPE latchgate_policy_decisions_total counter
latchgate_policy_decisions_total{decision="allow"} 3
latchgate_policy_decisions_total{decision="approval"} 2
latchgate_policy_decisions_total{decision="deny"} 1
latchgate_policy_decisions_total{decision="error"} 1
`), "latchgate_policy_decisions_total")
	if err != nil {
		t.Error(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "latchgate_policy_eval_duration_seconds" {
			h := f.Metric[0].GetHistogram()
			if h.GetSampleCount() != 5 || h.Bucket[0].GetUpperBound() != 50e-6 {
				t.Errorf("%d evaluations, first bucket %v", h.GetSampleCount(), h.Bucket[0].GetUpperBound())
			}
		}
	}
}

func TestPanicInAnEvaluationIsAFailureLikeAnyOther(t *testing.T) {
	e := engine(t, Options{})
	e.rules.Store(&ruleset{timeout: time.Second}) // without a store to read from
	if d := e.Action(t.Context(), issue("low")); d.Allow || d.Code != CodeError || !strings.Contains(d.Err.Error(), "panic") {
		t.Errorf("%+v", d)
	}
}

// Each decision is in the record, those that were remembered too; neither the
// path of a request nor an argument is.
func TestEachDecisionIsRecorded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	log, err := audit.Open(file, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{"p.rego": `package latchgate
default action := {"allow": false, "reason": "no"}
action := {"allow": true, "reason": "yes", "require_approval": input.action == "ask", "approved_secrets": ["A"]} if input.action in {"run", "ask"}
action := {"allow": 1} if input.action == "broken"
request := {"allow": input.method == "GET", "reason": "by method"}
`})
	ctx := context.Background()
	e, err := New(ctx, Options{Dirs: []string{dir}, Audit: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"run", "ask", "no", "broken"} {
		e.Action(ctx, ActionInput{Principal: "user:test", Actions: []string{id}, Action: id, Secrets: []string{"A", "B"}, Args: map[string]any{"x": "argument"}})
	}
	for range 2 {
		e.Request(ctx, RequestInput{Principal: "user:test", Run: "run-1", Action: "run", Host: "api.example.com", Method: "GET", Path: "/private"})
	}
	e.Request(ctx, RequestInput{Principal: "user:test", Run: "run-1", Action: "run", Host: "api.example.com", Method: "PUT", Path: "/private"})
	if err := log.Close(ctx); err != nil {
		t.Fatal(err)
	}
	var got []string
	for entry, err := range audit.Read(file) {
		if err != nil || entry.Kind != audit.Policy || entry.Principal != "user:test" {
			t.Fatalf("%+v %v", entry, err)
		}
		got = append(got, strings.Join([]string{entry.Run, entry.Action, entry.Host, entry.Method, entry.Code, strings.Join(entry.Secrets, "+"), entry.Reason}, " "))
	}
	want := []string{
		" run   allow A yes", " ask   approval A yes", " no   deny  no", " broken   error  the policy's answer is not a decision",
		"run-1 run api.example.com GET allow  by method", "run-1 run api.example.com GET allow  by method", "run-1 run api.example.com PUT deny  by method",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	raw, _ := os.ReadFile(file)
	if bytes.Contains(raw, []byte("private")) || bytes.Contains(raw, []byte("argument")) {
		t.Errorf("a path or an argument is in the record:\n%s", raw)
	}
}
