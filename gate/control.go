package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

// maxControlBody bounds a request of the control API.
const maxControlBody = 8 << 20

// maxTTL bounds the life that a run is opened with, so that it fits a Duration.
const maxTTL = 10 * 365 * 24 * time.Hour

// Control is the operator's door: JSON over HTTP on a unix socket of mode
// 0600, for processes of the same user and root alone.
type Control struct {
	gate    *Gate
	version string
	server  *http.Server
	lock    *os.File
}

// Status is what GET /v1/status answers.
type Status struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Proxy   string `json:"proxy"`
	Metrics string `json:"metrics,omitempty"`
	Config  string `json:"config,omitempty"`
	Runs    int    `json:"runs"`
	Actions int    `json:"actions"`
	Ready   bool   `json:"ready"`
	Fault   string `json:"fault,omitempty"`
	Trust   Trust  `json:"trust"`
}

// RunStatus is one open run in GET /v1/runs.
type RunStatus struct {
	ID        string    `json:"run"`
	Principal string    `json:"principal"`
	Door      string    `json:"door"`
	Actions   []string  `json:"actions"`
	Opened    time.Time `json:"opened"`
	Expires   time.Time `json:"expires,omitzero"`
	Requests  int64     `json:"requests"`
}

// runRequest is the body of POST /v1/runs.
type runRequest struct {
	Door    string   `json:"door"`
	Actions []string `json:"actions"`
	// TTLSeconds is the life of the run; 0: until it is closed.
	TTLSeconds float64 `json:"ttl_seconds,omitempty"`
	// Attached ties the run to this request: the answer stays open, and the run
	// is closed when the client goes away, however it goes.
	Attached bool `json:"attached,omitempty"`
}

type executeRequest struct {
	Args map[string]any `json:"args"`
}

// NewControl makes the control API of a gate.
func NewControl(g *Gate, version string) *Control {
	c := &Control{gate: g, version: version}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", c.status)
	mux.HandleFunc("GET /v1/runs", c.list)
	mux.HandleFunc("POST /v1/runs", c.open)
	mux.HandleFunc("DELETE /v1/runs/{id}", c.revoke)
	mux.HandleFunc("POST /v1/actions/{id}/execute", c.execute)
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ConnContext: withPeer,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)}
	return c
}

// ErrRunning is returned by [Control.Listen] when another daemon has the socket.
var ErrRunning = errors.New("another latchgate proxy is running on this socket")

// Listen makes the socket, mode 0600 in a folder of mode 0700. A socket that a
// killed daemon left is replaced; one that answers is not. Which of the two it
// is, a lock beside it decides, so that two daemons that start at once don't
// both win.
func (c *Control) Listen() (net.Listener, error) {
	path := c.gate.Config().Gate.Socket
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("gate.socket: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("gate.socket: %w", err)
	}
	if err := lockFile(lock); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%w: %s", ErrRunning, path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		_ = lock.Close()
		return nil, fmt.Errorf("gate.socket: %w", err)
	}
	ln, err := listenPrivate(path)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("gate.socket: %w", err)
	}
	c.lock = lock
	return ln, nil
}

// Serve answers until Shutdown.
func (c *Control) Serve(ln net.Listener) error {
	if err := c.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown ends attached runs and lets other requests finish until ctx is done.
func (c *Control) Shutdown(ctx context.Context) error {
	err := c.server.Shutdown(ctx)
	_ = c.server.Close()
	if c.lock != nil {
		_ = c.lock.Close()
	}
	return err
}

// peerKey holds the uid of the process at the other end of the socket.
type peerKey struct{}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	uid, err := peerUID(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// principal names who is asking; it refuses processes of other users, should
// the socket's mode ever let one through.
func principal(r *http.Request) (string, error) {
	uid, ok := r.Context().Value(peerKey{}).(uint32)
	if !ok || uid != 0 && uid != uint32(os.Getuid()) {
		return "", &Error{Code: CodePolicyDenied, Message: "this socket is for the user who runs the daemon"}
	}
	return PrincipalOf(uid), nil
}

// PrincipalOf is the name under which a local user opens runs.
func PrincipalOf(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return "user:" + u.Username
	}
	return "uid:" + id
}

func (c *Control) status(w http.ResponseWriter, r *http.Request) {
	if _, err := principal(r); err != nil {
		c.fail(w, err)
		return
	}
	g := c.gate
	s := Status{Version: c.version, PID: os.Getpid(), Config: g.Config().File(), Metrics: g.Config().Metrics.Listen,
		Runs: len(g.runs.List()), Actions: g.state.Load().actions.Len(), Ready: true, Trust: g.trust}
	if ln := g.listener.Load(); ln != nil {
		s.Proxy = (*ln).String()
	}
	if err := g.Ready(); err != nil {
		s.Ready, s.Fault = false, err.Error()
	}
	c.answer(w, s)
}

func (c *Control) list(w http.ResponseWriter, r *http.Request) {
	if _, err := principal(r); err != nil {
		c.fail(w, err)
		return
	}
	c.answer(w, c.gate.RunStatuses())
}

// RunStatuses lists the open runs, oldest first.
func (g *Gate) RunStatuses() []RunStatus {
	all := []RunStatus{}
	for _, r := range g.runs.List() {
		all = append(all, RunStatus{ID: r.ID, Principal: r.Principal, Door: r.Door, Actions: r.Actions, Opened: r.Opened, Expires: r.Deadline, Requests: r.Requests()})
	}
	return all
}

func (c *Control) open(w http.ResponseWriter, r *http.Request) {
	who, err := principal(r)
	var q runRequest
	if err == nil {
		err = readBody(w, r, &q)
	}
	if err == nil && q.Door != DoorExec && q.Door != DoorEnv {
		err = &Error{Code: CodeBadRequest, Message: "door is exec or env"}
	}
	if err == nil && (q.TTLSeconds < 0 || q.TTLSeconds > maxTTL.Seconds()) {
		err = &Error{Code: CodeBadRequest, Message: "ttl_seconds is negative or longer than ten years"}
	}
	var run *OpenedRun
	if err == nil {
		run, err = c.gate.Open(r.Context(), OpenRequest{Principal: who, Door: q.Door, Actions: q.Actions,
			TTL: time.Duration(q.TTLSeconds * float64(time.Second))})
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	if q.Attached {
		defer c.gate.Close(run.ID)
	}
	c.answer(w, run)
	if q.Attached && http.NewResponseController(w).Flush() == nil {
		select {
		case <-r.Context().Done():
		case <-run.run.Context().Done():
		}
	}
}

func (c *Control) revoke(w http.ResponseWriter, r *http.Request) {
	_, err := principal(r)
	id := r.PathValue("id")
	if err == nil && !c.gate.Revoke(id) {
		err = &Error{Code: CodeRunUnknown, Message: "there is no open run of that id", Hint: "`latchgate runs list` shows the open ones"}
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *Control) execute(w http.ResponseWriter, r *http.Request) {
	who, err := principal(r)
	var q executeRequest
	if err == nil {
		err = readBody(w, r, &q)
	}
	var done *Executed
	if err == nil {
		done, err = c.gate.Execute(r.Context(), ExecuteRequest{Principal: who, Action: r.PathValue("id"), Args: q.Args})
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	c.answer(w, done)
}

func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return &Error{Code: CodeBadRequest, Message: "the request body is not the JSON that this call takes", Err: err}
	}
	return nil
}

func (c *Control) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (c *Control) fail(w http.ResponseWriter, err error) {
	e := asError(err, "")
	if e.Code == CodeInternal {
		c.gate.log.Error("control request failed", "err", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status())
	_ = json.NewEncoder(w).Encode(struct {
		Error *Error `json:"error"`
	}{e})
}
