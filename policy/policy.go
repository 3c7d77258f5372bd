// Package policy answers two questions with Rego rules: may this action run,
// and with which of its secrets and hosts (data.latchgate.action); and may this
// request go out (data.latchgate.request, where somebody wrote one).
//
// Make an Engine with New and call Action and Request; their answer is always a
// Decision, and everything that goes wrong in a rule is a Decision that denies.
// Reload puts another policy in force, or leaves the old one there and says why.
//
// What a rule sees is the JSON of ActionInput or RequestInput: names, never a
// secret's value. Do not add a field that could hold one. What a rule approves
// is cut down to what the manifest declares, here and not in Rego.
package policy

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchgate/latchgate/audit"
)

// The rules that decide, by their full names.
const (
	actionRule  = "data.latchgate.action"
	requestRule = "data.latchgate.request"
)

// defaultTimeout is how long a rule may think.
const defaultTimeout = 100 * time.Millisecond

// Options say which policy is meant. The zero value is the built-in one.
type Options struct {
	// Dirs hold *.rego, *_test.rego and data.json or data.yaml; names that begin
	// with a dot are passed over. Empty: the built-in policy.
	Dirs []string
	// Data is found by rules below data.latchgate. The built-in policy knows
	// preset (see [Presets]), allow, deny, deny_secrets and deny_hosts, and takes
	// no other key.
	Data map[string]any
	// Timeout bounds one evaluation; 0 is 100 ms.
	Timeout time.Duration
	// Registerer and Logger are read by New alone; nil is none.
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Audit gets an event for each decision; read by New alone, nil is none.
	Audit *audit.Log
}

// Engine decides by the policy in force. It is safe for concurrent use and
// holds nothing that needs closing.
type Engine struct {
	rules     atomic.Pointer[ruleset]
	reloading sync.Mutex // one Reload at a time, so that the last one asked for wins
	metrics   *metrics
	log       *slog.Logger
	audit     *audit.Log
}

// New compiles the policy and runs its tests. An error names file and line.
func New(ctx context.Context, o Options) (*Engine, error) {
	rules, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{metrics: newMetrics(o.Registerer), log: o.Logger, audit: o.Audit}
	e.rules.Store(rules)
	return e, nil
}

// Reload compiles the policy that o says, runs its tests and puts it in force
// for the evaluations that begin after that. On an error the old policy stays.
func (e *Engine) Reload(ctx context.Context, o Options) error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	rules, err := load(ctx, o)
	if err != nil {
		return err
	}
	e.rules.Store(rules)
	return nil
}

// Action decides whether an action of a run may be opened. An error, a timeout
// and an undefined decision deny. Equal inputs are answered from a cache as in
// [Engine.Request]: what the decision lists is shared, and not to be changed.
func (e *Engine) Action(ctx context.Context, in ActionInput) Decision {
	d := e.decideAction(ctx, e.rules.Load(), in)
	e.decided(d, audit.Event{Principal: in.Principal, Actions: in.Actions, Action: in.Action, Secrets: d.ApprovedSecrets})
	return d
}

// decided counts a decision and puts it into the record.
func (e *Engine) decided(d Decision, about audit.Event) {
	e.metrics.count(d)
	about.Kind, about.Code, about.Reason = audit.Policy, string(d.Code), d.Reason
	e.audit.Record(about)
}

func (e *Engine) action(ctx context.Context, r *ruleset, in ActionInput, watch topdown.QueryTracer) Decision {
	input, err := in.term()
	if err != nil {
		return denyOn(err)
	}
	v, err := e.eval(ctx, r, r.action, input, watch)
	if err != nil {
		e.log.Error("policy evaluation failed", "rule", actionRule, "action", in.Action, "err", err)
		return denyOn(err)
	}
	d, err := decode(v)
	if err != nil {
		e.log.Error("policy decision refused", "rule", actionRule, "action", in.Action, "err", err)
		return denyOn(err)
	}
	return d.within(in.Secrets, in.Hosts)
}

// HasRequest says whether the policy in force decides on single requests.
func (e *Engine) HasRequest() bool { return e.rules.Load().request != nil }

// Request decides whether one request may go out; without a request rule it
// may. Equal inputs are answered from a cache until the next Reload, unless the
// policy looks at the clock.
func (e *Engine) Request(ctx context.Context, in RequestInput) Decision {
	r := e.rules.Load()
	if r.request == nil {
		return noRequestRule
	}
	d := e.decideRequest(ctx, r, in)
	e.decided(d, in.event())
	return d
}

var noRequestRule = Decision{Allow: true, Reason: "no request rule is defined", Code: CodeAllow}

func (e *Engine) request(ctx context.Context, r *ruleset, in RequestInput, watch topdown.QueryTracer) Decision {
	v, err := e.eval(ctx, r, r.request, in.term(), watch)
	if err != nil {
		e.log.Error("policy evaluation failed", "rule", requestRule, "action", in.Action, "host", in.Host, "err", err)
		return denyOn(err)
	}
	d, err := decode(v)
	if err == nil {
		err = d.forRequest()
	}
	if err != nil {
		e.log.Error("policy decision refused", "rule", requestRule, "action", in.Action, "host", in.Host, "err", err)
		return denyOn(err)
	}
	return d.within(nil, nil)
}

func (e *Engine) eval(ctx context.Context, r *ruleset, query ast.Body, input *ast.Term, watch topdown.QueryTracer) (ast.Value, error) {
	start := time.Now()
	v, err := r.eval(ctx, query, input, watch)
	e.metrics.seconds.Observe(time.Since(start).Seconds())
	return v, err
}
