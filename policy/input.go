package policy

import (
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/manifests"
)

// ActionInput is `input` in data.latchgate.action, under its JSON names. Lists
// that are nil are empty lists in Rego, so that a rule over them is defined.
type ActionInput struct {
	Principal   string         `json:"principal"`      // who opens the run
	Door        string         `json:"door"`           // how: exec, env, run, default or mcp
	Actions     []string       `json:"actions"`        // ids of all actions of the run
	Action      string         `json:"action"`         // the one that is decided on
	Version     string         `json:"version"`        // of its manifest
	RiskLevel   string         `json:"risk_level"`     // low, medium, high or critical
	SideEffects []string       `json:"side_effects"`   // as declared
	Secrets     []string       `json:"secrets"`        // names of the declared secrets
	Hosts       []string       `json:"hosts"`          // patterns of the declared hosts
	Tags        []string       `json:"tags"`           // as declared
	ArgSizes    map[string]int `json:"arg_sizes"`      // argument names, and bytes: of text its own, else of its JSON
	Args        map[string]any `json:"args,omitempty"` // arguments, only where the manifest says policy_args
}

// InputFor is the input on one action of a run. The arguments are those of an
// execution, nil where there is none.
func InputFor(m *manifests.Manifest, principal, door string, actions []string, args map[string]any) ActionInput {
	in := ActionInput{
		Principal: principal, Door: door, Actions: actions, Action: m.ActionID, Version: m.Version,
		RiskLevel: string(m.RiskLevel), SideEffects: m.DeclaredSideEffects, Tags: m.Tags, ArgSizes: argSizes(args),
	}
	for _, h := range m.Egress.AllowedDomains {
		in.Hosts = append(in.Hosts, h.String())
	}
	for _, s := range m.Secrets {
		in.Secrets = append(in.Secrets, s.Name)
	}
	if m.PolicyArgs {
		in.Args = args
	}
	return in
}

func argSizes(args map[string]any) map[string]int {
	if len(args) == 0 {
		return nil
	}
	sizes := make(map[string]int, len(args))
	for name, v := range args {
		sizes[name] = SizeOf(v)
	}
	return sizes
}

// SizeOf is the size in bytes of an argument: of text its own, of anything else
// that of its JSON.
func SizeOf(v any) int {
	if s, ok := v.(string); ok {
		return len(s)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	return len(raw)
}

// RequestInput is `input` in data.latchgate.request, under its JSON names.
type RequestInput struct {
	Principal string   `json:"principal"` // who opened the run
	Run       string   `json:"run"`       // id of the run
	Actions   []string `json:"actions"`   // ids of all actions of the run
	Action    string   `json:"action"`    // the one whose manifest allows the request
	Scheme    string   `json:"scheme"`    // http or https
	Host      string   `json:"host"`      // canonical, without port
	Port      int      `json:"port"`
	Method    string   `json:"method"`
	Path      string   `json:"path"` // canonical, without the query and before anything is stamped on it
}

// event is what the record says of a decision on in. The path is left out: it
// may hold anything.
func (in *RequestInput) event() audit.Event {
	return audit.Event{Run: in.Run, Principal: in.Principal, Action: in.Action, Host: in.Host, Method: in.Method}
}

// term builds what a rule sees without going through JSON, which would be most
// of the time of an evaluation.
func (in *ActionInput) term() (*ast.Term, error) {
	items := [][2]*ast.Term{
		text("principal", in.Principal),
		text("door", in.Door),
		list("actions", in.Actions),
		text("action", in.Action),
		text("version", in.Version),
		text("risk_level", in.RiskLevel),
		list("side_effects", in.SideEffects),
		list("secrets", in.Secrets),
		list("hosts", in.Hosts),
		list("tags", in.Tags),
		{ast.InternedTerm("arg_sizes"), sizes(in.ArgSizes)},
	}
	if in.Args != nil {
		args, err := ast.InterfaceToValue(in.Args)
		if err != nil {
			return nil, fmt.Errorf("arguments are not JSON: %w", err)
		}
		items = append(items, [2]*ast.Term{ast.InternedTerm("args"), ast.NewTerm(args)})
	}
	return ast.ObjectTerm(items...), nil
}

func (in *RequestInput) term() *ast.Term {
	return ast.ObjectTerm(
		text("principal", in.Principal),
		text("run", in.Run),
		list("actions", in.Actions),
		text("action", in.Action),
		text("scheme", in.Scheme),
		text("host", in.Host),
		[2]*ast.Term{ast.InternedTerm("port"), ast.InternedTerm(in.Port)},
		text("method", in.Method),
		text("path", in.Path),
	)
}

func text(key, value string) [2]*ast.Term {
	return [2]*ast.Term{ast.InternedTerm(key), ast.StringTerm(value)}
}

func list(key string, values []string) [2]*ast.Term {
	terms := make([]*ast.Term, len(values))
	for i, v := range values {
		terms[i] = ast.StringTerm(v)
	}
	return [2]*ast.Term{ast.InternedTerm(key), ast.ArrayTerm(terms...)}
}

func sizes(m map[string]int) *ast.Term {
	items := make([][2]*ast.Term, 0, len(m))
	for name, n := range m {
		items = append(items, [2]*ast.Term{ast.StringTerm(name), ast.InternedTerm(n)})
	}
	return ast.ObjectTerm(items...)
}
