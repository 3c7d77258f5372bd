package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/latchgate/latchgate/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers is a gate whose every answer is set beforehand; the real one is asked
// by the command's tests.
type answers struct {
	actions []gate.ActionStatus
	done    *gate.Executed
	err     error
	asked   []gate.ExecuteRequest
}

func (g *answers) Actions(context.Context) ([]gate.ActionStatus, error) { return g.actions, g.err }
func (g *answers) Execute(_ context.Context, q gate.ExecuteRequest) (*gate.Executed, error) {
	g.asked = append(g.asked, q)
	return g.done, g.err
}
func (g *answers) WaitApproval(ctx context.Context, _ string) (*gate.Approval, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestHintsGoByWhatAnActionDeclares(t *testing.T) {
	for name, c := range map[string]struct {
		a                                gate.ActionStatus
		reads, destroys, repeats, beyond bool
	}{
		"declares reading":             {gate.ActionStatus{RiskLevel: "low", SideEffects: []string{"http_read"}, Methods: []string{"GET"}, Hosts: []string{"a.b"}}, true, false, true, true},
		"searches by POST":             {gate.ActionStatus{RiskLevel: "low", SideEffects: []string{"http_read"}, Methods: []string{"POST"}}, true, false, true, false},
		"says reading, may delete":     {gate.ActionStatus{RiskLevel: "low", SideEffects: []string{"http_read"}, Methods: []string{"GET", "DELETE"}}, false, true, true, false},
		"reads what is grave":          {gate.ActionStatus{RiskLevel: "high", SideEffects: []string{"http_read"}, Methods: []string{"GET"}}, false, true, true, false},
		"declares nothing, gets":       {gate.ActionStatus{RiskLevel: "low", Methods: []string{"GET", "HEAD"}}, true, false, true, false},
		"declares nothing at all":      {gate.ActionStatus{}, false, true, false, false},
		"no side effect":               {gate.ActionStatus{RiskLevel: "low", SideEffects: []string{"none"}}, true, false, true, false},
		"creates":                      {gate.ActionStatus{RiskLevel: "medium", SideEffects: []string{"http_write"}, Methods: []string{"POST"}}, false, false, false, false},
		"replaces":                     {gate.ActionStatus{RiskLevel: "medium", SideEffects: []string{"http_write"}, Methods: []string{"PUT"}}, false, true, true, false},
		"changes":                      {gate.ActionStatus{RiskLevel: "medium", SideEffects: []string{"http_write"}, Methods: []string{"PATCH"}}, false, true, false, false},
		"writes by whatever method":    {gate.ActionStatus{RiskLevel: "medium", SideEffects: []string{"http_write"}}, false, true, false, false},
		"deletes by POST":              {gate.ActionStatus{RiskLevel: "medium", SideEffects: []string{"http_delete"}, Methods: []string{"POST"}}, false, true, false, false},
		"creates what is grave":        {gate.ActionStatus{RiskLevel: "critical", SideEffects: []string{"http_write"}, Methods: []string{"POST"}}, false, true, false, false},
		"reads and writes":             {gate.ActionStatus{RiskLevel: "medium", SideEffects: []string{"http_read", "http_write"}, Methods: []string{"GET", "POST"}}, false, false, false, false},
		"reads by a method of its own": {gate.ActionStatus{RiskLevel: "low", SideEffects: []string{"http_read"}, Methods: []string{"PROPFIND"}}, false, true, false, false},
	} {
		got := hints(&c.a)
		if got.ReadOnlyHint != c.reads || *got.DestructiveHint != c.destroys || got.IdempotentHint != c.repeats || *got.OpenWorldHint != c.beyond {
			t.Errorf("%s: %v %v %v %v", name, got.ReadOnlyHint, *got.DestructiveHint, got.IdempotentHint, *got.OpenWorldHint)
		}
	}
}

// connect gives a client of a server over that gate.
func connect(t *testing.T, g *answers, o Options) *sdk.ClientSession {
	t.Helper()
	o.Gate, o.Log = g, slog.New(slog.DiscardHandler)
	s := New(o)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	near, far := sdk.NewInMemoryTransports()
	server, err := s.server.Connect(t.Context(), far, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = server.Wait() })
	return client
}

func provided(id string) gate.ActionStatus {
	return gate.ActionStatus{ID: id, Provider: "builtin:http_api"}
}

func TestActionThatCanBeNoToolIsLeftOutAlone(t *testing.T) {
	list, text, header := provided("list"), provided("text"), provided("header")
	list.RequestSchema = map[string]any{"type": "array"}
	text.RequestSchema = map[string]any{"required": []any{"a"}} // no type: the gate takes an object all the same
	header.RequestSchema = map[string]any{"properties": map[string]any{"a": map[string]any{"type": "array", "x-mcp-header": "A"}}}
	g := &answers{actions: []gate.ActionStatus{list, text, header, {ID: "agents_only"}, provided("plain")}}
	client := connect(t, g, Options{})
	tools, err := client.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
		if schema, _ := tool.InputSchema.(map[string]any); schema["type"] != "object" {
			t.Errorf("%s: schema %v", tool.Name, tool.InputSchema)
		}
	}
	if !slices.Equal(names, []string{"plain", "text"}) {
		t.Errorf("%v", names)
	}
	if text.RequestSchema["type"] != nil {
		t.Error("the action's schema was changed")
	}
}

func TestResultsAreStructuredWhateverTheyAre(t *testing.T) {
	for result, want := range map[string]struct {
		structure string
		isError   bool
	}{
		`{"ok":true,"n":12345678901234567890}`: {`{"ok":true,"n":12345678901234567890}`, false},
		`{"ok":false,"status":404}`:            {`{"ok":false,"status":404}`, true},
		`{"ok":0}`:                             {`{"ok":0}`, false},
		`[1,2]`:                                {`{"result":[1,2]}`, false},
		`"text"`:                               {`{"result":"text"}`, false},
		`null`:                                 {`{"result":null}`, false},
	} {
		res := succeeded(&gate.Executed{Run: "run-1", Result: json.RawMessage(result)})
		got, err := json.Marshal(res.StructuredContent)
		if err != nil || string(got) != want.structure || res.IsError != want.isError || res.Content[0].(*sdk.TextContent).Text != result {
			t.Errorf("%s: %s %+v %v", result, got, res, err)
		}
	}
}

func TestRefusalsAreForTheModelToRead(t *testing.T) {
	for name, c := range map[string]struct {
		err        error
		structure  string
		text       []string
		notInThere string
	}{
		"refused": {&gate.Error{Code: "policy_denied", Message: "the policy says no", Hint: "ask somebody", Err: errors.New("operators-cause")},
			`"code":"policy_denied","hint":"ask somebody","message":"the policy says no"`, []string{"policy_denied: the policy says no\nask somebody"}, "operators-cause"},
		"provider's own": {&gate.Error{Code: "provider_failed", Message: "no", Detail: json.RawMessage(`{"error":{"code":"x"}}`)},
			`"detail":{"error":{"code":"x"}}`, []string{`{"error":{"code":"x"}}`}, "nothing"},
		"pending":       {&gate.Error{Code: gate.CodeApprovalRequired, Action: "a", Ticket: "apr-1", Message: "approval is needed for a: high risk"}, `"ticket":"apr-1"`, []string{"Nothing was done yet", "latchgate approvals approve apr-1", "call a again with the same arguments"}, "nothing there"},
		"can't ask":     {&gate.Error{Code: gate.CodeApprovalRequired, Message: "approval is needed"}, `"code":"approval_required"`, []string{"approval_required: approval is needed"}, "approve apr"},
		"no gate there": {errors.New("dial unix /run/user/0/gate.sock: refused"), `"code":"internal"`, []string{"the gate does not answer", "latchgate proxy"}, "gate.sock"},
	} {
		g := &answers{actions: []gate.ActionStatus{provided("a")}}
		client := connect(t, g, Options{})
		g.err = c.err
		res, err := client.CallTool(t.Context(), &sdk.CallToolParams{Name: "a", Arguments: map[string]any{"n": 1}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		raw, _ := json.Marshal(res.StructuredContent)
		text := res.Content[0].(*sdk.TextContent).Text
		if !res.IsError || !strings.Contains(string(raw), c.structure) || strings.Contains(string(raw)+text, c.notInThere) {
			t.Errorf("%s: %s\n%s", name, raw, text)
		}
		for _, s := range c.text {
			if !strings.Contains(text, s) {
				t.Errorf("%s: no %q in %s", name, s, text)
			}
		}
		if q := g.asked[0]; q.Door != gate.DoorMCP || q.Action != "a" || q.Args["n"] != json.Number("1") {
			t.Errorf("%s: asked %+v", name, q)
		}
	}
}

func TestHeldCallThatNobodyApprovesIsPending(t *testing.T) {
	g := &answers{actions: []gate.ActionStatus{provided("a")}}
	client := connect(t, g, Options{Wait: 1})
	g.err = &gate.Error{Code: gate.CodeApprovalRequired, Ticket: "apr-1"}
	res, err := client.CallTool(t.Context(), &sdk.CallToolParams{Name: "a"})
	if err != nil || !res.IsError || len(g.asked) != 1 {
		t.Errorf("%v, %+v, asked %d times", err, res, len(g.asked))
	}
}

func TestCancelledCallSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := New(Options{Gate: &answers{err: &gate.Error{Code: gate.CodeApprovalRequired, Ticket: "apr-1"}}, Wait: time.Hour, Log: slog.New(slog.DiscardHandler)})
	for name, err := range map[string]error{
		"waits for approval": &gate.Error{Code: gate.CodeApprovalRequired, Ticket: "apr-1"},
		"daemon's client":    &url.Error{Op: "Post", URL: "http://latchgate/", Err: context.Canceled},
	} {
		s.gate = &answers{err: err}
		res := s.call(ctx, "a", &sdk.CallToolRequest{Params: &sdk.CallToolParamsRaw{Name: "a"}})
		if text := res.Content[0].(*sdk.TextContent).Text; !res.IsError || !strings.HasPrefix(text, gate.CodeCancelled+": ") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestNullArgumentsAreNone(t *testing.T) {
	g := &answers{done: &gate.Executed{Result: json.RawMessage("{}")}}
	s := New(Options{Gate: g, Log: slog.New(slog.DiscardHandler)})
	res := s.call(t.Context(), "a", &sdk.CallToolRequest{Params: &sdk.CallToolParamsRaw{Name: "a", Arguments: json.RawMessage("null")}})
	if res.IsError || len(g.asked) != 1 || len(g.asked[0].Args) != 0 {
		t.Errorf("%+v, asked %+v", res, g.asked)
	}
}
