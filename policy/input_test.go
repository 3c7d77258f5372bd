package policy

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/latchgate/latchgate/secrets"
)

// seen is what a rule sees of an input.
func seen(t *testing.T, term *ast.Term) any {
	t.Helper()
	v, err := ast.JSON(term.Value)
	if err != nil {
		t.Fatal(err)
	}
	return throughJSON(t, v)
}

func throughJSON(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRulesSeeTheJSONOfTheInput(t *testing.T) {
	in := issue("low")
	in.Args = map[string]any{"title": "x", "labels": []any{"a", 1.5, nil, true}, "nested": map[string]any{"k": "v"}}
	term, err := in.term()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := seen(t, term), throughJSON(t, in); !reflect.DeepEqual(got, want) {
		t.Errorf("action: got\n%v\nwant\n%v", got, want)
	}
	req := get("/x")
	if got, want := seen(t, req.term()), throughJSON(t, req); !reflect.DeepEqual(got, want) {
		t.Errorf("request: got\n%v\nwant\n%v", got, want)
	}
}

func TestListsThatAreNilAreEmptyInRego(t *testing.T) {
	term, err := (&ActionInput{}).term()
	if err != nil {
		t.Fatal(err)
	}
	got := seen(t, term).(map[string]any)
	for _, key := range []string{"actions", "side_effects", "secrets", "hosts", "tags"} {
		if list, ok := got[key].([]any); !ok || len(list) != 0 {
			t.Errorf("%s is %#v", key, got[key])
		}
	}
	if _, ok := got["arg_sizes"].(map[string]any); !ok {
		t.Errorf("arg_sizes is %#v", got["arg_sizes"])
	}
	if _, ok := got["args"]; ok {
		t.Error("args is there although the manifest does not say policy_args")
	}
}

// The two inputs are made of names and numbers: no field can carry the bytes of
// a secret, but for Args, which the agent wrote itself.
func TestInputHasNoRoomForAValue(t *testing.T) {
	allowed := map[reflect.Type]bool{
		reflect.TypeFor[string](): true, reflect.TypeFor[int](): true,
		reflect.TypeFor[[]string](): true, reflect.TypeFor[map[string]int](): true,
	}
	names := map[string]bool{}
	for _, typ := range []reflect.Type{reflect.TypeFor[ActionInput](), reflect.TypeFor[RequestInput]()} {
		for f := range typ.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names[tag] = true
			if !allowed[f.Type] && tag != "args" {
				t.Errorf("%s.%s is of type %s", typ, f.Name, f.Type)
			}
		}
	}
	for _, secretive := range []string{"value", "values", "headers", "query", "body", "url", "token"} {
		if names[secretive] {
			t.Errorf("the input has a field %q", secretive)
		}
	}
}

func TestSecretValueAmongTheArgumentsIsNotShown(t *testing.T) {
	in := issue("low")
	in.Args = map[string]any{"token": secrets.NewValue([]byte("hunter2")), "list": []any{secrets.NewValue([]byte("hunter2"))}}
	term, err := in.term()
	if err != nil {
		t.Fatal(err)
	}
	if s := term.String(); strings.Contains(s, "hunter2") || !strings.Contains(s, "REDACTED") {
		t.Error(s)
	}
}

func TestDocumentNamesAllThatAPolicyMeets(t *testing.T) {
	doc, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	words := slices.Concat(Presets, slices.Sorted(maps.Keys(builtinLists)))
	for _, typ := range []reflect.Type{reflect.TypeFor[ActionInput](), reflect.TypeFor[RequestInput](), reflect.TypeFor[Match]()} {
		for f := range typ.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			words = append(words, name)
		}
	}
	for _, word := range words {
		if !regexp.MustCompile("[`\"]" + word + "[`\"]|(?m)^" + word + " +=").Match(doc) {
			t.Errorf("docs/policy.md does not mention %s", word)
		}
	}
}
