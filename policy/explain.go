package policy

import (
	"context"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Explanation is a decision with where it comes from. It is not counted and
// not recorded: nobody asked to do anything.
type Explanation struct {
	Rule string `json:"rule"` // data.latchgate.action or data.latchgate.request
	Decision
	// Error is the cause of a CodeError, with file and line.
	Error string `json:"error,omitempty"`
	// DecidedBy are the definitions of Rule that held; empty where none did.
	DecidedBy []Place `json:"decided_by"`
	// Used are the other rules whose condition held on the way, in the order of
	// the files.
	Used []Place `json:"used"`
	// Matches are the entries of [policy.data] that fitted the input. The
	// built-in policy names them, and one's own does where it defines a set
	// data.latchgate.matches of such objects.
	Matches []Match `json:"matches"`
}

// Place is a rule in a file of the policy.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Rule string `json:"rule"` // its name
}

// Match is one entry of [policy.data] and what of the input it fits.
type Match struct {
	Key   string `json:"key"`
	Entry string `json:"entry"`
	Name  string `json:"name"`
}

// ExplainAction decides as [Engine.Action] does, and says why.
func (e *Engine) ExplainAction(ctx context.Context, in ActionInput) Explanation {
	r := e.rules.Load()
	x := Explanation{Rule: actionRule}
	seen := heldRules{}
	x.Decision = e.action(ctx, r, in, seen)
	x.from(seen, actionRef)
	if r.matches == nil || x.Err != nil {
		return x
	}
	if input, err := in.term(); err == nil {
		if v, err := r.eval(ctx, r.matches, input, nil); err == nil {
			x.Matches = decodeMatches(v)
		}
	}
	return x
}

// ExplainRequest decides as [Engine.Request] does, and says why.
func (e *Engine) ExplainRequest(ctx context.Context, in RequestInput) Explanation {
	r := e.rules.Load()
	x := Explanation{Rule: requestRule}
	seen := heldRules{}
	if x.Decision = noRequestRule; r.request != nil {
		x.Decision = e.request(ctx, r, in, seen)
	}
	x.from(seen, requestRef)
	return x
}

// from sorts what held into the rule that was asked and the others.
func (x *Explanation) from(seen heldRules, asked ast.Ref) {
	x.DecidedBy, x.Used, x.Matches = []Place{}, []Place{}, []Match{}
	if x.Err != nil {
		x.Error = x.Err.Error()
	}
	for _, rule := range seen.inOrder() {
		place := Place{File: rule.Location.File, Line: rule.Location.Row, Rule: rule.Ref().GroundPrefix().String()}
		if rule.Ref().GroundPrefix().HasPrefix(asked) {
			x.DecidedBy = append(x.DecidedBy, place)
		} else if !rule.Body.Equal(always) {
			x.Used = append(x.Used, place)
		}
	}
}

// always is the body of a rule without a condition.
var always = ast.NewBody(ast.NewExpr(ast.BooleanTerm(true)))

// decodeMatches reads the set; what is not of its form is somebody's own rule
// of that name, with a meaning of its own.
func decodeMatches(v ast.Value) []Match {
	matches := []Match{}
	set, ok := v.(ast.Set)
	if !ok {
		return matches
	}
	set.Foreach(func(t *ast.Term) {
		var m Match
		if err := ast.As(t.Value, &m); err == nil && m.Key != "" {
			matches = append(matches, m)
		}
	})
	return matches
}

// heldRules collects the rules whose body was true in an evaluation. A rule is
// kept once, however often it held.
type heldRules map[*ast.Rule]bool

// Enabled, Config and TraceEvent satisfy topdown.QueryTracer.
func (heldRules) Enabled() bool               { return true }
func (heldRules) Config() topdown.TraceConfig { return topdown.TraceConfig{} }
func (h heldRules) TraceEvent(ev topdown.Event) {
	if rule, ok := ev.Node.(*ast.Rule); ok && ev.Op == topdown.ExitOp && rule.Location != nil {
		h[rule] = true
	}
}

func (h heldRules) inOrder() []*ast.Rule {
	rules := make([]*ast.Rule, 0, len(h))
	for r := range h {
		rules = append(rules, r)
	}
	slices.SortFunc(rules, func(a, b *ast.Rule) int { return a.Location.Compare(b.Location) })
	return rules
}
