package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Code is the kind of a decision, and its metric label.
type Code string

// The kinds of decision.
const (
	CodeAllow    Code = "allow"
	CodeDeny     Code = "deny"     // a rule said no
	CodeApproval Code = "approval" // allowed once a person approves
	CodeError    Code = "error"    // denied: the rule failed, took too long, is undefined or answers nonsense
)

// Decision is what a rule answers. The zero value denies.
type Decision struct {
	// Allow is false unless the rule says true.
	Allow bool `json:"allow"`
	// Reason is for people, and may reach the agent.
	Reason string `json:"reason"`
	// ApprovedSecrets and ApprovedHosts are those of the input's, in its order,
	// that the run may have: all of them where the rule does not say. Empty
	// where Allow is false.
	ApprovedSecrets []string `json:"approved_secrets"`
	ApprovedHosts   []string `json:"approved_hosts"`
	// RequireApproval with Allow: a person has to agree first. Never true where
	// Allow is false.
	RequireApproval bool `json:"require_approval"`
	// Code sums it up.
	Code Code `json:"code"`
	// Err is the cause of a CodeError, with file and line, for the operator.
	Err error `json:"-"`

	secretsSaid, hostsSaid bool // the rule named approved_secrets, approved_hosts
}

// Causes of a CodeError.
var (
	// ErrUndefined: the rule has no value for this input.
	ErrUndefined = errors.New("the policy makes no decision on this")
	// ErrTimeout: the rule took longer than Options.Timeout.
	ErrTimeout = errors.New("the policy took too long to decide")
	// ErrNotADecision: the rule's value is not an object of the known keys and types.
	ErrNotADecision = errors.New("the policy's answer is not a decision")
)

// denyOn is the decision on an evaluation that failed. Its reason leaves the
// details to Err: they quote the policy and what it saw.
func denyOn(err error) Decision {
	reason := "the policy failed to decide"
	for _, known := range []error{ErrUndefined, ErrTimeout, ErrNotADecision} {
		if errors.Is(err, known) {
			reason = known.Error()
		}
	}
	return Decision{Reason: reason, Code: CodeError, Err: err}
}

// decode reads a rule's answer strictly: a key that is misspelt must not pass
// for one that was left out, because leaving approved_secrets out approves all.
func decode(v ast.Value) (Decision, error) {
	var d Decision
	obj, ok := v.(ast.Object)
	if !ok {
		return d, fmt.Errorf("%w: it is of type %s, not an object", ErrNotADecision, ast.ValueName(v))
	}
	err := obj.Iter(func(k, v *ast.Term) error {
		name, _ := k.Value.(ast.String)
		switch name {
		case "allow":
			return decodeBool(&d.Allow, name, v)
		case "require_approval":
			return decodeBool(&d.RequireApproval, name, v)
		case "reason":
			s, ok := v.Value.(ast.String)
			if !ok {
				return fmt.Errorf("%w: reason is not a string", ErrNotADecision)
			}
			d.Reason = string(s)
			return nil
		case "approved_secrets":
			d.secretsSaid = true
			return decodeNames(&d.ApprovedSecrets, name, v)
		case "approved_hosts":
			d.hostsSaid = true
			return decodeNames(&d.ApprovedHosts, name, v)
		}
		return fmt.Errorf("%w: unknown key %s; the nearest valid one is %s", ErrNotADecision, k,
			nearest(string(name), []string{"allow", "reason", "approved_secrets", "approved_hosts", "require_approval"}))
	})
	if err != nil {
		return Decision{}, err
	}
	return d, nil
}

func decodeBool(to *bool, name ast.String, t *ast.Term) error {
	b, ok := t.Value.(ast.Boolean)
	if !ok {
		return fmt.Errorf("%w: %s is not true or false", ErrNotADecision, string(name))
	}
	*to = bool(b)
	return nil
}

// decodeNames reads an array or a set of strings.
func decodeNames(to *[]string, name ast.String, t *ast.Term) error {
	add := func(t *ast.Term) error {
		s, ok := t.Value.(ast.String)
		if !ok {
			return fmt.Errorf("%w: %s holds something that is not a string", ErrNotADecision, string(name))
		}
		*to = append(*to, string(s))
		return nil
	}
	switch list := t.Value.(type) {
	case *ast.Array:
		return list.Iter(add)
	case ast.Set:
		return list.Iter(add)
	}
	return fmt.Errorf("%w: %s is not a list of strings", ErrNotADecision, string(name))
}

// forRequest refuses what only makes sense for an action: nobody waits for an
// approval on the wire, and ignoring the wish would let the request through.
func (d Decision) forRequest() error {
	if d.RequireApproval || d.secretsSaid || d.hostsSaid {
		return fmt.Errorf("%w: a request rule answers allow and reason only", ErrNotADecision)
	}
	return nil
}

// within finishes a decision: what it approves is never more than what is
// declared, and a denial approves nothing and waits for nobody.
func (d Decision) within(secrets, hosts []string) Decision {
	if !d.Allow {
		if d.Reason == "" {
			d.Reason = "the policy gives no reason"
		}
		return Decision{Reason: d.Reason, Code: CodeDeny}
	}
	out := Decision{
		Allow: true, Reason: d.Reason, RequireApproval: d.RequireApproval, Code: CodeAllow,
		ApprovedSecrets: intersect(secrets, d.ApprovedSecrets, d.secretsSaid),
		ApprovedHosts:   intersect(hosts, d.ApprovedHosts, d.hostsSaid),
	}
	if out.RequireApproval {
		out.Code = CodeApproval
	}
	return out
}

func intersect(declared, approved []string, said bool) []string {
	out := make([]string, 0, len(declared))
	for _, name := range declared {
		if !said || slices.Contains(approved, name) {
			out = append(out, name)
		}
	}
	return out
}
