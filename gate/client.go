package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ErrNoDaemon is returned by [Dial] when no daemon answers on the socket.
var ErrNoDaemon = errors.New("no latchgate proxy is running")

// Client talks to the daemon over its control socket.
type Client struct {
	http   *http.Client
	Status Status // as it was when the client was made
}

// Dial connects to the daemon on that socket. The error wraps [ErrNoDaemon]
// where nothing answers; any other error means that something does.
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
		return nil, fmt.Errorf("%w (socket %s)", ErrNoDaemon, socket)
	}
	return c, err
}

// Runs lists the open runs.
func (c *Client) Runs(ctx context.Context) (runs []RunStatus, err error) {
	return runs, c.call(ctx, http.MethodGet, "/v1/runs", nil, &runs)
}

// Revoke ends a run.
func (c *Client) Revoke(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/runs/"+url.PathEscape(id), nil, nil)
}

// Execute runs an action in the daemon.
func (c *Client) Execute(ctx context.Context, action string, args map[string]any) (*Executed, error) {
	var done Executed
	if err := c.call(ctx, http.MethodPost, "/v1/actions/"+url.PathEscape(action)+"/execute", executeRequest{Args: args}, &done); err != nil {
		return nil, err
	}
	return &done, nil
}

// Open opens a run that lives for ttl, whatever becomes of this process.
func (c *Client) Open(ctx context.Context, door string, actions []string, ttl time.Duration) (*OpenedRun, error) {
	var run OpenedRun
	q := runRequest{Door: door, Actions: actions, TTLSeconds: ttl.Seconds()}
	if err := c.call(ctx, http.MethodPost, "/v1/runs", q, &run); err != nil {
		return nil, err
	}
	return &run, nil
}

// OpenAttached opens a run that the daemon closes when release is called or
// this process ends, however it ends.
func (c *Client) OpenAttached(ctx context.Context, door string, actions []string) (run *OpenedRun, release func(), err error) {
	resp, err := c.send(ctx, http.MethodPost, "/v1/runs", runRequest{Door: door, Actions: actions, Attached: true})
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
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// send returns a response of 2xx, or the daemon's error as an [*Error].
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
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
