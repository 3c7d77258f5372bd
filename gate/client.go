package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/latchgate/latchgate/audit"
)

// ErrNoDaemon is returned by [Dial] when no daemon answers on the socket.
var ErrNoDaemon = errors.New("no latchgate proxy is running")

// ErrSocketDenied is returned by [Dial] when this user may not use the socket.
var ErrSocketDenied = errors.New("permission denied on the socket of the latchgate proxy")

// Client talks to the daemon over its control socket.
type Client struct {
	http   *http.Client
	Status Status // as it was when the client was made
}

// Dial connects to the daemon on that socket. The error wraps [ErrNoDaemon]
// where nothing answers, and [ErrSocketDenied] where this user may not ask; any
// other error means that something does answer.
func Dial(ctx context.Context, socket string) (*Client, error) {
	c := &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &c.Status)
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("%w (%s)", ErrSocketDenied, socket)
		}
		return nil, fmt.Errorf("%w (socket %s)", ErrNoDaemon, socket)
	}
	return c, err
}

// Refresh asks the daemon for its status again.
func (c *Client) Refresh(ctx context.Context) error {
	var s Status
	if err := c.call(ctx, http.MethodGet, "/v1/status", nil, &s); err != nil {
		return err
	}
	c.Status = s
	return nil
}

// Runs lists the open runs, oldest first.
func (c *Client) Runs(ctx context.Context) (runs []RunStatus, err error) {
	return runs, c.call(ctx, http.MethodGet, "/v1/runs", nil, &runs)
}

// Open opens a run that lives for q.TTL, whatever becomes of this process. The
// principal is the user of this process, whatever q says; q.Args do not count.
func (c *Client) Open(ctx context.Context, q OpenRequest) (*OpenedRun, error) {
	return fetch[OpenedRun](ctx, c, http.MethodPost, "/v1/runs", wireOpen(q, false))
}

// OpenAttached opens a run that the daemon closes when release is called or
// this process ends, however it ends.
func (c *Client) OpenAttached(ctx context.Context, q OpenRequest) (run *OpenedRun, release func(), err error) {
	resp, err := c.send(ctx, http.MethodPost, "/v1/runs", wireOpen(q, true))
	if err != nil {
		return nil, nil, err
	}
	run = &OpenedRun{}
	if err := json.NewDecoder(resp.Body).Decode(run); err != nil {
		_ = resp.Body.Close()
		return nil, nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return run, func() { _ = resp.Body.Close() }, nil
}

func wireOpen(q OpenRequest, attached bool) runRequest {
	return runRequest{Door: q.Door, Actions: q.Actions, TTLSeconds: q.TTL.Seconds(), MaxRequests: q.MaxRequests, MaxBytes: q.MaxBytes, Attached: attached}
}

// Renew lets a run that expires live for ttl from now on, unless it lives
// longer already.
func (c *Client) Renew(ctx context.Context, run string, ttl time.Duration) (*RunStatus, error) {
	return fetch[RunStatus](ctx, c, http.MethodPost, "/v1/runs/"+url.PathEscape(run)+"/renew", renewRequest{ttl.Seconds()})
}

// Close ends a run that has done its work.
func (c *Client) Close(ctx context.Context, run string) error {
	return c.call(ctx, http.MethodPost, "/v1/runs/"+url.PathEscape(run)+"/close", nil, nil)
}

// Revoke ends a run that somebody else opened; its tunnels are cut.
func (c *Client) Revoke(ctx context.Context, run string) error {
	return c.call(ctx, http.MethodDelete, "/v1/runs/"+url.PathEscape(run), nil, nil)
}

// Actions lists the actions in force, by id.
func (c *Client) Actions(ctx context.Context) (all []ActionStatus, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/actions", nil, &all)
}

// Action returns one action.
func (c *Client) Action(ctx context.Context, id string) (*ActionStatus, error) {
	return fetch[ActionStatus](ctx, c, http.MethodGet, "/v1/actions/"+url.PathEscape(id), nil)
}

// Execute runs an action in the daemon, as [Gate.Execute] does. The principal is
// the user of this process, whatever q says.
func (c *Client) Execute(ctx context.Context, q ExecuteRequest) (*Executed, error) {
	return fetch[Executed](ctx, c, http.MethodPost, "/v1/actions/"+url.PathEscape(q.Action)+"/execute",
		executeRequest{Args: q.Args, Door: q.Door, TTLSeconds: q.TTL.Seconds(), MaxRequests: q.MaxRequests, MaxBytes: q.MaxBytes})
}

// Approvals lists the tickets, newest first; see [Approvals.List].
func (c *Client) Approvals(ctx context.Context) (all []Approval, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/approvals", nil, &all)
}

// Approval returns one ticket.
func (c *Client) Approval(ctx context.Context, ticket string) (*Approval, error) {
	return fetch[Approval](ctx, c, http.MethodGet, "/v1/approvals/"+url.PathEscape(ticket), nil)
}

// Approve lets the request of a ticket run, once, until the ticket expires.
func (c *Client) Approve(ctx context.Context, ticket string) (*Approval, error) {
	return fetch[Approval](ctx, c, http.MethodPost, "/v1/approvals/"+url.PathEscape(ticket)+"/approve", nil)
}

// Deny refuses the request of a ticket.
func (c *Client) Deny(ctx context.Context, ticket string) (*Approval, error) {
	return fetch[Approval](ctx, c, http.MethodPost, "/v1/approvals/"+url.PathEscape(ticket)+"/deny", nil)
}

// WaitApproval returns the ticket once it is decided or has expired, or ctx's
// error. The daemon holds each of its requests for 55 s at most.
func (c *Client) WaitApproval(ctx context.Context, ticket string) (*Approval, error) {
	for {
		a, err := fetch[Approval](ctx, c, http.MethodGet, "/v1/approvals/"+url.PathEscape(ticket)+"/wait", nil)
		if err != nil || a.State != ApprovalPending {
			return a, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// Events yields the events of the daemon's record that the filter lets through:
// recent ones first, then live, until ctx is done, which is no error, or the
// daemon shuts down, which is [ErrNoDaemon]. An error is the last thing that it
// yields.
func (c *Client) Events(ctx context.Context, f EventFilter) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		resp, err := c.send(ctx, http.MethodGet, "/v1/events?"+f.query().Encode(), nil)
		if err == nil {
			defer func() { _ = resp.Body.Close() }()
			err = eachEvent(resp.Body, func(e audit.Entry) bool { return yield(e, nil) })
		}
		if err != nil && ctx.Err() == nil {
			yield(audit.Entry{}, err)
		}
	}
}

// eachEvent reads NDJSON until use returns false, which is no error.
func eachEvent(r io.Reader, use func(audit.Entry) bool) error {
	d := json.NewDecoder(r)
	for {
		var e audit.Entry
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w any more", ErrNoDaemon)
		}
		if err != nil {
			return fmt.Errorf("read the daemon's events: %w", err)
		}
		if !use(e) {
			return nil
		}
	}
}

// fetch is call for one answer of type T.
func fetch[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	var v T
	if err := c.call(ctx, method, path, body, &v); err != nil {
		return nil, err
	}
	return &v, nil
}

func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if into == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	d := json.NewDecoder(resp.Body)
	d.UseNumber() // an argument's value is shown as it was given
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// send returns a response of 2xx, or the daemon's error as an [*Error].
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	raw := []byte{}
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://latchgate"+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var e struct {
		Error *Error `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxControlBody)).Decode(&e); err != nil || e.Error == nil {
		return nil, fmt.Errorf("the daemon answered %s", resp.Status)
	}
	return nil, e.Error
}
