package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/latchgate/latchgate/internal/testenv"
)

const toolManifests = itemManifest + `tags: [items]
---
action_id: read_item
description: Read an item.
risk_level: low
provider_module_digest: builtin:http_api
template: {method: GET, url_template: "https://api.example.com/{{path:what}}"}
declared_side_effects: [http_read]
tags: [items, reading]
io: {request_schema: {type: object, required: [what], properties: {what: {type: string}}}}
egress: {profile: proxy_allowlist, allowed_domains: [api.example.com], allowed_methods: [GET]}
secrets: [{name: API_TOKEN, required: true}]
---
action_id: delete_item
description: Delete an item.
risk_level: high
provider_module_digest: builtin:http_api
template: {method: DELETE, url_template: "https://api.example.com/items/{{id}}"}
declared_side_effects: [http_delete]
io: {request_schema: {type: object, required: [id], properties: {id: {type: string}}}}
egress: {profile: proxy_allowlist, allowed_domains: [api.example.com], allowed_methods: [DELETE]}
secrets: [{name: API_TOKEN, required: true}]
`

// mcpClient is a session of the SDK's client with `latchgate mcp`.
type mcpClient struct {
	*sdk.ClientSession
	t        *testing.T
	changed  chan struct{}                        // gets one for each list_changed
	progress chan *sdk.ProgressNotificationParams // of calls that asked for it
	stderr   *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// mcp starts `latchgate mcp` as a client does, and ends it with the test.
func (h *home) mcp(args ...string) *mcpClient {
	h.t.Helper()
	m := &mcpClient{t: h.t, changed: make(chan struct{}, 100), progress: make(chan *sdk.ProgressNotificationParams, 100), stderr: &lockedBuffer{}}
	c := exec.Command(h.program, append([]string{"mcp"}, args...)...)
	c.Dir, c.Env, c.Stderr = h.dir, h.environ, m.stderr
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, &sdk.ClientOptions{
		ToolListChangedHandler:      func(context.Context, *sdk.ToolListChangedRequest) { m.changed <- struct{}{} },
		ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) { m.progress <- r.Params },
	})
	session, err := client.Connect(h.t.Context(), &sdk.CommandTransport{Command: c, TerminateDuration: patience}, nil)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, m.stderr)
	}
	m.ClientSession = session
	h.t.Cleanup(func() {
		if err := session.Close(); err != nil || c.ProcessState.ExitCode() != 0 {
			h.t.Errorf("latchgate mcp ended with %v, %v:\n%s", err, c.ProcessState, m.stderr)
		}
		if s := m.stderr.String(); strings.Contains(s, "DATA RACE") || strings.Contains(s, "panic") {
			h.t.Error(s)
		}
		noSecret(h.t, "standard error", m.stderr.String())
	})
	return m
}

// names lists the tools.
func (m *mcpClient) names() []string {
	m.t.Helper()
	var names []string
	for tool, err := range m.Tools(m.t.Context(), nil) {
		if err != nil {
			m.t.Fatal(err)
		}
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names
}

// call calls a tool and returns its result with its structure and its text.
func (m *mcpClient) call(ctx context.Context, name string, args map[string]any) (res *sdk.CallToolResult, object map[string]any, text string) {
	m.t.Helper()
	res, err := m.CallTool(ctx, &sdk.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", name, err, m.stderr)
	}
	object, _ = res.StructuredContent.(map[string]any)
	for _, c := range res.Content {
		if t, ok := c.(*sdk.TextContent); ok {
			text += t.Text
		}
	}
	if object == nil || text == "" {
		m.t.Errorf("%s: no structure or no text: %+v", name, res)
	}
	raw, _ := json.Marshal(res)
	noSecret(m.t, "the result of "+name, string(raw))
	return res, object, text
}

func (m *mcpClient) waitFor(what string, c chan struct{}) {
	m.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		m.t.Fatalf("never: %s\n%s", what, m.stderr)
	}
}

func TestActionsAreMCPTools(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/tools.yaml", toolManifests)
			served := h.serving(mode.daemon)
			m := h.mcp()

			tools := map[string]*sdk.Tool{}
			for tool, err := range m.Tools(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				tools[tool.Name] = tool
			}
			if tools["api"] != nil || tools["github_get_repo"] == nil {
				t.Errorf("an action for agents only is a tool, or a bundled one is missing: %v", tools)
			}
			create := tools["create_item"]
			if !strings.HasPrefix(create.Description, "Create an item.") || !strings.Contains(create.Description, "Reaches api.example.com.") {
				t.Errorf("description %q", create.Description)
			}
			schema, _ := json.Marshal(create.InputSchema)
			if !strings.Contains(string(schema), `"required":["owner","title"]`) || !strings.Contains(string(schema), `"default":1`) {
				t.Errorf("schema %s", schema)
			}
			for name, want := range map[string][4]bool{ // reads, destroys, may be repeated, open world
				"create_item": {false, false, false, true},
				"read_item":   {true, false, true, true},
				"delete_item": {false, true, true, true},
			} {
				a := tools[name].Annotations
				if got := [4]bool{a.ReadOnlyHint, *a.DestructiveHint, a.IdempotentHint, *a.OpenWorldHint}; got != want {
					t.Errorf("%s: hints %v, want %v", name, got, want)
				}
			}

			res, object, text := m.call(t.Context(), "create_item", map[string]any{"owner": "golang", "title": "t"})
			if res.IsError || object["ok"] != true || object["status"] != 200.0 || !strings.Contains(text, "***REDACTED***") || !strings.HasPrefix(res.Meta["latchgate/run"].(string), "run-") {
				t.Errorf("%+v %s", res, text)
			}
			h.authenticatedOnce(apiHost, "/items/golang")
			h.bodyIs("/items/golang", `{"count":1,"title":"t"}`)

			// What goes wrong is for the model to read.
			for _, c := range []struct {
				tool string
				args map[string]any
				code string
				says string
			}{
				{"create_item", map[string]any{"owner": "golang"}, "arguments_invalid", "missing property 'title'"},
				{"create_item", map[string]any{"owner": "../x", "title": 7}, "arguments_invalid", "owner: does not satisfy pattern"},
			} {
				res, object, text := m.call(t.Context(), c.tool, c.args)
				e, _ := object["error"].(map[string]any)
				if !res.IsError || object["ok"] != false || e["code"] != c.code || !strings.Contains(text, c.says) || strings.Contains(text, "../x") {
					t.Errorf("%s %v: %v %s", c.tool, c.args, object, text)
				}
			}
			if _, err := m.CallTool(t.Context(), &sdk.CallToolParams{Name: "api"}); err == nil || !strings.Contains(err.Error(), "api") {
				t.Errorf("a tool that is none: %v", err)
			}
			h.origin.wantAPI("something else")
			if res, object, _ := m.call(t.Context(), "read_item", map[string]any{"what": "a/b"}); !res.IsError || object["status"] != 401.0 {
				t.Errorf("an upstream that says no: %+v", object)
			}
			served()
			h.noSecretOnDisk()
		})
	}
}

func TestToolCallThatNeedsApprovalSaysHowToGetIt(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/tools.yaml", toolManifests)
			defer h.serving(mode.daemon)()
			m := h.mcp()
			args := map[string]any{"id": "7"}
			ask := func() string {
				t.Helper()
				res, object, text := m.call(t.Context(), "delete_item", args)
				approval, _ := object["approval"].(map[string]any)
				ticket, _ := approval["ticket"].(string)
				if !res.IsError || approval["state"] != "pending" || ticket == "" || !strings.Contains(text, "latchgate approvals approve "+ticket) ||
					!strings.Contains(text, "call delete_item again with the same arguments") {
					t.Fatalf("%v %s", object, text)
				}
				return ticket
			}
			ticket := ask()
			if again := ask(); again != ticket {
				t.Errorf("the same call got another ticket: %s, %s", ticket, again)
			}
			if n := len(h.origin.at(apiHost, "")); n != 0 {
				t.Errorf("%d requests went out without approval", n)
			}
			h.must("approvals", "approve", ticket)
			if res, object, text := m.call(t.Context(), "delete_item", map[string]any{"id": "8"}); !res.IsError || object["approval"] == nil {
				t.Errorf("other arguments ran on that ticket: %s", text)
			}
			if res, object, text := m.call(t.Context(), "delete_item", args); res.IsError || object["status"] != 200.0 {
				t.Errorf("an approved call: %s", text)
			}
			h.authenticatedOnce(apiHost, "/items/7")
			if next := ask(); next == ticket {
				t.Error("the ticket was good twice")
			}
		})
	}
}

func TestToolCallIsHeldForAnApproval(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("manifests/tools.yaml", toolManifests)
	h.start()
	m := h.mcp("--wait", patience.String())
	params := &sdk.CallToolParams{Name: "delete_item", Arguments: map[string]any{"id": "7"}}
	params.SetProgressToken("held")
	done := make(chan *sdk.CallToolResult, 1)
	go func() {
		res, err := m.CallTool(t.Context(), params)
		if err != nil {
			t.Error(err)
		}
		done <- res
	}()
	for p := range m.progress {
		if _, ticket, ok := strings.Cut(p.Message, "delete_item waits for approval: "); ok {
			h.must("approvals", "approve", ticket)
			break
		}
	}
	if res := <-done; res == nil || res.IsError {
		t.Errorf("%+v", res)
	}
}

func TestToolCallReportsProgressAndCanBeCancelled(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/tools.yaml", toolManifests)
			defer h.serving(mode.daemon)()
			m := h.mcp()
			ctx, cancel := context.WithCancel(t.Context())
			params := &sdk.CallToolParams{Name: "read_item", Arguments: map[string]any{"what": "hold"}}
			params.SetProgressToken("p1")
			ended := make(chan error, 1)
			go func() { _, err := m.CallTool(ctx, params); ended <- err }()
			if path := <-h.origin.entered; path != "/hold" {
				t.Fatal(path)
			}
			last := -1.0
			for range 3 { // the call is held until it is cancelled, so they come however long that takes
				p := <-m.progress
				if p.ProgressToken != "p1" || p.Progress <= last || p.Message != "read_item is running" {
					t.Errorf("%+v after %v", p, last)
				}
				last = p.Progress
			}
			cancel()
			if err := <-ended; err == nil {
				t.Error("a cancelled call has a result")
			}
			// The execution and its run end with the call: nothing else lets that
			// request go.
			h.recorded(`"kind":"run_closed"`, `"actions":["read_item"]`, `"reason":"cancelled"`)
			h.recorded(`"kind":"execution"`, `"action":"read_item"`, `"code":"cancelled"`)
			// And the server still serves.
			if res, _, text := m.call(t.Context(), "read_item", map[string]any{"what": "x"}); res.IsError {
				t.Error(text)
			}
		})
	}
}

// recorded waits until one line of the record holds all of that.
func (h *home) recorded(texts ...string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, h.program, "audit", "tail", "--json", "--lines", "1000")
	c.Dir, c.Env = h.dir, h.environ
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { cancel(); _ = c.Wait() }()
	d := json.NewDecoder(out)
	for {
		var line json.RawMessage
		if err := d.Decode(&line); err != nil {
			h.t.Fatalf("the record never said %q:\n%s", texts, h.read(".latchgate/audit.jsonl"))
		}
		if !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(string(line), s) }) {
			return
		}
	}
}

func TestToolsFollowTheManifests(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/tools.yaml", toolManifests)
			defer h.serving(mode.daemon)()
			m := h.mcp("--tag", "items")
			if got := m.names(); !slices.Equal(got, []string{"create_item", "read_item"}) {
				t.Errorf("%v", got)
			}
			h.write("manifests/tools.yaml", strings.Replace(toolManifests, "action_id: read_item", "action_id: look_at_item", 1))
			m.waitFor("list_changed", m.changed)
			if got := m.names(); !slices.Equal(got, []string{"create_item", "look_at_item"}) {
				t.Errorf("%v", got)
			}
			if res, _, text := m.call(t.Context(), "look_at_item", map[string]any{"what": "new"}); res.IsError {
				t.Error(text)
			}
			// A slip takes no tool away, as it takes no action away.
			h.write("manifests/tools.yaml", strings.Replace(toolManifests, "egress:", "egres:", 1))
			h.recorded(`"kind":"reload"`, `"code":"error"`)
			if got := m.names(); !slices.Contains(got, "create_item") {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestToolsAreFilteredByName(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("manifests/tools.yaml", toolManifests)
	m := h.mcp("--action", "*_item", "--action", "github_get_repo", "--tag", "reading")
	if got := m.names(); !slices.Equal(got, []string{"read_item"}) {
		t.Errorf("%v", got)
	}
	if _, err := m.CallTool(t.Context(), &sdk.CallToolParams{Name: "delete_item", Arguments: map[string]any{"id": "1"}}); err == nil {
		t.Error("a tool that was left out can be called")
	}
	if got := h.mcp("-a", "create_item,github_get_repo").names(); !slices.Equal(got, []string{"create_item", "github_get_repo"}) {
		t.Errorf("%v", got)
	}
	none := h.mcp("--tag", "nothing")
	if got := none.names(); len(got) != 0 || !strings.Contains(none.stderr.String(), "no action becomes a tool") {
		t.Errorf("%v\n%s", got, none.stderr)
	}
}

// A client written by hand: every line of standard output is a message, also
// where the log has much to say.
func TestStandardOutputHoldsTheProtocolAlone(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("manifests/tools.yaml", toolManifests)
	stdin := strings.Join([]string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`,
		`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"create_item","arguments":{"owner":"raw","title":"t"}}}`,
	}, "\n") + "\n"
	c := h.command("mcp")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c.Stderr = &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte(stdin)); err != nil {
		t.Fatal(err)
	}
	answered := map[float64]bool{}
	d := json.NewDecoder(out) // fails at anything that is no JSON
	for {
		var message map[string]any
		if err := d.Decode(&message); err != nil {
			break // the end, or not JSON: then answers are missing
		}
		if message["jsonrpc"] != "2.0" || message["error"] != nil {
			t.Errorf("%v", message)
		}
		if id, ok := message["id"].(float64); ok {
			answered[id] = true
		}
		if len(answered) == 3 {
			_ = in.Close()
		}
	}
	if err := c.Wait(); err != nil || len(answered) != 3 {
		t.Errorf("%v, answered %v", err, answered)
	}
	if !strings.Contains(log.String(), "run opened") {
		t.Errorf("the log says nothing, so that the test proves nothing: %s", log.String())
	}
}

func TestReferenceClientOfNPMUsesTheTools(t *testing.T) {
	t.Parallel()
	need(t, "node")
	modules := testenv.NodeModule(t, "@modelcontextprotocol/sdk")
	client, err := filepath.Abs("testdata/clients/mcp_client.js")
	if err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	h.write("manifests/tools.yaml", toolManifests)
	h.environ = append(h.environ, "NODE_PATH="+modules)
	see := func(tool, args string) (saw struct {
		Server       struct{ Name, Version string }
		Capabilities struct{ Tools struct{ ListChanged bool } }
		Instructions string
		Tools        []struct{ Name string }
		Result       struct {
			IsError           bool
			Content           []struct{ Type, Text string }
			StructuredContent map[string]any
		}
		Progress []struct {
			Progress float64
			Message  string
		}
	}) {
		t.Helper()
		o := h.script(`exec node "$@"`, client, h.program, tool, args, "mcp", "--tag", "items", "--action", "*_item")
		if err := json.Unmarshal([]byte(o.stdout), &saw); o.status != 0 || err != nil {
			t.Fatalf("%v, status %d\n%s%s", err, o.status, o.stdout, o.stderr)
		}
		noSecret(t, "what the client saw", o.stdout+o.stderr)
		return saw
	}
	saw := see("create_item", `{"owner": "node", "title": "from npm"}`)
	if saw.Server.Name != "latchgate" || !saw.Capabilities.Tools.ListChanged || !strings.Contains(saw.Instructions, "never ask for one") || len(saw.Tools) != 2 {
		t.Errorf("%+v", saw)
	}
	if saw.Result.IsError || saw.Result.StructuredContent["status"] != 200.0 || !strings.Contains(saw.Result.Content[0].Text, "***REDACTED***") ||
		len(saw.Progress) == 0 || saw.Progress[0].Message != "create_item is running" {
		t.Errorf("%+v %+v", saw.Result, saw.Progress)
	}
	h.bodyIs("/items/node", `{"count":1,"title":"from npm"}`)
	if saw = see("create_item", `{"owner": "node"}`); !saw.Result.IsError || saw.Result.StructuredContent["ok"] != false {
		t.Errorf("%+v", saw.Result)
	}
}
