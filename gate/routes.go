package gate

import (
	"net/http"
	"os"
	"slices"
	"time"
)

// route is one call of the control API.
type route struct {
	pattern string // of http.ServeMux
	serve   func(c *Control, w http.ResponseWriter, r *http.Request, who string) error
}

// routes are all calls; docs/openapi.yaml describes each.
var routes = []route{
	{"GET /v1/status", (*Control).status},
	{"GET /v1/runs", (*Control).listRuns},
	{"POST /v1/runs", (*Control).openRun},
	{"POST /v1/runs/{id}/renew", (*Control).renewRun},
	{"POST /v1/runs/{id}/close", (*Control).closeRun},
	{"DELETE /v1/runs/{id}", (*Control).revokeRun},
	{"GET /v1/actions", (*Control).listActions},
	{"GET /v1/actions/{id}", (*Control).showAction},
	{"POST /v1/actions/{id}/execute", (*Control).execute},
	{"GET /v1/approvals", (*Control).listApprovals},
	{"GET /v1/approvals/{id}", (*Control).showApproval},
	{"GET /v1/approvals/{id}/wait", (*Control).waitForApproval},
	{"POST /v1/approvals/{id}/approve", (*Control).approve},
	{"POST /v1/approvals/{id}/deny", (*Control).deny},
	{"GET /v1/events", (*Control).events},
}

func (c *Control) status(w http.ResponseWriter, _ *http.Request, _ string) error {
	g := c.gate
	s := Status{Version: c.version, PID: os.Getpid(), Config: g.Config().File(), Metrics: c.metrics,
		Runs: len(g.runs.List()), Actions: g.state.Load().actions.Len(), Ready: true, Trust: g.trust}
	if ln := g.listener.Load(); ln != nil {
		s.Proxy = (*ln).String()
	}
	waiting, err := g.approvals.List()
	if err == nil {
		err = g.Ready()
	}
	if err != nil {
		s.Ready, s.Fault = false, err.Error()
	}
	for _, a := range waiting {
		if a.State == ApprovalPending {
			s.Approvals++
		}
	}
	return c.answer(w, s)
}

func (c *Control) listRuns(w http.ResponseWriter, _ *http.Request, _ string) error {
	return c.answer(w, c.gate.RunStatuses())
}

// RunStatuses lists the open runs, oldest first.
func (g *Gate) RunStatuses() []RunStatus {
	all := []RunStatus{}
	for _, r := range g.runs.List() {
		s := RunStatus{ID: r.ID, Principal: r.Principal, Door: r.Door, Actions: r.Actions, Opened: r.Opened, Expires: r.Deadline(),
			Requests: r.Requests(), Bytes: r.Bytes(), Ticket: r.Ticket}
		s.MaxRequests, s.MaxBytes = r.Budget()
		all = append(all, s)
	}
	return all
}

// maxTTL bounds the life of a run, so that it fits a Duration.
const maxTTL = 10 * 365 * 24 * time.Hour

// ttlOf reads a life in seconds.
func ttlOf(seconds float64) (time.Duration, error) {
	if seconds < 0 || seconds > maxTTL.Seconds() {
		return 0, &Error{Code: CodeBadRequest, Message: "ttl_seconds is negative or longer than ten years"}
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

func checkBudget(requests, bytes int64) error {
	if requests < 0 || bytes < 0 {
		return &Error{Code: CodeBadRequest, Message: "max_requests and max_bytes must not be negative; 0 is no bound"}
	}
	return nil
}

func (c *Control) openRun(w http.ResponseWriter, r *http.Request, who string) error {
	var q runRequest
	if err := readBody(w, r, &q); err != nil {
		return err
	}
	if q.Door != DoorExec && q.Door != DoorEnv {
		return &Error{Code: CodeBadRequest, Message: "door is exec or env"}
	}
	ttl, err := ttlOf(q.TTLSeconds)
	if err != nil {
		return err
	}
	if err := checkBudget(q.MaxRequests, q.MaxBytes); err != nil {
		return err
	}
	run, err := c.gate.Open(r.Context(), OpenRequest{Principal: who, Door: q.Door, Actions: q.Actions, TTL: ttl, MaxRequests: q.MaxRequests, MaxBytes: q.MaxBytes})
	if err != nil {
		return err
	}
	if q.Attached {
		defer c.gate.Close(run.ID)
	}
	_ = c.answer(w, run)
	if q.Attached && http.NewResponseController(w).Flush() == nil {
		select {
		case <-r.Context().Done():
		case <-run.run.Context().Done():
		}
	}
	return nil
}

func (c *Control) renewRun(w http.ResponseWriter, r *http.Request, _ string) error {
	var q renewRequest
	if err := readBody(w, r, &q); err != nil {
		return err
	}
	ttl, err := ttlOf(q.TTLSeconds)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if err := c.gate.Renew(r.Context(), id, ttl); err != nil {
		return err
	}
	all := c.gate.RunStatuses()
	if i := slices.IndexFunc(all, func(s RunStatus) bool { return s.ID == id }); i >= 0 {
		return c.answer(w, all[i])
	}
	return unknownRun()
}

func unknownRun() *Error {
	return &Error{Code: CodeRunUnknown, Message: "there is no open run of that id", Hint: "`latchgate runs list` shows the open ones"}
}

func (c *Control) closeRun(w http.ResponseWriter, r *http.Request, _ string) error {
	if !c.gate.Close(r.PathValue("id")) {
		return unknownRun()
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *Control) revokeRun(w http.ResponseWriter, r *http.Request, _ string) error {
	if !c.gate.Revoke(r.PathValue("id")) {
		return unknownRun()
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *Control) listActions(w http.ResponseWriter, _ *http.Request, _ string) error {
	return c.answer(w, c.gate.Actions())
}

// Actions lists the actions in force, by id.
func (g *Gate) Actions() []ActionStatus {
	all := []ActionStatus{}
	for _, m := range g.state.Load().actions.all() {
		all = append(all, DescribeAction(m))
	}
	return all
}

func (c *Control) showAction(w http.ResponseWriter, r *http.Request, _ string) error {
	a, err := c.gate.state.Load().actions.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.answer(w, DescribeAction(a.Manifest))
}

func (c *Control) execute(w http.ResponseWriter, r *http.Request, who string) error {
	var q executeRequest
	if err := readBody(w, r, &q); err != nil {
		return err
	}
	if q.Door != "" && q.Door != DoorRun && q.Door != DoorMCP {
		return &Error{Code: CodeBadRequest, Message: "door is run or mcp"}
	}
	ttl, err := ttlOf(q.TTLSeconds)
	if err != nil {
		return err
	}
	if err := checkBudget(q.MaxRequests, q.MaxBytes); err != nil {
		return err
	}
	done, err := c.gate.Execute(r.Context(), ExecuteRequest{Principal: who, Door: q.Door, Action: r.PathValue("id"), Args: q.Args,
		TTL: ttl, MaxRequests: q.MaxRequests, MaxBytes: q.MaxBytes})
	if err != nil {
		return err
	}
	return c.answer(w, done)
}

func (c *Control) listApprovals(w http.ResponseWriter, _ *http.Request, _ string) error {
	all, err := c.gate.approvals.List()
	if err != nil {
		return err
	}
	return c.answer(w, all)
}

func (c *Control) showApproval(w http.ResponseWriter, r *http.Request, _ string) error {
	a, err := c.gate.approvals.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.answer(w, a)
}

// maxWait is how long a request is held for a decision: people take longer than
// clients wait for an answer. Then the answer is that it is pending, and the
// client asks again.
const maxWait = 55 * time.Second

func waitOf(timeout string) (time.Duration, error) {
	if timeout == "" {
		return maxWait, nil
	}
	d, err := time.ParseDuration(timeout)
	if err != nil || d < 0 {
		return 0, &Error{Code: CodeBadRequest, Message: "timeout is a duration such as 30s"}
	}
	return min(d, maxWait), nil
}

func (c *Control) waitForApproval(w http.ResponseWriter, r *http.Request, _ string) error {
	wait, err := waitOf(r.URL.Query().Get("timeout"))
	if err != nil {
		return err
	}
	ctx, stop := c.untilClosing(r)
	defer stop()
	a, err := c.gate.approvals.Wait(ctx, r.PathValue("id"), wait)
	if err != nil {
		return err
	}
	return c.answer(w, a)
}

func (c *Control) approve(w http.ResponseWriter, r *http.Request, who string) error {
	a, err := c.gate.approvals.Approve(r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return c.answer(w, a)
}

func (c *Control) deny(w http.ResponseWriter, r *http.Request, who string) error {
	a, err := c.gate.approvals.Deny(r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return c.answer(w, a)
}
