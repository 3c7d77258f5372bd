package gate

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate/provider"
)

// outcomes is how often runs of the action ended in each way.
func (w *world) outcomes(action string) map[string]float64 {
	all := map[string]float64{}
	for _, o := range []string{"closed", "failed", "cancelled", "expired", "revoked", "refused"} {
		if n := testutil.ToFloat64(w.metrics.runs.WithLabelValues(action, o)); n > 0 {
			all[o] = n
		}
	}
	return all
}

// lastExecution is what the record says of the last execution, and of its run.
func (w *world) lastExecution() (code, reason string) {
	w.t.Helper()
	if err := w.audit.Sync(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	for e, err := range audit.Read(w.auditFile) {
		switch {
		case err != nil:
			w.t.Fatal(err)
		case e.Kind == audit.Execution:
			code = e.Code
		case e.Kind == audit.RunClosed:
			reason = e.Reason
		}
	}
	return code, reason
}

func TestARunSaysHowItsExecutionEnded(t *testing.T) {
	w := newWorld(t, callManifest+`
---
action_id: broken
provider_module_digest: "sha256:`+strings.Repeat("0", 64)+`"
provider_source: broken.wasm
`, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	w.write("actions/broken.wasm", "\x00asm\x01\x00\x00\x00")
	execute := func(ctx context.Context, action string) error {
		_, err := w.Execute(ctx, ExecuteRequest{Principal: alice, Action: action, Args: map[string]any{"id": "1"}})
		return err
	}
	check := func(action, code, outcome string) {
		t.Helper()
		if got := w.outcomes(action); len(got) != 1 || got[outcome] != 1 {
			t.Errorf("%s counts as %v, want %s once", action, got, outcome)
		}
		if c, reason := w.lastExecution(); c != code || reason != outcome {
			t.Errorf("the record says %q of %s and %q of its run, want %q and %q", c, action, reason, code, outcome)
		}
	}
	if err := execute(t.Context(), "call"); err != nil {
		t.Fatal(err)
	}
	check("call", "", "closed")
	code(t, execute(t.Context(), "broken"), string(provider.CodeDigestMismatch))
	check("broken", string(provider.CodeDigestMismatch), "failed")
}

func TestACancelledCallHasACodeOfItsOwn(t *testing.T) {
	w := newWorld(t, callManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	q := ExecuteRequest{Principal: alice, Action: "call", Args: map[string]any{"id": "1"}}
	ctx, cancel := context.WithCancel(t.Context())
	w.arrives = func(r *http.Request) { cancel(); <-r.Context().Done() }
	_, err := w.Execute(ctx, q)
	if e := code(t, err, CodeCancelled); e.Run == "" || !errors.Is(err, context.Canceled) {
		t.Errorf("run %q: %v", e.Run, e.Err)
	}
	// What the caller's going broke may be said first, by the guest.
	if err := cancelled(errors.New("the guest's request failed")); !errors.Is(err, context.Canceled) {
		t.Error("a cancelled call does not say so to errors.Is")
	}
	if got := w.outcomes("call"); len(got) != 1 || got["cancelled"] != 1 {
		t.Errorf("counts as %v", got)
	}
	if c, reason := w.lastExecution(); c != CodeCancelled || reason != "cancelled" {
		t.Errorf("the record says %q and %q", c, reason)
	}
	// Whoever gives up while the run is opened is told no other reason.
	_, err = w.Execute(ctx, q)
	code(t, err, CodeCancelled)
	_, err = w.Open(ctx, OpenRequest{Principal: alice, Door: DoorExec, Actions: []string{"call"}})
	code(t, err, CodeCancelled)
	if got := w.outcomes("call"); got["refused"] != 2 {
		t.Errorf("counts as %v", got)
	}
}
