package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/proxy"
	"github.com/latchgate/latchgate/secrets"
)

// Doors through which a run is asked for.
const (
	DoorExec    = "exec"
	DoorEnv     = "env"
	DoorRun     = "run"
	DoorMCP     = "mcp"
	DoorDefault = "default"
)

// OpenRequest asks for a run.
type OpenRequest struct {
	Principal string
	Door      string
	Actions   []string
	TTL       time.Duration  // 0: the run lives until it is closed
	Args      map[string]any // of the action, when a provider is to execute it
	// MaxRequests bounds the run's requests, MaxBytes the bytes of their and
	// their answers' bodies together; 0: no bound.
	MaxRequests int64
	MaxBytes    int64

	state  *state            // what the caller looked at already; nil: what is in force
	tokens map[string]string // the run's placeholders; nil: one for each variable
}

// OpenedRun is a run and what its client needs to use it.
type OpenedRun struct {
	ID      string    `json:"run"`
	Token   string    `json:"token"`
	Actions []string  `json:"actions"`
	Expires time.Time `json:"expires,omitzero"` // zero: when it is closed
	// Proxy is what HTTP_PROXY is set to: the door's URL with the run's
	// credentials in it.
	Proxy string `json:"proxy"`
	// Placeholders holds, for each variable that the actions declare, a
	// worthless token to put into it: a client that insists on a key gets this.
	Placeholders map[string]string `json:"placeholders"`
	// SecretNames are the declared secrets; a variable of such a name is taken
	// out of a child's environment.
	SecretNames []string `json:"secret_names"`
	Trust       Trust    `json:"trust"`

	run *proxy.Run
}

// Open opens a run of the actions: manifests, policy and approval, secrets, run,
// in this order. Everything that goes wrong refuses the run with an [*Error].
//
// It never waits for an approval. Code approval_required comes with a ticket:
// once that is approved, the same request opens the run.
func (g *Gate) Open(ctx context.Context, q OpenRequest) (*OpenedRun, error) {
	ctx, span := g.traces.Start(ctx, "open run")
	o, err := g.open(ctx, q)
	if err != nil {
		if ctx.Err() == context.Canceled {
			err = cancelled(err)
		}
		refused := g.refused(q, err)
		g.traces.End(span, audit.Event{Principal: q.Principal, Code: refused.Code}, "")
		return nil, refused
	}
	g.traces.End(span, audit.Event{Run: o.ID, Principal: q.Principal, Actions: o.Actions, Secrets: o.SecretNames}, "")
	return o, nil
}

func (g *Gate) open(ctx context.Context, q OpenRequest) (*OpenedRun, error) {
	if len(q.Actions) == 0 {
		return nil, &Error{Code: CodeBadRequest, Message: "no action was named", Hint: "name at least one with --action; `latchgate actions list` shows them"}
	}
	st := q.state
	if st == nil {
		st = g.state.Load()
	}
	if err := g.audit.Healthy(); err != nil && st.config.Audit.OnFailure == "refuse" {
		return nil, &Error{Code: CodeAuditUnavailable, Message: "the audit record can't be written, and no run is opened without one", Err: err,
			Hint: "the operator's log has the cause; audit.on_failure in latchgate.toml says what happens then"}
	}
	var grants []proxy.Grant
	var asks []ask
	for _, id := range q.Actions {
		if slices.ContainsFunc(grants, func(gr proxy.Grant) bool { return gr.Manifest.ActionID == id }) {
			continue
		}
		a, err := st.actions.find(id)
		if err != nil {
			return nil, err
		}
		grant, why, err := g.decide(ctx, q, a.Manifest)
		if err != nil {
			return nil, err
		}
		if grants = append(grants, grant); why != "" {
			asks = append(asks, ask{id, why})
		}
	}
	var ticket string
	if len(asks) > 0 {
		var err error
		if ticket, err = g.approved(q, grants, asks); err != nil {
			return nil, err
		}
	}
	view, err := g.resolve(ctx, st.secrets, grants)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // nobody would use the run, nor the approval
		return nil, cancelled(err)
	}
	return g.openDecided(q, grants, view, ticket)
}

// openDecided opens a run that nothing speaks against any more, and uses its
// approval up.
func (g *Gate) openDecided(q OpenRequest, grants []proxy.Grant, view *secrets.View, ticket string) (*OpenedRun, error) {
	if ticket != "" {
		claimed, err := g.approvals.claim(ticket)
		if err != nil {
			return nil, err
		}
		if !claimed {
			return nil, &Error{Code: CodeApprovalEnded, Ticket: ticket, Message: "the approval was used or withdrawn in this moment", Hint: "ask again, for another ticket"}
		}
	}
	var deadline time.Time
	if q.TTL > 0 {
		deadline = time.Now().Add(q.TTL)
	}
	tokens := q.tokens
	if tokens == nil {
		tokens = placeholders(grants)
	}
	run, token, err := g.runs.Open(proxy.RunConfig{Principal: q.Principal, Door: q.Door, Grants: grants, Secrets: view, Placeholders: tokens,
		Deadline: deadline, MaxRequests: q.MaxRequests, MaxBytes: q.MaxBytes, Ticket: ticket})
	if err != nil {
		if ticket != "" {
			err = errors.Join(err, g.approvals.giveBack(ticket))
		}
		return nil, err
	}
	for _, id := range run.Actions {
		g.metrics.open.WithLabelValues(id).Inc()
	}
	g.audit.Record(audit.Event{Time: run.Opened, Kind: audit.RunOpened, Run: run.ID, Principal: q.Principal, Actions: run.Actions, Secrets: secretNames(grants), Ticket: ticket})
	g.says("run opened", slog.String("run", run.ID), slog.String("principal", q.Principal), slog.String("door", q.Door), slog.String("actions", strings.Join(run.Actions, ",")))
	return &OpenedRun{ID: run.ID, Token: token, Actions: run.Actions, Expires: deadline, Proxy: g.proxyURL(run.ID, token),
		Placeholders: tokens, SecretNames: secretNames(grants), Trust: g.trust, run: run}, nil
}

// ask is an action that a person has to agree to, and why.
type ask struct{ action, reason string }

// decide asks the policy about one action of the run. why is not empty where a
// person has to agree.
func (g *Gate) decide(ctx context.Context, q OpenRequest, m *manifests.Manifest) (_ proxy.Grant, why string, err error) {
	d := g.policy.Action(ctx, policy.InputFor(m, q.Principal, q.Door, q.Actions, q.Args))
	if !d.Allow {
		return proxy.Grant{}, "", &Error{Code: CodePolicyDenied, Action: m.ActionID,
			Message: fmt.Sprintf("the policy says no to %s: %s", m.ActionID, d.Reason),
			Hint:    "`[policy]` in latchgate.toml says which policy is in force"}
	}
	if d.RequireApproval {
		why = cmp.Or(d.Reason, "the policy gives no reason")
	}
	for _, s := range m.Secrets {
		if s.Required && !slices.Contains(d.ApprovedSecrets, s.Name) {
			return proxy.Grant{}, "", &Error{Code: CodePolicyDenied, Action: m.ActionID,
				Message: fmt.Sprintf("the policy does not approve secret %s, which %s requires", s.Name, m.ActionID)}
		}
	}
	return proxy.NewGrant(m, d.ApprovedSecrets, d.ApprovedHosts), why, nil
}

// approved returns the approved ticket that this very request has, or the error
// that names the one that it needs.
func (g *Gate) approved(q OpenRequest, grants []proxy.Grant, asks []ask) (ticket string, err error) {
	var needs, reasons, names []string
	for _, a := range asks {
		needs = append(needs, fmt.Sprintf("action %s needs approval: %s", a.action, a.reason))
		reasons = append(reasons, a.action+": "+a.reason)
		names = append(names, strconv.Quote(a.action))
	}
	refused := &Error{Code: CodeApprovalRequired, Message: strings.Join(needs, "; ")}
	always := fmt.Sprintf("put %s into the allow list under [policy.data] in latchgate.toml", strings.Join(names, ", "))
	if q.Door == DoorDefault { // nobody could approve before the daemon runs, and anybody would use it
		refused.Hint = "proxy.default_actions can't ask: " + always
		return "", refused
	}
	want := Approval{Principal: q.Principal, Door: q.Door, Reasons: reasons, Hosts: []string{}, Secrets: []string{}, Arguments: argumentsOf(q.Args),
		TTLSeconds: q.TTL.Seconds(), MaxRequests: q.MaxRequests, MaxBytes: q.MaxBytes}
	for _, gr := range grants {
		want.Actions = append(want.Actions, gr.Manifest.ActionID)
		want.Secrets = append(want.Secrets, gr.Secrets...)
		hosts := gr.Hosts
		if hosts == nil {
			hosts = gr.Manifest.Egress.AllowedDomains
		}
		for _, h := range hosts {
			want.Hosts = append(want.Hosts, h.String())
		}
	}
	if err := want.seal(q.Args, grants); err != nil {
		return "", err
	}
	got, err := g.approvals.ask(want, q.Args)
	if err != nil {
		return "", err
	}
	refused.Ticket = got.Ticket
	until := got.Expires.Local().Format(time.TimeOnly)
	switch got.State {
	case ApprovalApproved:
		return got.Ticket, nil
	case ApprovalDenied:
		refused.Code, refused.Message = CodeApprovalDenied, "approval was denied: "+strings.Join(reasons, "; ")
		refused.Hint = fmt.Sprintf("it can be asked for again after %s", until)
	default:
		refused.Hint = fmt.Sprintf("approve it with `latchgate approvals approve %s` before %s and ask again; to let it run always, %s", got.Ticket, until, always)
	}
	return "", refused
}

// resolve makes the run's view of the secrets and looks once whether all that
// is required is there: before anything runs.
func (g *Gate) resolve(ctx context.Context, store *secrets.Store, grants []proxy.Grant) (*secrets.View, error) {
	var wants []secrets.Want
	for _, gr := range grants {
		for _, s := range gr.Manifest.Secrets {
			if !slices.Contains(gr.Secrets, s.Name) {
				continue
			}
			if i := slices.IndexFunc(wants, func(w secrets.Want) bool { return w.Name == s.Name }); i >= 0 {
				wants[i].Required = wants[i].Required || s.Required
				continue
			}
			wants = append(wants, secrets.Want{Name: s.Name, Required: s.Required})
		}
	}
	if len(wants) == 0 {
		return nil, nil
	}
	if !store.Configured() && slices.ContainsFunc(wants, func(w secrets.Want) bool { return w.Required }) {
		g.log.Warn("action has policy-approved secrets but no sops_secrets_file is configured")
	}
	view := store.View(wants)
	set, err := view.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer set.Release()
	return view, set.RequireAll()
}

// refused records a run that was not opened, and returns what the caller may
// see of the reason.
func (g *Gate) refused(q OpenRequest, err error) *Error {
	only := ""
	if len(q.Actions) == 1 {
		only = q.Actions[0]
	}
	e := asError(err, only)
	for _, id := range q.Actions {
		if _, ferr := g.state.Load().actions.find(id); ferr == nil { // else the label would be what a client typed
			g.metrics.runs.WithLabelValues(id, "refused").Inc()
		}
	}
	g.audit.Record(audit.Event{Time: time.Now(), Kind: audit.RunRefused, Principal: q.Principal, Actions: q.Actions, Code: e.Code, Ticket: e.Ticket, Reason: e.Message})
	attrs := []any{"code", e.Code, "principal", q.Principal, "actions", strings.Join(q.Actions, ","), "reason", e.Message}
	// Who asked is told code and reason; it is a warning where the log knows more.
	level := slog.LevelInfo
	var sec *secrets.Error
	if errors.As(err, &sec) && sec.Detail != "" {
		level, attrs = slog.LevelWarn, append(attrs, "detail", sec.Detail)
	}
	if e.Err != nil && e.Err.Error() != e.Message {
		level, attrs = slog.LevelWarn, append(attrs, "cause", e.Err.Error())
	}
	g.log.Log(context.Background(), level, "run refused", attrs...)
	return e
}

// ended is called once for each run that ends, whatever ended it.
func (g *Gate) ended(r *proxy.Run, cause error) {
	outcome := "closed"
	switch {
	case errors.Is(cause, proxy.ErrRunExpired):
		outcome = "expired"
	case errors.Is(cause, proxy.ErrRunRevoked):
		outcome = "revoked"
	case errors.Is(cause, errExecutionFailed):
		outcome = "failed"
	case errors.Is(cause, errExecutionCancelled):
		outcome = "cancelled"
	}
	open := time.Since(r.Opened)
	for _, id := range r.Actions {
		g.metrics.open.WithLabelValues(id).Dec()
		g.metrics.runs.WithLabelValues(id, outcome).Inc()
		g.metrics.duration.WithLabelValues(id).Observe(open.Seconds())
	}
	g.audit.Record(audit.Event{Time: time.Now(), Kind: audit.RunClosed, Run: r.ID, Principal: r.Principal, Actions: r.Actions, Reason: outcome, Duration: open})
	g.says("run closed", slog.String("run", r.ID), slog.String("outcome", outcome), slog.Int64("requests", r.Requests()), slog.Duration("open", open.Round(time.Millisecond)))
}

// says is g.log.Info for what every run says: it does not look up which line of
// code says it, which no handler of ours prints.
func (g *Gate) says(msg string, attrs ...slog.Attr) {
	h := g.log.Handler()
	if ctx := context.Background(); h.Enabled(ctx, slog.LevelInfo) {
		r := slog.NewRecord(time.Now(), slog.LevelInfo, msg, 0)
		r.AddAttrs(attrs...)
		_ = h.Handle(ctx, r) // as a Logger does
	}
}

// Close ends a run. It reports whether the run was open.
func (g *Gate) Close(id string) bool { return g.runs.Close(id, proxy.ErrRunClosed) }

// Revoke ends a run that somebody else opened; its tunnels are cut.
func (g *Gate) Revoke(id string) bool { return g.runs.Close(id, proxy.ErrRunRevoked) }

func secretNames(grants []proxy.Grant) []string {
	names := []string{}
	for _, gr := range grants {
		for _, s := range gr.Manifest.Secrets {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}
