package gate

import (
	"context"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate/provider"
	"github.com/latchgate/latchgate/secrets"
)

// TestTheOrderOfAnExecution takes one obstacle away after the other: an
// execution with all of them left fails at the first, in the order of design
// section 9, and each failure has a code of its own.
func TestTheOrderOfAnExecution(t *testing.T) {
	const manifest = `
action_id: call
risk_level: high
provider_module_digest: "sha256:` + "DIGEST" + `"
provider_source: module.wasm
io:
  request_schema: {type: object, required: [id], properties: {id: {type: string}}}
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: TOKEN, required: true}]
`
	wrong := strings.Replace(manifest, "DIGEST", strings.Repeat("0", 64), 1)
	config := func(gate, policy string) string {
		return strings.Replace(worldConfig, "[gate]\n", "[gate]\n"+gate, 1) + defaultConfig + "[policy.data]\n" + policy
	}
	w := newWorld(t, wrong+"---\naction_id: free\n", "")
	w.write("latchgate.toml", config("max_runs = 1\n", "deny = [\"call\"]\n"))
	w.setSecrets(map[string]string{"OTHER": "x"})
	w.restart()
	occupied, err := w.Open(context.Background(), OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"free"}})
	if err != nil {
		t.Fatal(err)
	}
	fails := func(args map[string]any, want string) *Error {
		t.Helper()
		_, err := w.Execute(context.Background(), ExecuteRequest{Principal: alice, Action: "call", Args: args})
		return code(t, err, want)
	}
	reload := func(policy string) {
		t.Helper()
		w.write("latchgate.toml", config("max_runs = 1\n", policy))
		if err := w.Reload(context.Background(), w.load()); err != nil {
			t.Fatal(err)
		}
	}
	good := map[string]any{"id": "1"}
	fails(nil, CodeArgumentsInvalid)
	fails(good, CodePolicyDenied)
	reload("")
	w.approves(fails(good, CodeApprovalRequired).Ticket)
	fails(good, string(secrets.RequiredSecretMissing))
	w.setSecrets(map[string]string{"TOKEN": token})
	fails(good, CodeOverloaded)
	w.Close(occupied.ID)
	fails(good, CodeProviderMissing) // the approval waited through all of that, and is used now
	fails(good, CodeApprovalRequired)
	reload("allow = [\"call\"]\n")
	w.write("actions/module.wasm", "\x00asm\x01\x00\x00\x00")
	fails(good, string(provider.CodeDigestMismatch))
	if n := len(w.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if runs := w.RunStatuses(); len(runs) != 0 {
		t.Errorf("%+v", runs)
	}
}

// A run is closed before its result is looked at.
func TestTheResultIsValidatedWhenTheRunIsClosed(t *testing.T) {
	w := newWorld(t, strings.Replace(callManifest, "required: [ok, status]", "required: [ok, status, colour]", 1), defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	e := code(t, w.call(alice, "1"), CodeResultInvalid)
	if e.Run == "" || e.Action != "call" || !strings.Contains(e.Message, "colour") {
		t.Errorf("%+v", e)
	}
	if err := w.audit.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for e, err := range audit.Read(w.auditFile) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, strings.TrimSpace(string(e.Kind)+" "+e.Code))
	}
	if got := strings.Join(kinds, ", "); got != "policy allow, run_opened, request, run_closed, execution result_invalid" {
		t.Errorf("the record says %s", got)
	}
}
