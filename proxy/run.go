package proxy

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/secrets"
)

// Grant is one action of a run as the policy left it: what the manifest
// declares, less what the policy did not approve.
type Grant struct {
	Manifest *manifests.Manifest
	// Hosts are the approved domains; nil means all that the manifest allows.
	Hosts []manifests.HostPattern
	// Secrets are the approved secret names. A binding of any other secret
	// still owns its header (an agent cannot fill it) but never stamps one.
	Secrets []string
}

// NewGrant is an action with what a policy approved of it, by the names that
// the manifest declares.
func NewGrant(m *manifests.Manifest, secrets, hosts []string) Grant {
	g := Grant{Manifest: m, Secrets: secrets, Hosts: []manifests.HostPattern{}}
	for _, h := range m.Egress.AllowedDomains {
		if slices.Contains(hosts, h.String()) {
			g.Hosts = append(g.Hosts, h)
		}
	}
	if len(g.Hosts) == len(m.Egress.AllowedDomains) {
		g.Hosts = nil // all of them
	}
	return g
}

// RunConfig is what the gate knows when it opens a run.
type RunConfig struct {
	Principal string
	Door      string // exec, env, run, default
	Grants    []Grant
	Secrets   *secrets.View
	// Placeholders holds, for each variable that the manifests declare
	// ([manifests.Secret].Env), the token that the client was given for it. A
	// variable without one has no placeholder.
	Placeholders map[string]string
	// Deadline is when the run expires; zero means it lives until it is closed.
	Deadline time.Time
	// MaxRequests bounds the requests of the run, MaxBytes the bytes of their
	// and their answers' bodies together; 0 means no bound.
	MaxRequests int64
	MaxBytes    int64
	// Ticket names the approval that the run was opened with; "" for none.
	Ticket string
}

// Why a run ended. The cause of [Run.Context] is one of these.
var (
	ErrRunClosed  = errors.New("run closed")
	ErrRunExpired = errors.New("run expired")
	ErrRunRevoked = errors.New("run revoked")
)

// Run is what the wire knows of one run: who it is, until when, where it may
// go and which secrets it may use. It is immutable but for the state that the
// field comments name, and safe for concurrent use.
type Run struct {
	ID        string
	Principal string
	Door      string
	Actions   []string // action ids, in the order in which they were asked for
	Grants    []Grant  // of the actions, as the run was opened with them
	Opened    time.Time
	Ticket    string

	tokenHash    [sha256.Size]byte
	rules        []*rule
	placeholders *placeholders // nil: none
	view         *secrets.View
	ctx          context.Context
	cancel       context.CancelCauseFunc
	deadline     atomic.Pointer[time.Time] // replaced when the run is renewed
	expiry       *time.Timer

	maxRequests, maxBytes int64
	requests, bytes       atomic.Int64

	routeMu sync.RWMutex
	routes  map[authority]*route

	creds   atomic.Pointer[credentials] // replaced when the secrets file changes
	credsMu sync.Mutex
}

func newRun(c RunConfig, now time.Time) (*Run, string) {
	id, token := randomID(6), randomID(24)
	r := &Run{
		ID: "run-" + id, Principal: c.Principal, Door: c.Door, Grants: c.Grants, Opened: now, Ticket: c.Ticket,
		tokenHash: sha256.Sum256([]byte(token)), view: c.Secrets, maxRequests: c.MaxRequests, maxBytes: c.MaxBytes,
	}
	r.placeholders = newPlaceholders(c)
	r.deadline.Store(&c.Deadline)
	bindings, places := 0, map[string]int{}
	for i := range c.Grants {
		ru := newRule(c.Grants[i], r.placeholders)
		for j := range ru.bindings {
			b := &ru.bindings[j]
			written := b.written()
			if _, known := places[written]; !known {
				places[written] = len(places)
			}
			b.index, b.place = bindings, places[written]
			bindings++
		}
		r.rules = append(r.rules, ru)
		r.Actions = append(r.Actions, c.Grants[i].Manifest.ActionID)
	}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.routes = map[authority]*route{}
	return r, token
}

// Context is done when the run has ended; its cause says why.
func (r *Run) Context() context.Context { return r.ctx }

// Requests is the number of requests that the run has made so far.
func (r *Run) Requests() int64 { return r.requests.Load() }

// Bytes is the number of bytes of bodies that the run has moved so far, of
// requests and answers together, and all of a tunnel that is not intercepted.
func (r *Run) Bytes() int64 { return r.bytes.Load() }

// Budget is how many requests and bytes the run may have; 0 means no bound.
func (r *Run) Budget() (requests, bytes int64) { return r.maxRequests, r.maxBytes }

// Deadline is when the run expires; zero means it lives until it is closed.
func (r *Run) Deadline() time.Time { return *r.deadline.Load() }

// alive reports whether the run may still make requests. It is asked on every
// request, not once a tunnel: a revoked run stops inside its open tunnels.
func (r *Run) alive(now time.Time) bool {
	deadline := r.Deadline()
	return r.ctx.Err() == nil && (deadline.IsZero() || now.Before(deadline))
}

func (r *Run) tokenIs(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], r.tokenHash[:]) == 1
}

func (r *Run) end(cause error) {
	if r.expiry != nil {
		r.expiry.Stop()
	}
	r.cancel(cause)
	r.credsMu.Lock()
	defer r.credsMu.Unlock()
	r.creds.Swap(nil).release()
}

// randomID returns n random bytes in lower-case hex.
func randomID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b)
}
