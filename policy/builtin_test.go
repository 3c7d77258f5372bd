package policy

import (
	"context"
	"strings"
	"testing"
)

func TestBuiltinPolicyPassesItsOwnTests(t *testing.T) {
	results, err := Test(context.Background(), Options{Data: map[string]any{"deny": []string{"*"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != strings.Count(builtinTests, "\ntest_") {
		t.Errorf("%d tests ran", len(results))
	}
	for _, r := range results {
		if !r.Pass || r.Line == 0 || !strings.HasPrefix(r.Name, "latchgate_test.test_") {
			t.Errorf("%s:%d: %s: %s\n%s", r.File, r.Line, r.Name, r.Error, r.Output)
		}
	}
}

func TestBuiltinPolicyTakesOnlyDataThatItReads(t *testing.T) {
	for name, c := range map[string]struct {
		data map[string]any
		want string
	}{
		"unknown key":        {map[string]any{"denny": []string{"x"}}, "policy.data.denny: unknown key of the built-in policy; the nearest valid one is deny"},
		"nearest of another": {map[string]any{"deny-host": []string{}}, "the nearest valid one is deny_hosts"},
		"unknown preset":     {map[string]any{"preset": "paranoid"}, `policy.data.preset: there is no preset "paranoid"; write one of strict, standard, open`},
		"preset as a list":   {map[string]any{"preset": []any{"strict"}}, "write one of strict, standard, open"},
		"nearest to preset":  {map[string]any{"pre_set": "strict"}, "the nearest valid one is preset"},
		"rule":               {map[string]any{"action": map[string]any{"allow": true}}, "policy.data.action: unknown key"},
		"text for a list":    {map[string]any{"deny": "github_*"}, "policy.data.deny: write a list of strings"},
		"nothing":            {map[string]any{"deny": nil}, "write a list of strings"},
		"number in a list":   {map[string]any{"deny": []any{"x", 1}}, "element 2 is 1"},
		"pattern":            {map[string]any{"deny": []any{"github_?"}}, `"github_?"`},
		"empty pattern":      {map[string]any{"deny_secrets": []any{""}}, `policy.data.deny_secrets: ""`},
		"glob braces":        {map[string]any{"allow": []any{"{a,b}"}}, "wildcard *"},
		"host with port":     {map[string]any{"deny_hosts": []any{"example.com:443"}}, "without a port"},
		"host as URL":        {map[string]any{"deny_hosts": []any{"https://example.com"}}, "write a host"},
		"star in a host":     {map[string]any{"deny_hosts": []any{"api.*.com"}}, "write a host"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), Options{Data: c.data})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestBuiltinRegoIsAStartForOnesOwn(t *testing.T) {
	dir := folder(t, map[string]string{"latchgate.rego": BuiltinRego(), "latchgate_test.rego": builtinTests})
	e := engine(t, Options{Dirs: []string{dir}})
	if d := e.Action(t.Context(), issue("high")); d.Code != CodeApproval {
		t.Errorf("%+v", d)
	}
}

func TestResultsOfPolicyTestsSayWhatHappenedWhere(t *testing.T) {
	dir := folder(t, map[string]string{
		"p.rego": permit,
		"p_test.rego": `package t
test_a_passes if data.latchgate.action.allow
test_b_fails if { print("because", 7); not data.latchgate.action.allow }
todo_test_c_later if false
test_d_errs if to_number("x") == 1
test_e_sees_data if data.latchgate.team == "core"`,
	})
	results, err := Test(t.Context(), Options{Dirs: []string{dir}, Data: map[string]any{"team": "core"}})
	if err != nil || len(results) != 5 {
		t.Fatalf("%v, %+v", err, results)
	}
	for i, want := range []TestResult{
		{Name: "t.test_a_passes", Pass: true}, {Name: "t.test_b_fails", Output: "because 7\n"},
		{Name: "t.todo_test_c_later", Skip: true}, {Name: "t.test_d_errs"}, {Name: "t.test_e_sees_data", Pass: true},
	} {
		got := results[i]
		if got.Name != want.Name || got.Pass != want.Pass || got.Skip != want.Skip || got.Output != want.Output ||
			got.Line != i+2 || !strings.HasSuffix(got.File, "p_test.rego") {
			t.Errorf("%+v", got)
		}
	}
	if results[3].Error == "" {
		t.Error("no error for a test that cannot be evaluated")
	}
}
