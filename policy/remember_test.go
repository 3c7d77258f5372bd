package policy

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// counted is how many decisions on actions the engine remembers.
func counted(t *testing.T, e *Engine) int {
	t.Helper()
	r := e.rules.Load().actions
	if r == nil {
		return 0
	}
	return r.cache.Len()
}

// The rule says all that it sees, so one decision taken for another shows.
func TestNoActionGetsTheDecisionOnAnother(t *testing.T) {
	echo := rules(t, `action := {"allow": true, "reason": json.marshal(input)}`)
	e := engine(t, echo)
	seen := map[string]int{}
	for i, change := range []func(*ActionInput){
		func(*ActionInput) {},
		func(in *ActionInput) { in.Principal = "bob" },
		func(in *ActionInput) { in.Door = "run" },
		func(in *ActionInput) { in.Actions = []string{"github_create_issue"} },
		func(in *ActionInput) { in.Actions = []string{"github_create_issue,github_search"} },
		func(in *ActionInput) { in.Actions = nil },
		func(in *ActionInput) { in.Action = "github_search" },
		func(in *ActionInput) { in.Version = "1.0.1" },
		func(in *ActionInput) { in.RiskLevel = "high" },
		func(in *ActionInput) { in.SideEffects = nil },
		func(in *ActionInput) {
			in.SideEffects, in.Secrets = []string{"http_write", "GITHUB_TOKEN"}, []string{"OTHER"}
		},
		func(in *ActionInput) { in.Secrets = []string{"OTHER", "GITHUB_TOKEN"} },
		func(in *ActionInput) { in.Hosts = in.Hosts[:1] },
		func(in *ActionInput) { in.Hosts, in.Tags = in.Hosts[:1], []string{in.Hosts[1], "coding"} },
		func(in *ActionInput) { in.Tags = []string{"coding", ""} },
		func(in *ActionInput) { in.ArgSizes["body"]++ },
		func(in *ActionInput) { in.ArgSizes["more"] = 0 },
		func(in *ActionInput) { in.ArgSizes = nil },
		func(in *ActionInput) { in.Args = map[string]any{"title": "x"} },
		func(in *ActionInput) { in.Args = map[string]any{"title": "y"} },
		func(in *ActionInput) { in.Args = map[string]any{} },
	} {
		in := issue("low")
		in.ArgSizes = maps.Clone(in.ArgSizes)
		change(&in)
		first, again := e.Action(t.Context(), in), e.Action(t.Context(), in)
		if fresh := engine(t, echo).Action(t.Context(), in); first.Reason != fresh.Reason || again.Reason != fresh.Reason {
			t.Errorf("change %d:\n\t%s\n\t%s\nwant\n\t%s", i, first.Reason, again.Reason, fresh.Reason)
		}
		if before, taken := seen[first.Reason]; taken {
			t.Errorf("change %d is the same as change %d", i, before)
		}
		seen[first.Reason] = i
	}
}

func TestEqualActionsAreDecidedOnceUntilAReload(t *testing.T) {
	e := engine(t, rules(t, `action := {"allow": true, "reason": "first"}`))
	for range 3 {
		e.Action(t.Context(), issue("low"))
	}
	if n := counted(t, e); n != 1 {
		t.Errorf("%d decisions remembered", n)
	}
	if err := e.Reload(t.Context(), rules(t, `action := {"allow": false, "reason": "second"}`)); err != nil {
		t.Fatal(err)
	}
	if d := e.Action(t.Context(), issue("low")); d.Allow || d.Reason != "second" {
		t.Errorf("after the reload: %+v", d)
	}
}

func TestAFailedDecisionOnAnActionIsNotRemembered(t *testing.T) {
	e := engine(t, rules(t, `action := {"allow": true} if input.risk_level == "high"`))
	if d := e.Action(t.Context(), issue("low")); d.Code != CodeError || counted(t, e) != 0 {
		t.Errorf("%+v, %d remembered", d, counted(t, e))
	}
}

// A policy that can't tell executions apart by their arguments decides once.
func TestArgumentsCountWhereARuleMayLookAtThem(t *testing.T) {
	for rego, want := range map[string][2]bool{ // arg_sizes, args
		`action := {"allow": true}`: {},
		`action := {"allow": input.risk_level == "low", "approved_secrets": [s | some s in input.secrets]}`:                         {},
		`action := {"allow": input.arg_sizes.body < 10000}`:                                                                         {true, false},
		`action := {"allow": input["args"].title != "x"}`:                                                                           {false, true},
		`action := {"allow": true} if not input.args.x`:                                                                             {false, true},
		`action := {"allow": true} if { every n, s in input.arg_sizes { s < 10000; n != "" } }`:                                     {true, false},
		`action := {"allow": true} if { some k; input[k] == "low" }`:                                                                {true, true},
		`action := {"allow": true} if { k := concat("_", ["arg", "sizes"]); input[k].body == 2048 }`:                                {true, true},
		"field := \"args\"\naction := {\"allow\": true} if { not input[field].x }":                                                  {true, true},
		`action := {"allow": object.get(input, "args", {}) == {}}`:                                                                  {true, true},
		`action := {"allow": count(input) > 3}`:                                                                                     {true, true},
		`action := {"allow": true} if { all := input; all.risk_level == "low" }`:                                                    {true, true},
		`action := {"allow": true} if { walk(input, [_, "low"]) }`:                                                                  {true, true},
		`action := {"allow": true} if { [x | some x in input] != [] }`:                                                              {true, true},
		"f(x) := x.risk_level\naction := {\"allow\": f(input) == \"low\"}":                                                          {true, true},
		`action := {"allow": input.tags[input.arg_sizes.zero] == "coding"}`:                                                         {true, false},
		"import input.arg_sizes as s\naction := {\"allow\": s.body == 2048}":                                                        {true, false},
		"import input as i\naction := {\"allow\": i.risk_level == \"low\"}":                                                         {},
		"low if input.args.level == \"low\"\naction := {\"allow\": true} if { low with input as {\"args\": {\"level\": \"low\"}} }": {true, true},
	} {
		r := engine(t, rules(t, rego)).rules.Load()
		if got := [2]bool{r.readsSizes, r.readsArgs}; got != want {
			t.Errorf("%s\n\treads %v, want %v", rego, got, want)
		}
	}
	e := engine(t, Options{})
	for i := range 3 {
		in := issue("low")
		in.ArgSizes, in.Args = map[string]int{"title": i}, map[string]any{"title": i}
		e.Action(t.Context(), in)
	}
	if n := counted(t, e); n != 1 {
		t.Errorf("the built-in policy remembers %d decisions", n)
	}
}

func TestNoArgumentIsKept(t *testing.T) {
	e := engine(t, rules(t, `action := {"allow": input.args.title != "y"}`))
	in := issue("low")
	in.Args = map[string]any{"title": "x"}
	e.Action(t.Context(), in)
	if n := counted(t, e); n != 0 {
		t.Errorf("%d decisions remembered", n)
	}
	in.Args = map[string]any{"title": "y"}
	if d := e.Action(t.Context(), in); d.Allow {
		t.Errorf("%+v", d)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	e := engine(t, rules(t, "action := {\"allow\": count(input.arg_sizes) > 0}\nrequest := {\"allow\": true}"))
	r := e.rules.Load()
	for i := range remembered + 100 {
		r.requests.of(requestKey{path: fmt.Sprint(i)}, 10, func() Decision { return Decision{} })
	}
	if n := r.requests.cache.Len(); n != remembered {
		t.Errorf("%d decisions remembered", n)
	}
	r.requests.cache.Purge()
	long := strings.Repeat("x", rememberedSize)
	if d := e.Request(t.Context(), get("/"+long)); !d.Allow || r.requests.cache.Len() != 0 {
		t.Errorf("%+v, %d requests remembered", d, r.requests.cache.Len())
	}
	in := issue("low")
	in.ArgSizes = map[string]int{long: 3}
	if d := e.Action(t.Context(), in); !d.Allow || counted(t, e) != 0 {
		t.Errorf("%+v, %d actions remembered", d, counted(t, e))
	}
}

func TestPolicyThatLooksAtTheClockIsAskedEachTime(t *testing.T) {
	for _, rego := range []string{
		`RULE := {"allow": true, "reason": sprintf("%d", [time.now_ns()])}`,
		"late if time.clock(time.now_ns())[0] > 25\nRULE := {\"allow\": true, \"reason\": r} if { not late; r := sprintf(\"%d\", [time.now_ns()]) }",
		"f(x) := sprintf(\"%d\", [x + time.now_ns()])\nRULE := {\"allow\": true, \"reason\": f(1)}",
	} {
		e := engine(t, rules(t, `action := {"allow": true}`+"\n"+strings.ReplaceAll(rego, "RULE", "request")))
		if a, b := e.Request(t.Context(), get("/")), e.Request(t.Context(), get("/")); !a.Allow || a.Reason == b.Reason {
			t.Errorf("%s\n\t%+v\n\t%+v", rego, a, b)
		}
		e = engine(t, rules(t, strings.ReplaceAll(rego, "RULE", "action")))
		if a, b := e.Action(t.Context(), issue("low")), e.Action(t.Context(), issue("low")); !a.Allow || a.Reason == b.Reason {
			t.Errorf("%s\n\t%+v\n\t%+v", rego, a, b)
		}
	}
}

// OPA does not count these among the functions whose result changes, and a
// certificate expires.
func TestPolicyThatVerifiesCertificatesIsAskedEachTime(t *testing.T) {
	for _, call := range []string{
		`crypto.x509.parse_and_verify_certificates(input.action)`,
		`crypto.x509.parse_and_verify_certificates_with_options(input.action, {})`,
	} {
		e := engine(t, rules(t, "valid if "+call+"[0]\n"+`action := {"allow": true} if not valid`))
		if d := e.Action(t.Context(), issue("low")); !d.Allow || e.rules.Load().actions != nil {
			t.Errorf("%s: %+v, and it is remembered", call, d)
		}
	}
}

var benchData = map[string]any{"allow": []string{"slack_*"}, "deny": []string{"aws_*"}, "deny_hosts": []string{"evil.example"}}

// BenchmarkAction is a decision on an action that nobody asked for before.
func BenchmarkAction(b *testing.B) {
	e := engine(b, Options{Data: benchData})
	r, in := e.rules.Load(), issue("low")
	b.ReportAllocs()
	for b.Loop() {
		if !e.action(b.Context(), r, in, nil).Allow {
			b.Fatal("denied")
		}
	}
}

func BenchmarkActionCached(b *testing.B) {
	e := engine(b, Options{Data: benchData})
	in := issue("low")
	b.ReportAllocs()
	for b.Loop() {
		if !e.Action(b.Context(), in).Allow {
			b.Fatal("denied")
		}
	}
}
