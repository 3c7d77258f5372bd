package mcp

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/latchgate/latchgate/gate"
)

// Filter says which actions become tools. The zero value lets all through.
type Filter struct {
	// Actions are ids, in which * stands for any text. Empty: all.
	Actions []string
	// Tags: an action needs one of them. Empty: none is needed.
	Tags []string
}

func (f *Filter) lets(a *gate.ActionStatus) bool {
	named := func(pattern string) bool {
		ok, err := path.Match(pattern, a.ID) // an id holds no slash
		return ok && err == nil
	}
	tagged := func(tag string) bool { return slices.Contains(a.Tags, tag) }
	return (len(f.Actions) == 0 || slices.ContainsFunc(f.Actions, named)) && (len(f.Tags) == 0 || slices.ContainsFunc(f.Tags, tagged))
}

// toolOf describes an action to a client and its model.
func toolOf(a *gate.ActionStatus) *sdk.Tool {
	var about []string
	if a.Description != "" {
		about = append(about, a.Description)
	}
	if len(a.Hosts) > 0 {
		about = append(about, "Reaches "+strings.Join(a.Hosts, ", ")+".")
	}
	if len(a.Secrets) > 0 {
		about = append(about, "The credential is added on the way.")
	}
	if a.RiskLevel != "" {
		about = append(about, fmt.Sprintf("Risk: %s.", a.RiskLevel))
	}
	schema := maps.Clone(a.RequestSchema)
	if schema == nil {
		schema = map[string]any{}
	}
	if schema["type"] == nil {
		schema["type"] = "object" // which the gate takes and the protocol demands
	}
	return &sdk.Tool{Name: a.ID, Description: strings.Join(about, " "), InputSchema: schema, Annotations: hints(a)}
}

// hints are what a client may show or decide by before a call. What an action
// does not declare counts as the worse.
func hints(a *gate.ActionStatus) *sdk.ToolAnnotations {
	grave := a.RiskLevel == "high" || a.RiskLevel == "critical"
	reads := !grave && onlyReads(a)
	destroys := !reads && (grave || !onlyAdds(a))
	open := len(a.Hosts) > 0
	return &sdk.ToolAnnotations{
		ReadOnlyHint:    reads,
		DestructiveHint: &destroys,
		IdempotentHint:  reads || only(a.Methods, "GET", "HEAD", "OPTIONS", "PUT", "DELETE"), // RFC 9110 section 9.2.2
		OpenWorldHint:   &open,
	}
}

// onlyReads goes by the declared side effects, because a search may well be a
// POST, and by the methods where none are declared. A method that deletes or
// replaces belies them.
func onlyReads(a *gate.ActionStatus) bool {
	if len(a.SideEffects) == 0 {
		return only(a.Methods, "GET", "HEAD", "OPTIONS")
	}
	return !slices.ContainsFunc(a.SideEffects, func(effect string) bool { return effect != "none" && !strings.HasSuffix(effect, "_read") }) &&
		(len(a.Methods) == 0 || only(a.Methods, "GET", "HEAD", "OPTIONS", "POST"))
}

// onlyAdds: creating is no destruction, changing and removing are.
func onlyAdds(a *gate.ActionStatus) bool {
	return only(a.Methods, "GET", "HEAD", "OPTIONS", "POST") &&
		!slices.ContainsFunc(a.SideEffects, func(effect string) bool { return strings.Contains(effect, "delete") })
}

// only reports whether methods are declared, and none but these.
func only(methods []string, these ...string) bool {
	return len(methods) > 0 && !slices.ContainsFunc(methods, func(m string) bool { return !slices.Contains(these, m) })
}
