package policy

import (
	_ "embed"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/latchgate/latchgate/manifests"
)

var (
	//go:embed rego/latchgate.rego
	builtinRego string
	//go:embed rego/latchgate_test.rego
	builtinTests string
)

// BuiltinRego returns the text of the policy that is in force without folders,
// as a start for one's own.
func BuiltinRego() string { return builtinRego }

// Presets are the values of policy.data.preset, from the narrowest: what the
// built-in policy lets each risk level do.
var Presets = []string{"strict", "standard", "open"}

// builtinLists are the lists of [policy.data] that the built-in policy reads,
// and how an entry becomes what its rules compare. An entry that could never
// match is an error: on a deny list it would deny nothing.
var builtinLists = map[string]func(string) (string, error){
	"allow":        globPattern,
	"deny":         globPattern,
	"deny_secrets": globPattern,
	"deny_hosts":   hostPattern,
}

func builtin(data map[string]any) (*source, error) {
	checked, err := checkData(data)
	if err != nil {
		return nil, err
	}
	opts := ast.ParserOptions{RegoVersion: ast.RegoV1}
	rules, err := ast.ParseModuleWithOpts("builtin:latchgate.rego", builtinRego, opts)
	if err != nil {
		return nil, err
	}
	tests, err := ast.ParseModuleWithOpts("builtin:latchgate_test.rego", builtinTests, opts)
	if err != nil {
		return nil, err
	}
	return &source{
		modules: map[string]*ast.Module{"builtin:latchgate.rego": rules},
		tests:   map[string]*ast.Module{"builtin:latchgate_test.rego": tests},
		data:    map[string]any{"latchgate": checked},
	}, nil
}

// checkData takes what the built-in policy reads and nothing else.
func checkData(data map[string]any) (map[string]any, error) {
	checked := make(map[string]any, len(data))
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if key == "preset" {
			preset, ok := data[key].(string)
			if !ok || !slices.Contains(Presets, preset) {
				return nil, fmt.Errorf("policy.data.preset: there is no preset %q; write one of %s", fmt.Sprint(data[key]), strings.Join(Presets, ", "))
			}
			checked[key] = preset
			continue
		}
		normal, ok := builtinLists[key]
		if !ok {
			return nil, fmt.Errorf("policy.data.%s: unknown key of the built-in policy; the nearest valid one is %s",
				key, nearest(key, append(slices.Sorted(maps.Keys(builtinLists)), "preset")))
		}
		values, err := stringList(data[key])
		if err != nil {
			return nil, fmt.Errorf("policy.data.%s: %w", key, err)
		}
		for i, v := range values {
			if values[i], err = normal(v); err != nil {
				return nil, fmt.Errorf("policy.data.%s: %q: %w", key, v, err)
			}
		}
		checked[key] = values
	}
	return checked, nil
}

func stringList(v any) ([]string, error) {
	switch v := v.(type) {
	case []string:
		return slices.Clone(v), nil
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("write a list of strings; element %d is %v", i+1, e)
			}
			out[i] = s
		}
		return out, nil
	}
	return nil, fmt.Errorf("write a list of strings, such as [\"...\"], not %v", v)
}

var globSyntax = regexp.MustCompile(`^[A-Za-z0-9_.*-]+$`)

// globPattern takes names of actions and secrets, in which * stands for any text.
func globPattern(s string) (string, error) {
	if !globSyntax.MatchString(s) {
		return "", fmt.Errorf("a name is letters, digits, _ . - and the wildcard *")
	}
	return s, nil
}

// hostPattern takes a host or *.suffix, on whatever port.
func hostPattern(s string) (string, error) {
	suffix, wild := strings.CutPrefix(s, "*.")
	host, err := manifests.CanonicalHost(suffix)
	if err != nil {
		return "", fmt.Errorf("write a host or *.suffix, without a port: %w", err)
	}
	if wild {
		return "*." + host, nil
	}
	return host, nil
}

// nearest returns the candidate with the fewest edits between it and word.
func nearest(word string, candidates []string) string {
	best, found := math.MaxInt, ""
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(word, c); d < best {
			best, found = d, c
		}
	}
	return found
}
