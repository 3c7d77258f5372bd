package gate

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// A policy that tells all that it sees: the input is the reason of its refusal.
const (
	tellingAction  = "package latchgate\n\naction := {\"allow\": false, \"reason\": json.marshal(input)}\n"
	tellingRequest = "package latchgate\n\naction := {\"allow\": true}\n\nrequest := {\"allow\": false, \"reason\": json.marshal(input)}\n"
)

const tellingManifest = `
action_id: call
policy_args: true
provider_module_digest: builtin:http_api
template: {method: GET, url_template: "https://api.localhost:PORT/{{where}}"}
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: TOKEN, required: true}]
io: {request_schema: {type: object, properties: {where: {type: string}}}}
`

func TestPolicyNeverSeesAValue(t *testing.T) {
	w := newWorld(t, tellingManifest, "[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n")
	w.setSecrets(map[string]string{"TOKEN": token, "UNDECLARED": token + "-other"})
	ask := ExecuteRequest{Principal: "alice", Action: "call", Args: map[string]any{"where": "control-argument"}}
	if _, err := w.Execute(context.Background(), ask); err != nil { // from here on the decrypted file is in the cache
		t.Fatal(err)
	}
	use := func(rego string) {
		t.Helper()
		w.write("policy/p.rego", rego)
		w.write("latchgate.toml", worldConfig+"[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n[policy]\ndirs = [\"policy\"]\n")
		if err := w.Reload(context.Background(), w.load()); err != nil {
			t.Fatal(err)
		}
	}

	use(tellingAction)
	_, err := w.Execute(context.Background(), ask)
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != CodePolicyDenied {
		t.Fatalf("%v", err)
	}
	seen := inputIn(t, refused.Message)
	noValueIn(t, seen)
	if !strings.Contains(strings.Join(seen, "\n"), "TOKEN") || !strings.Contains(strings.Join(seen, "\n"), "control-argument") {
		t.Errorf("the walk misses what is there: %q", seen)
	}

	use(tellingRequest)
	done, err := w.Execute(context.Background(), ask)
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Body struct {
			Error struct{ Code, Message string }
		}
	}
	if err := json.Unmarshal(done.Result, &result); err != nil || result.Body.Error.Code != "policy_denied" {
		t.Fatalf("%v: %s", err, done.Result)
	}
	seen = inputIn(t, result.Body.Error.Message)
	noValueIn(t, seen)
	if !strings.Contains(strings.Join(seen, "\n"), "/control-argument") {
		t.Errorf("the walk misses what is there: %q", seen)
	}
}

// inputIn returns every name and every value, at any depth, of the JSON object
// that a message ends with.
func inputIn(t *testing.T, message string) (texts []string) {
	t.Helper()
	_, doc, ok := strings.Cut(message, "{")
	var input any
	if err := json.Unmarshal([]byte("{"+doc), &input); !ok || err != nil {
		t.Fatalf("no input in %q: %v", message, err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				texts = append(texts, name)
				walk(member)
			}
		case []any:
			for _, item := range v {
				walk(item)
			}
		case string:
			texts = append(texts, v)
		}
	}
	walk(input)
	return texts
}

func noValueIn(t *testing.T, texts []string) {
	t.Helper()
	forms := []string{token, hex.EncodeToString([]byte(token)), base64.StdEncoding.EncodeToString([]byte(token)), token[:8]}
	for _, text := range texts {
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("the policy sees %q", text)
			}
		}
	}
}
