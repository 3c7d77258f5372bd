package policy

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/manifests"
)

// lineOf is the line of the built-in policy on which text stands first.
func lineOf(t *testing.T, text string) int {
	t.Helper()
	before, _, ok := strings.Cut(builtinRego, text)
	if !ok {
		t.Fatalf("the policy has no line %q", text)
	}
	return strings.Count(before, "\n") + 1
}

func TestExplanationNamesTheRuleAndTheEntryThatSaidSo(t *testing.T) {
	for name, c := range map[string]struct {
		risk    string
		data    map[string]any
		code    Code
		decided string // text on the line of the rule that decided
		matches []Match
	}{
		"risk":       {"low", nil, CodeAllow, "} else := {\n\t\"allow\": true,\n\t\"reason\": sprintf(\"%s risk is allowed\"", []Match{}},
		"deny list":  {"low", map[string]any{"deny": []string{"slack_*", "github_*"}}, CodeDeny, "action := {\n\t\"allow\": false,\n\t\"reason\": sprintf(\"%s is on the deny list\"", []Match{{"deny", "github_*", "github_create_issue"}}},
		"allow list": {"high", map[string]any{"allow": []string{"*_issue"}}, CodeAllow, "} else := {\n\t\"allow\": true,\n\t\"reason\": sprintf(\"%s is on the allow list\"", []Match{{"allow", "*_issue", "github_create_issue"}}},
		"secrets and hosts": {"low", map[string]any{"deny_secrets": []string{"OTHER"}, "deny_hosts": []string{"*.example.com"}}, CodeAllow, "} else := {\n\t\"allow\": true,\n\t\"reason\": sprintf(\"%s risk is allowed\"",
			[]Match{{"deny_hosts", "*.example.com", "*.example.com:8443"}, {"deny_secrets", "OTHER", "OTHER"}}},
		"preset":       {"critical", map[string]any{"preset": "strict"}, CodeDeny, "} else := {\n\t\"allow\": false,\n\t\"reason\": sprintf(\"%s risk is denied by", []Match{{"preset", "strict", "critical"}}},
		"no rule fits": {"harmless", nil, CodeDeny, "default action", []Match{}},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine(t, Options{Data: c.data})
			x := e.ExplainAction(t.Context(), issue(c.risk))
			if d := e.Action(t.Context(), issue(c.risk)); fmt.Sprint(d) != fmt.Sprint(x.Decision) || x.Code != c.code {
				t.Errorf("%+v is not %+v", x.Decision, d)
			}
			slices.SortFunc(x.Matches, func(a, b Match) int { return strings.Compare(a.Key, b.Key) })
			if !slices.Equal(x.Matches, c.matches) {
				t.Errorf("matches %v", x.Matches)
			}
			if len(x.DecidedBy) != 1 || x.DecidedBy[0].File != "builtin:latchgate.rego" || x.DecidedBy[0].Rule != "data.latchgate.action" || x.DecidedBy[0].Line != lineOf(t, c.decided) {
				t.Errorf("decided by %v, want line %d", x.DecidedBy, lineOf(t, c.decided))
			}
		})
	}
}

func TestExplanationOfOnesOwnPolicy(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.rego": "package latchgate\n\nimport data.house\n\naction.allow := true if house.member(input.principal)\n\naction.reason := \"a member\" if house.member(input.principal)\n\naction.allow := false if input.principal == \"eve\"\n",
		"b.rego": "package house\n\nmember(name) if name in {\"alice\"}\n\nmember(name) if name == \"root\"\n",
		"c.rego": "package latchgate\n\nrequest := {\"allow\": true} if input.method == \"GET\"\n\nmatches := 7\n",
	})
	e := engine(t, Options{Dirs: []string{dir}})
	places := func(of []Place) (out []string) {
		for _, p := range of {
			out = append(out, fmt.Sprintf("%s:%d %s", filepath.Base(p.File), p.Line, p.Rule))
		}
		return out
	}
	x := e.ExplainAction(t.Context(), issue("low"))
	if got := places(x.DecidedBy); !x.Allow || !slices.Equal(got, []string{"a.rego:5 data.latchgate.action.allow", "a.rego:7 data.latchgate.action.reason"}) {
		t.Errorf("%+v", x)
	}
	if got := places(x.Used); !slices.Equal(got, []string{"b.rego:3 data.house.member"}) || len(x.Matches) != 0 {
		t.Errorf("%v, %v", got, x.Matches)
	}
	in := issue("low")
	in.Principal = "mallory"
	if x = e.ExplainAction(t.Context(), in); x.Code != CodeDeny || len(x.DecidedBy) != 0 {
		t.Errorf("%+v", x)
	}
	post := get("/")
	post.Method = "POST"
	if x = e.ExplainRequest(t.Context(), post); x.Code != CodeError || !errors.Is(x.Err, ErrUndefined) || x.Error == "" || len(x.DecidedBy) != 0 {
		t.Errorf("%+v", x)
	}
	if x = e.ExplainRequest(t.Context(), get("/")); !x.Allow || !slices.Equal(places(x.DecidedBy), []string{"c.rego:3 data.latchgate.request"}) || x.Rule != "data.latchgate.request" {
		t.Errorf("%+v", x)
	}
	if x = engine(t, Options{}).ExplainRequest(t.Context(), get("/")); !x.Allow || x.Reason != "no request rule is defined" || len(x.DecidedBy) != 0 {
		t.Errorf("%+v", x)
	}
}

func TestFunctionNamedMatchesIsOnesOwnAffair(t *testing.T) {
	e := engine(t, rules(t, "matches(a, b) if a == b\naction := {\"allow\": true} if matches(input.risk_level, \"low\")"))
	if x := e.ExplainAction(t.Context(), issue("low")); !x.Allow || len(x.Matches) != 0 {
		t.Errorf("%+v", x)
	}
}

func TestInputIsMadeOfTheManifest(t *testing.T) {
	found, problems := manifests.Parse("x.yaml", []byte(`
action_id: a
version: "2.0.0"
risk_level: high
tags: [t]
declared_side_effects: [http_write]
egress: {profile: proxy_allowlist, allowed_domains: [api.example.com, "*.example.org:8443"]}
secrets: [{name: ONE}, {name: TWO}]
---
action_id: b
policy_args: true
`))
	if manifests.HasErrors(problems) {
		t.Fatal(problems)
	}
	args := map[string]any{"title": "four", "list": []any{1, 2}}
	got := fmt.Sprintf("%+v", InputFor(found[0], "alice", "run", []string{"a", "b"}, args))
	if want := "{Principal:alice Door:run Actions:[a b] Action:a Version:2.0.0 RiskLevel:high SideEffects:[http_write] Secrets:[ONE TWO] " +
		"Hosts:[api.example.com *.example.org:8443] Tags:[t] ArgSizes:map[list:5 title:4] Args:map[]}"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if in := InputFor(found[1], "alice", "run", []string{"b"}, args); in.Args["title"] != "four" {
		t.Errorf("%+v: the manifest says policy_args", in)
	}
}
