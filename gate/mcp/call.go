package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/latchgate/latchgate/gate"
)

// call executes one tool call. It always gives a result: what went wrong is in
// there, for the model to read, and marked as an error.
func (s *Server) call(ctx context.Context, action string, req *sdk.CallToolRequest) *sdk.CallToolResult {
	args := map[string]any{}
	if raw := req.Params.Arguments; len(raw) > 0 && string(raw) != "null" { // which some clients send for none
		var err error
		if args, err = gate.DecodeArgs(req.Params.Arguments); err != nil {
			return failed(&gate.Error{Code: gate.CodeArgumentsInvalid, Action: action, Message: "the arguments are not a JSON object"})
		}
	}
	p := report(ctx, req, action+" is running")
	defer p.end()
	q := gate.ExecuteRequest{Door: gate.DoorMCP, Action: action, Args: args}
	done, err := s.gate.Execute(ctx, q)
	if ticket := pendingTicket(err); ticket != "" && s.wait > 0 {
		p.says(action + " waits for approval: " + ticket)
		if s.approved(ctx, ticket) {
			p.says(action + " is running")
			done, err = s.gate.Execute(ctx, q)
		} else if ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		s.log.Debug("tool call failed", "action", action, "err", err)
		return failed(asError(err, action))
	}
	return succeeded(done)
}

// approved holds the call until the ticket is decided or the wait is over.
func (s *Server) approved(ctx context.Context, ticket string) bool {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	a, err := s.gate.WaitApproval(ctx, ticket)
	return err == nil && a.State != gate.ApprovalPending
}

// pendingTicket is the ticket that an execution needs, "" where none would help.
func pendingTicket(err error) string {
	var e *gate.Error
	if errors.As(err, &e) && e.Code == gate.CodeApprovalRequired {
		return e.Ticket
	}
	return ""
}

// asError makes a refusal of what is none: the gate did not answer.
func asError(err error, action string) *gate.Error {
	var e *gate.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return &gate.Error{Code: gate.CodeCancelled, Action: action, Message: "the call was cancelled"}
	}
	return &gate.Error{Code: gate.CodeInternal, Action: action, Message: "the gate does not answer", Hint: "is `latchgate proxy` still running?"}
}

// succeeded is the provider's result, as structure and as text. A result that
// says "ok": false, such as that of a request answered with 404, is an error.
func succeeded(done *gate.Executed) *sdk.CallToolResult {
	res := &sdk.CallToolResult{
		Content: []sdk.Content{&sdk.TextContent{Text: string(done.Result)}},
		Meta:    sdk.Meta{"latchgate/run": done.Run},
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(done.Result, &object) == nil && object != nil {
		res.StructuredContent = done.Result
		res.IsError = string(object["ok"]) == "false"
	} else {
		res.StructuredContent = map[string]json.RawMessage{"result": done.Result} // the protocol wants an object
	}
	return res
}

// failed is a refusal. One that only waits for a person says so in full.
func failed(e *gate.Error) *sdk.CallToolResult {
	res := &sdk.CallToolResult{IsError: true}
	if e.Code == gate.CodeApprovalRequired && e.Ticket != "" {
		approve := "latchgate approvals approve " + e.Ticket
		then := fmt.Sprintf("call %s again with the same arguments", e.Action)
		if e.Action == "" {
			then = "make the same call again"
		}
		res.StructuredContent = map[string]any{"ok": false, "approval": map[string]any{
			"state": "pending", "ticket": e.Ticket, "message": e.Message, "approve": approve, "then": then, "valid_seconds": gate.ApprovalTTL.Seconds()}}
		res.Content = text(fmt.Sprintf("Nothing was done yet: %s.\nTicket %s waits for a person, who runs: %s\nOnce it is approved, %s: a ticket is for this very call, for %s, once.",
			e.Message, e.Ticket, approve, then, gate.ApprovalTTL))
		return res
	}
	res.StructuredContent = map[string]any{"ok": false, "error": e}
	lines := []string{fmt.Sprintf("%s: %s", e.Code, e.Message)}
	if e.Hint != "" {
		lines = append(lines, e.Hint)
	}
	if len(e.Detail) > 0 {
		lines = append(lines, string(e.Detail))
	}
	res.Content = text(strings.Join(lines, "\n"))
	return res
}

func text(s string) []sdk.Content { return []sdk.Content{&sdk.TextContent{Text: s}} }

// progress tells a client that asked for it that its call is alive: at once,
// each second, and when there is something new to say.
type progress struct {
	message chan string
	ended   chan struct{}
}

// report starts a progress; its end must be called before the call is answered.
func report(ctx context.Context, req *sdk.CallToolRequest, message string) *progress {
	p := &progress{message: make(chan string), ended: make(chan struct{})}
	token := req.Params.GetProgressToken()
	notify := func(n float64, message string) {
		if token != nil {
			_ = req.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: n, Message: message})
		}
	}
	notify(0, message)
	go func() {
		defer close(p.ended)
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for n := 1.0; ; n++ {
			select {
			case <-second.C:
			case next, more := <-p.message:
				if !more {
					return
				}
				message = next
			}
			notify(n, message)
		}
	}()
	return p
}

func (p *progress) says(message string) { p.message <- message }

// end returns when no notification will follow.
func (p *progress) end() {
	close(p.message)
	<-p.ended
}
