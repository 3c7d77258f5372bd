package gate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate/provider"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy"
)

// ExecuteRequest asks for one execution of an action through its provider.
type ExecuteRequest struct {
	Principal string
	Door      string // DoorRun or DoorMCP; "" is DoorRun
	Action    string
	Args      map[string]any
	// TTL, MaxRequests and MaxBytes bound the run below what the action's limits
	// do anyway; 0: nothing more.
	TTL         time.Duration
	MaxRequests int64
	MaxBytes    int64
}

// Executed is what an execution gave.
type Executed struct {
	Run      string          `json:"run"`
	Action   string          `json:"action"`
	Result   json.RawMessage `json:"result"` // the provider's output document
	IOCalls  int             `json:"io_calls"`
	Duration time.Duration   `json:"duration_ns"`
}

// Execute runs an action: validate the arguments, ask the policy, resolve the
// secrets, open the run, instantiate the provider, execute, close the run,
// validate the result. Every failure is an [*Error] with a code of its own.
//
// Like [Gate.Open] it does not wait for an approval: code approval_required
// comes with a ticket, and once that is approved the same call executes.
func (g *Gate) Execute(ctx context.Context, q ExecuteRequest) (*Executed, error) {
	ctx, span := g.traces.Start(ctx, "execute")
	done, err := g.executeAsked(ctx, q)
	e := audit.Event{Principal: q.Principal}
	if err != nil {
		failure := asError(err, "")
		e.Run, e.Code = failure.Run, failure.Code
	} else {
		e.Run = done.Run
	}
	if e.Run != "" { // else the action is what a client typed
		e.Action = q.Action
	}
	g.traces.End(span, e, "")
	return done, err
}

func (g *Gate) executeAsked(ctx context.Context, q ExecuteRequest) (*Executed, error) {
	st := g.state.Load()
	open := OpenRequest{Principal: q.Principal, Door: cmp.Or(q.Door, DoorRun), Actions: []string{q.Action}, Args: q.Args, state: st,
		TTL: q.TTL, MaxRequests: q.MaxRequests, MaxBytes: q.MaxBytes}
	a, err := st.actions.find(q.Action)
	if err != nil {
		return nil, g.refused(open, err)
	}
	open.Args = WithDefaults(a.IO.RequestSchema, q.Args)
	open.TTL = least(q.TTL, a.Limits.Timeout+time.Second)
	open.MaxRequests = least(q.MaxRequests, int64(a.Limits.MaxIOCalls))
	if a.ProviderModuleDigest == "" {
		return nil, g.refused(open, &Error{Code: CodeNoProvider, Action: a.ActionID,
			Message: fmt.Sprintf("action %s has no provider: it is for agents, through the proxy", a.ActionID),
			Hint:    fmt.Sprintf("latchgate exec --action %s -- COMMAND", a.ActionID)})
	}
	raw, err := a.checkArgs(open.Args)
	if err != nil {
		return nil, g.refused(open, err)
	}
	open.tokens = map[string]string{}
	template, err := a.template(open.tokens)
	if err != nil {
		return nil, g.refused(open, err)
	}
	run, err := g.Open(ctx, open)
	if err != nil {
		return nil, err
	}
	done, err := g.executeRun(ctx, q, a, run, raw, template)
	if err != nil {
		e := asError(err, a.ActionID)
		e.Run = run.ID
		return nil, e
	}
	return done, nil
}

// executeRun executes in an open run, closes it, validates the result, and
// records what came of it. The record is not closed before that.
func (g *Gate) executeRun(ctx context.Context, q ExecuteRequest, a *action, run *OpenedRun, args []byte, template *provider.Template) (done *Executed, err error) {
	if g.executing.TryRLock() {
		defer g.executing.RUnlock()
		done, err = g.execute(ctx, a, run, args, template)
	} else {
		err = &Error{Code: CodeDraining, Message: "latchgate is shutting down", Hint: "try again in a moment"}
	}
	if err != nil {
		err = g.failure(ctx, run, err)
	}
	g.runs.Close(run.ID, endOf(err))
	if err == nil {
		err = a.checkResult(done.Result)
	}
	g.recordExecution(q, a, run, err)
	return done, err
}

// Why the run of an execution ended, where the execution did not succeed.
var (
	errExecutionFailed    = errors.New("execution failed")
	errExecutionCancelled = errors.New("execution cancelled")
)

func endOf(err error) error {
	var e *Error
	switch {
	case err == nil:
		return proxy.ErrRunClosed
	case errors.As(err, &e) && e.Code == CodeCancelled:
		return errExecutionCancelled
	}
	return errExecutionFailed
}

// least is the smaller of two bounds; 0 is none.
func least[T int64 | time.Duration](a, b T) T {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// template is the action's own, with a placeholder wherever it names one. They
// are put into tokens, by variable: an execution has no others, as nobody would
// see them. nil where the provider brings its own requests.
func (a *action) template(tokens map[string]string) (*provider.Template, error) {
	if a.Template == nil {
		return nil, nil
	}
	t := a.Template.WithPlaceholders(func(secret string) string {
		i := slices.IndexFunc(a.Secrets, func(s manifests.Secret) bool { return s.Name == secret })
		s := &a.Secrets[i] // the parser knows all that are named
		if tokens[s.Env] == "" {
			tokens[s.Env] = newPlaceholder(s.Placeholder)
		}
		return tokens[s.Env]
	})
	if t != a.Template {
		return providerTemplate(t), nil
	}
	return a.prepared()
}

func providerTemplate(t *manifests.Template) *provider.Template {
	return &provider.Template{Method: t.Method, URL: t.URLTemplate, Headers: t.Headers, Body: t.BodyTemplate}
}

// execute lets the provider work.
func (g *Gate) execute(ctx context.Context, a *action, run *OpenedRun, args []byte, template *provider.Template) (*Executed, error) {
	started := time.Now()
	module, err := a.loadModule(ctx, run, g.providers)
	if err != nil {
		return nil, err
	}
	input, err := provider.BuildInput(a.ActionID, args, template)
	if err != nil {
		return nil, err
	}
	wire := g.wire.Load()
	// The execution ends with its run, whatever ended that. The guest's requests,
	// one after the other, end with its time; their context is not made of the
	// guest's, which is cancelled when it returns: to tell them would cost a
	// goroutine for each execution.
	ctx, cancel := context.WithTimeout(ctx, a.Limits.Timeout)
	defer cancel()
	defer context.AfterFunc(run.run.Context(), cancel)()
	var requests context.Context
	end := func() {}
	defer func() { end() }()
	result, err := module.Execute(ctx, provider.Call{
		Action: a.ActionID, Input: input,
		Limits: provider.Limits{Timeout: a.Limits.Timeout, MemoryMB: a.Limits.MemoryMB, MaxIOCalls: a.Limits.MaxIOCalls,
			MaxHostResponseBytes: a.Limits.MaxHostResponseBytes, MaxResponseBytes: a.IO.MaxResponseBytes},
		HTTP: func(_ context.Context, r *http.Request) (*http.Response, error) {
			if requests == nil {
				requests, end = run.run.Sequence(ctx)
			}
			resp := wire.Do(run.run, r.WithContext(requests))
			if err := ctx.Err(); err != nil { // what the wire says of that is no answer
				_ = resp.Body.Close()
				return nil, err
			}
			return resp, nil
		},
		Log: g.guestLog(a, run),
	})
	if err != nil {
		return nil, err
	}
	return &Executed{Run: run.ID, Action: a.ActionID, Result: result.Output, IOCalls: result.IOCalls, Duration: time.Since(started)}, nil
}

// guestLog hands a provider's own lines to the log. No secret can be in them:
// none ever enters a module.
func (g *Gate) guestLog(a *action, run *OpenedRun) func(slog.Level, string) {
	return func(level slog.Level, msg string) {
		g.log.Log(context.Background(), level, "provider: "+msg, "action", a.ActionID, "run", run.ID)
	}
}

// failure is a failed execution as the caller sees it. A failure that the guest
// reported carries the guest's own error document; where the run itself ended
// first, or the caller gave up, that is the reason.
func (g *Gate) failure(ctx context.Context, run *OpenedRun, err error) error {
	if run.run.Context().Err() != nil {
		return &Error{Code: CodeRunUnknown, Message: "the run ended before its provider did", Err: err}
	}
	if ctx.Err() == context.Canceled {
		return cancelled(err)
	}
	e := asError(err, "")
	if p, ok := err.(*provider.Error); ok && len(p.Detail) > 0 {
		e.Detail = p.Detail
	}
	return e
}

func (g *Gate) recordExecution(q ExecuteRequest, a *action, run *OpenedRun, err error) {
	e := audit.Event{Time: time.Now(), Kind: audit.Execution, Run: run.ID, Principal: q.Principal, Action: a.ActionID, Duration: time.Since(run.run.Opened)}
	if err != nil {
		failure := asError(err, a.ActionID)
		e.Code = failure.Code
		cause := failure.Message
		if failure.Err != nil {
			cause = failure.Err.Error()
		}
		level := slog.LevelWarn
		if failure.Code == CodeCancelled { // nothing is wrong
			level = slog.LevelInfo
		}
		g.log.Log(context.Background(), level, "execution failed", "run", run.ID, "action", a.ActionID, "code", failure.Code, "cause", cause)
	}
	g.audit.Record(e)
}
