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

// Control is the operator's door: JSON over HTTP on a unix socket of mode
// 0600, for processes of the same user and root alone.
type Control struct {
	gate    *Gate
	version string
	server  *http.Server
	lock    *os.File
	metrics string          // where the metrics are; "" where they are off
	closing context.Context // done when the server shuts down: who waits for something is answered
	close   context.CancelFunc
}

// NewControl makes the control API of a gate.
func NewControl(g *Gate, version string) *Control {
	c := &Control{gate: g, version: version}
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.pattern, c.guarded(r.serve))
	}
	c.closing, c.close = context.WithCancel(context.Background())
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ConnContext: withPeer,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)}
	c.server.RegisterOnShutdown(c.close)
	return c
}

// ServesMetrics says where the daemon serves its metrics, for GET /v1/status.
// It is called before Serve.
func (c *Control) ServesMetrics(address string) { c.metrics = address }

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

// Shutdown ends waits, event streams and attached runs, and lets other requests
// finish until ctx is done.
func (c *Control) Shutdown(ctx context.Context) error {
	defer c.close()
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

// guarded lets a handler answer the same user and root alone.
func (c *Control) guarded(serve func(*Control, http.ResponseWriter, *http.Request, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := principal(r)
		if err == nil {
			err = serve(c, w, r.WithContext(c.gate.traces.Context(r)), who)
		}
		if err != nil {
			c.fail(w, err)
		}
	}
}

func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	d.DisallowUnknownFields()
	d.UseNumber()
	err := d.Decode(into)
	if err == nil {
		if _, err = d.Token(); err == nil {
			err = errors.New("more than one JSON value")
		}
	}
	if !errors.Is(err, io.EOF) { // which is no body, or the end behind it
		return &Error{Code: CodeBadRequest, Message: "the request body is not the JSON that this call takes", Err: err}
	}
	return nil
}

// answer writes v, and returns nil: that the client went away is no failure.
func (c *Control) answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
	return nil
}

func (c *Control) fail(w http.ResponseWriter, err error) {
	e := asError(err, "")
	if e.Code == CodeInternal {
		c.gate.log.Error("control request failed", "err", errors.Join(err, e.Err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status())
	_ = json.NewEncoder(w).Encode(errorAnswer{e})
}
