package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/proxy"
)

// question is what `policy eval` is asked.
type question struct {
	actions         []string
	principal, door string
	url, method     string
	inputFile, rule string
	words           []string // key=value
	asJSON          bool
	engine          *policy.Engine
}

func (a *app) policyEvalCommand() *cobra.Command {
	var q question
	c := &cobra.Command{
		Use:   "eval {--action A... [--url URL [--method M]] [key=value ...] | --input FILE}",
		Short: "Say what the policy would decide, and which rule says so",
		Long: `Say what would happen, without opening a run: allow, deny or approval, the reason,
the secrets and hosts that are approved, the rule that decides by file and line,
and the entries of [policy.data] that fit. The policy and the manifests are those
of the configuration as it is on disk now.

With --url also what becomes of that request of such a run: whether a manifest
allows it, which secrets cover it, and what the request policy says.

--input evaluates an input as a rule sees it (--json prints those that were
made). The exit status is 1 where the policy fails to decide, which denies.`,
		Example: `  latchgate policy eval --action github_create_issue
  latchgate policy eval --action github --principal user:ci --door env
  latchgate policy eval --action github --url https://api.github.com/user --method GET
  latchgate policy eval --action github_get_repo owner=golang repo=go --json
  latchgate policy eval --input input.json --rule request`,
		RunE: func(c *cobra.Command, words []string) error {
			q.words = words
			return a.evalPolicy(c, &q)
		},
	}
	f := c.Flags()
	f.StringSliceVarP(&q.actions, "action", "a", nil, "action of the run; repeat it for a run of several")
	f.StringVar(&q.principal, "principal", "", "who opens the run (default: you)")
	f.StringVar(&q.door, "door", "", "how: exec, env, run, mcp or default (default: exec; run with arguments)")
	f.StringVar(&q.url, "url", "", "a request of the run")
	f.StringVar(&q.method, "method", "GET", "method of that request")
	f.StringVar(&q.inputFile, "input", "", "file with an input in JSON, - for standard input")
	f.StringVar(&q.rule, "rule", "action", "rule that --input is for: action or request")
	f.BoolVar(&q.asJSON, "json", false, "print JSON, with the inputs")
	return c
}

// check refuses flags that do not go together.
func (q *question) check() error {
	usage := func(what string) error {
		return &usageError{errors.New(what), "`latchgate policy eval --help` shows what goes together"}
	}
	switch {
	case (q.inputFile != "") == (len(q.actions) > 0):
		return usage("policy eval needs either --action or --input")
	case q.inputFile != "" && (q.url != "" || q.principal != "" || q.door != "" || len(q.words) > 0):
		return usage("--input is the whole input: it goes with --rule alone")
	case q.rule != "action" && q.rule != "request":
		return usage(fmt.Sprintf("--rule is action or request, not %q", q.rule))
	case len(q.words) > 0 && len(q.actions) > 1:
		return usage("arguments go with one action")
	}
	return nil
}

func (a *app) evalPolicy(c *cobra.Command, q *question) error {
	if err := q.check(); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	if q.engine, err = newEngine(c.Context(), cfg); err != nil {
		return err
	}
	var v *verdict
	if q.inputFile != "" {
		v, err = a.evalInput(c.Context(), q)
	} else {
		v, err = q.eval(c.Context(), cfg)
	}
	if err != nil {
		return err
	}
	if q.asJSON {
		err = printJSON(a.out, v)
	} else {
		err = a.printVerdict(v)
	}
	if err == nil && v.Code == policy.CodeError {
		err = withHint(errors.New("the policy fails to decide, which denies"), "the error above says where; `latchgate policy test` runs its tests")
	}
	return err
}

// newEngine is the policy of the configuration, as it is on disk now.
func newEngine(ctx context.Context, cfg *configs.Config) (*policy.Engine, error) {
	e, err := policy.New(ctx, policy.Options{Dirs: cfg.Policy.Dirs, Data: cfg.Policy.Data})
	if err != nil {
		return nil, withHint(fmt.Errorf("policy: %w", err), "mend it; `latchgate proxy` does not start with it")
	}
	return e, nil
}

// verdict is what would happen: the worst of what is decided on each action
// and on the request.
type verdict struct {
	Allow   bool            `json:"allow"`
	Code    policy.Code     `json:"code"`
	Reason  string          `json:"reason"`
	Actions []actionVerdict `json:"actions"`
	Request *requestVerdict `json:"request,omitempty"`
}

type actionVerdict struct {
	Action string `json:"action"`
	policy.Explanation
	DeniedSecrets []string           `json:"denied_secrets"` // of an action that is allowed: declared, and not approved
	DeniedHosts   []string           `json:"denied_hosts"`
	Input         policy.ActionInput `json:"input"`
}

type requestVerdict struct {
	Method string `json:"method"`
	Action string `json:"action,omitempty"` // the one whose manifest allows it
	policy.Explanation
	Refusal string               `json:"refusal,omitempty"` // code that the client gets
	Hint    string               `json:"hint,omitempty"`
	Secrets []string             `json:"secrets"` // with a binding that covers the request
	Blind   bool                 `json:"blind"`   // in a tunnel that is not looked into
	Input   *policy.RequestInput `json:"input,omitempty"`
}

// add takes one more decision into the whole.
func (v *verdict) add(d policy.Decision) {
	rank := []policy.Code{"", policy.CodeAllow, policy.CodeApproval, policy.CodeDeny, policy.CodeError}
	if slices.Index(rank, d.Code) > slices.Index(rank, v.Code) {
		v.Code, v.Reason = d.Code, d.Reason
	}
	v.Allow = v.Code == policy.CodeAllow
}

// eval decides as the gate does: each action, and then the request.
func (q *question) eval(ctx context.Context, cfg *configs.Config) (*verdict, error) {
	catalog, _ := manifests.Load(manifests.LoadOptions{Dirs: cfg.Manifests.Dirs, Bundled: cfg.Manifests.Bundled})
	v := &verdict{}
	run := proxy.RunConfig{Principal: cmp.Or(q.principal, gate.PrincipalOf(uint32(os.Getuid())))}
	for _, id := range q.actions {
		m, ok := catalog.Get(id)
		if !ok {
			return nil, unknownAction(catalog, id)
		}
		door, args := gate.DoorExec, map[string]any(nil)
		if len(q.words) > 0 {
			given, err := gate.CoerceArgs(m.IO.RequestSchema, q.words)
			if err != nil {
				return nil, &usageError{err, fmt.Sprintf("`latchgate actions show %s` shows what it takes", id)}
			}
			door, args = gate.DoorRun, gate.WithDefaults(m.IO.RequestSchema, given)
		}
		av := q.action(ctx, policy.InputFor(m, run.Principal, cmp.Or(q.door, door), q.actions, args))
		av.require(m)
		v.Actions = append(v.Actions, av)
		v.add(av.Decision)
		run.Grants = append(run.Grants, proxy.NewGrant(m, av.ApprovedSecrets, av.ApprovedHosts))
	}
	if q.url == "" || v.Code == policy.CodeDeny || v.Code == policy.CodeError {
		return v, nil
	}
	u, err := url.Parse(q.url)
	if err != nil {
		return nil, &usageError{errors.New("--url is not a URL"), "write it in full: --url https://api.example.com/v1/things"}
	}
	v.Request = q.request(ctx, run, u)
	v.add(v.Request.Decision)
	return v, nil
}

func unknownAction(catalog *manifests.Catalog, id string) error {
	hint := "`latchgate actions list` shows them all"
	if near := catalog.Suggest(id); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return withHint(fmt.Errorf("there is no action %q", id), hint)
}

func (q *question) action(ctx context.Context, in policy.ActionInput) actionVerdict {
	av := actionVerdict{Action: in.Action, Explanation: q.engine.ExplainAction(ctx, in), DeniedSecrets: []string{}, DeniedHosts: []string{}, Input: in}
	if av.Allow {
		av.DeniedSecrets = without(in.Secrets, av.ApprovedSecrets)
		av.DeniedHosts = without(in.Hosts, av.ApprovedHosts)
	}
	return av
}

// require turns an allowed action into a denied one where a secret that it
// can't do without is not approved, as the gate does.
func (av *actionVerdict) require(m *manifests.Manifest) {
	for _, s := range m.Secrets {
		if av.Allow && s.Required && slices.Contains(av.DeniedSecrets, s.Name) {
			av.Decision = policy.Decision{Code: policy.CodeDeny,
				Reason: fmt.Sprintf("the policy does not approve secret %s, which %s requires", s.Name, m.ActionID)}
		}
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(append([]string{}, all...), func(s string) bool { return slices.Contains(some, s) })
}

func (q *question) request(ctx context.Context, run proxy.RunConfig, u *url.URL) *requestVerdict {
	rv := &requestVerdict{Method: strings.ToUpper(q.method), Secrets: []string{}}
	admitted, denied := proxy.Admit(run, rv.Method, u)
	if denied != nil {
		rv.Decision = policy.Decision{Code: policy.CodeDeny, Reason: denied.Message}
		rv.Refusal, rv.Hint = string(denied.Code), denied.Hint
		return rv
	}
	rv.Action, rv.Blind, rv.Input = admitted.Input.Action, admitted.Blind, &admitted.Input
	rv.Secrets = append(rv.Secrets, admitted.Secrets...)
	rv.explain(q.engine.ExplainRequest(ctx, admitted.Input))
	return rv
}

func (rv *requestVerdict) explain(x policy.Explanation) {
	if rv.Explanation = x; !x.Allow {
		rv.Refusal = string(proxy.PolicyDenied)
	}
}

// evalInput decides on an input that somebody wrote.
func (a *app) evalInput(ctx context.Context, q *question) (*verdict, error) {
	raw, err := a.readFile(q.inputFile)
	if err != nil {
		return nil, err
	}
	v := &verdict{}
	if q.rule == "request" {
		var in policy.RequestInput
		if err := decodeInput(raw, &in); err != nil {
			return nil, err
		}
		v.Request = &requestVerdict{Method: in.Method, Action: in.Action, Secrets: []string{}, Input: &in}
		v.Request.explain(q.engine.ExplainRequest(ctx, in))
		v.add(v.Request.Decision)
		return v, nil
	}
	var in policy.ActionInput
	if err := decodeInput(raw, &in); err != nil {
		return nil, err
	}
	v.Actions = []actionVerdict{q.action(ctx, in)}
	v.add(v.Actions[0].Decision)
	return v, nil
}

// decodeInput takes what the gate and the wire could ask, and nothing else: a
// field that they never send would be a rule's only here.
func decodeInput(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return withHint(fmt.Errorf("the input is not one that the rule is asked with: %w", err),
			"docs/policy.md lists its fields; `latchgate policy eval --action A --json` prints one")
	}
	return nil
}
