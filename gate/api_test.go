package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/audit"
)

// TestEveryCallAnswersAsDocumented makes each call of the API, and each in a
// way that is refused where there is one.
func TestEveryCallAnswersAsDocumented(t *testing.T) {
	w := newWorld(t, callManifest+`
---
action_id: risky
risk_level: high
provider_module_digest: builtin:http_api
template: {method: POST, url_template: "https://api.localhost:PORT/risky/{{n}}"}
io: {request_schema: {type: object, properties: {n: {type: integer}}}}
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"], allowed_paths: ["/risky/*"]}
tags: [test]
declared_side_effects: [http_write]
`, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	client := w.control()
	calls := documented(t, client)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	must(client.Refresh(ctx))
	run, err := client.Open(ctx, OpenRequest{Door: DoorEnv, Actions: []string{"call"}, TTL: time.Minute, MaxRequests: 5, MaxBytes: 100})
	must(err)
	runs, err := client.Runs(ctx)
	must(err)
	if len(runs) != 1 || runs[0].MaxRequests != 5 || runs[0].MaxBytes != 100 || runs[0].Principal != "user:root" && runs[0].Principal == "" {
		t.Errorf("%+v", runs)
	}
	renewed, err := client.Renew(ctx, run.ID, time.Hour)
	must(err)
	if !renewed.Expires.After(run.Expires.Add(50 * time.Minute)) {
		t.Errorf("%v is renewed to %v", run.Expires, renewed.Expires)
	}
	must(client.Close(ctx, run.ID))
	attached, release, err := client.OpenAttached(ctx, OpenRequest{Door: DoorExec, Actions: []string{"call"}})
	must(err)
	must(client.Revoke(ctx, attached.ID))
	release()

	actions, err := client.Actions(ctx)
	must(err)
	action, err := client.Action(ctx, "risky")
	must(err)
	if len(actions) != 2 || action.RiskLevel != "high" || action.RequestSchema == nil || len(action.SideEffects) != 1 {
		t.Errorf("%+v", action)
	}
	_, err = client.Execute(ctx, ExecuteRequest{Action: "call", Args: map[string]any{"id": "1"}})
	must(err)

	// Nothing waits by itself: the caller is told, waits where it wants to, and
	// makes the same call again.
	q := ExecuteRequest{Action: "risky", Door: DoorMCP, Args: map[string]any{"n": 7}}
	_, err = client.Execute(ctx, q)
	ticket := code(t, err, CodeApprovalRequired).Ticket
	must(client.Refresh(ctx))
	if client.Status.Approvals != 1 {
		t.Errorf("%d tickets wait", client.Status.Approvals)
	}
	shown, err := client.Approval(ctx, ticket)
	must(err)
	if len(shown.Arguments) != 1 || fmt.Sprint(shown.Arguments[0].Value) != "7" || shown.Door != DoorMCP {
		t.Errorf("%+v", shown)
	}
	waited := make(chan error, 1)
	go func() {
		a, err := client.WaitApproval(ctx, ticket)
		if err == nil && a.State != ApprovalApproved {
			err = fmt.Errorf("%+v", a)
		}
		waited <- err
	}()
	_, err = client.Approve(ctx, ticket)
	must(err)
	must(<-waited)
	_, err = client.Execute(ctx, q)
	must(err)
	_, err = client.Execute(ctx, q)
	_, err = client.Deny(ctx, code(t, err, CodeApprovalRequired).Ticket)
	must(err)
	all, err := client.Approvals(ctx)
	must(err)
	if len(all) != 2 || all[0].State != ApprovalDenied || all[1].State != ApprovalUsed {
		t.Errorf("%+v", all)
	}
	for e, err := range client.Events(ctx, EventFilter{Recent: 100}) {
		must(err)
		if e.Code == ApprovalDenied {
			break
		}
	}

	for _, r := range routes {
		if !calls.answered[r.pattern] {
			t.Errorf("%s was not called", r.pattern)
		}
	}
	refusals := map[string]error{
		CodeRunUnknown:       client.Close(ctx, "run-0"),
		CodeActionUnknown:    errOf(client.Action(ctx, "nothing")),
		CodeApprovalUnknown:  errOf(client.WaitApproval(ctx, "apr-0")),
		CodeApprovalEnded:    errOf(client.Approve(ctx, ticket)),
		CodeArgumentsInvalid: errOf(client.Execute(ctx, ExecuteRequest{Action: "call"})),
		CodeBadRequest:       errOf(client.Execute(ctx, ExecuteRequest{Action: "call", Door: DoorExec})),
	}
	for want, err := range refusals {
		code(t, err, want)
	}
	for _, path := range []string{"/v1/events?recent=-1", "/v1/events?colour=red", "/v1/approvals/" + ticket + "/wait?timeout=soon"} {
		code(t, client.call(ctx, http.MethodGet, path, nil, nil), CodeBadRequest)
	}
	for _, body := range []runRequest{{Door: DoorEnv, Actions: []string{"call"}, MaxBytes: -1}, {Door: DoorEnv, Actions: []string{"call"}, MaxRequests: -1}} {
		code(t, client.call(ctx, http.MethodPost, "/v1/runs", body, nil), CodeBadRequest)
	}
	if len(calls.refused) < 6 {
		t.Errorf("refusals of %v", calls.refused)
	}
}

func errOf[T any](_ *T, err error) error { return err }

func TestEventsAreFilteredAndLive(t *testing.T) {
	w := newWorld(t, agentManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	client := w.control()
	documented(t, client)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	open := func() string {
		run, err := client.Open(ctx, OpenRequest{Door: DoorEnv, Actions: []string{"call"}, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return run.ID
	}
	first, second := open(), open()
	if err := w.audit.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	// Recent ones first: of the last four events, two decisions and two openings.
	var kinds []audit.Kind
	for e, err := range client.Events(ctx, EventFilter{Recent: 4, Kinds: []audit.Kind{audit.RunOpened, audit.RunClosed}, Runs: []string{first, second}, Actions: []string{"call"}}) {
		if err != nil {
			t.Fatal(err)
		}
		switch kinds = append(kinds, e.Kind); len(kinds) {
		case 1:
			if e.Run != first {
				t.Errorf("%+v", e)
			}
		case 2: // and then what happens
			if e.Run != second {
				t.Errorf("%+v", e)
			}
			w.Close(open())
			w.Close(first)
		}
		if e.Kind == audit.RunClosed {
			if e.Run != first {
				t.Errorf("an event of another run: %+v", e)
			}
			break
		}
	}
	if len(kinds) != 3 {
		t.Errorf("%v", kinds)
	}
}

// A daemon that shuts down does not wait for those who watch it, nor for those
// who wait for a decision.
func TestAShutdownEndsStreamsAndWaits(t *testing.T) {
	w := risky(t, "")
	c := NewControl(w.Gate, "test")
	ln, err := c.Listen()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- c.Serve(ln) }()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := Dial(ctx, w.Config().Gate.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ticket := w.asks(alice, "1")
	streaming, streamed, waited := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		var last error
		for e, err := range client.Events(ctx, EventFilter{Recent: 10}) {
			if last = err; err == nil && e.Kind == audit.Approval {
				close(streaming)
			}
		}
		streamed <- last
	}()
	go func() { waited <- errOf(client.WaitApproval(ctx, ticket)) }()
	<-streaming
	if err := c.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-streamed; !errors.Is(err, ErrNoDaemon) {
		t.Errorf("the stream ends with %v", err)
	}
	if err := <-waited; err == nil || ctx.Err() != nil {
		t.Errorf("the wait ends with %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestWithoutARecordThereAreNoEvents(t *testing.T) {
	w := newWorld(t, agentManifest, "[audit]\nfile = \"\"\n")
	client := w.control()
	for _, err := range client.Events(context.Background(), EventFilter{}) {
		code(t, err, CodeAuditUnavailable)
	}
}

func TestAWaitIsNeverHeldLongerThanClientsDo(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 55 * time.Second, "10h": 55 * time.Second, "1s": time.Second, "0s": 0} {
		if got, err := waitOf(text); got != want || err != nil {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"-1s", "5", "soon"} {
		_, err := waitOf(text)
		code(t, err, CodeBadRequest)
	}
}

func TestABodyOfMoreThanOneValueIsRefused(t *testing.T) {
	w := newWorld(t, agentManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	client := w.control()
	const body = `{"door":"env","actions":["call"],"ttl_seconds":60}`
	for _, behind := range []string{"", "\n", "{}", " x", ",", "\x00", body} {
		resp, err := client.http.Post("http://latchgate/v1/runs", "application/json", strings.NewReader(body+behind))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		want := http.StatusBadRequest
		if strings.TrimSpace(behind) == "" {
			want = http.StatusOK
		}
		if resp.StatusCode != want {
			t.Errorf("with %q behind it: %s, want %d", behind, resp.Status, want)
		}
	}
	if n := len(w.RunStatuses()); n != 2 {
		t.Errorf("%d runs were opened, want 2", n)
	}
}
