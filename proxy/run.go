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
	"github.com/latchgate/latchgate/proxy/scrub"
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

// RunConfig is what the gate knows when it opens a run.
type RunConfig struct {
	Principal string
	Door      string // exec, env, run, default
	Grants    []Grant
	Secrets   *secrets.View
	// Deadline is when the run expires; zero means it lives until it is closed.
	Deadline time.Time
	// MaxRequests bounds the requests of the run; 0 means no bound.
	MaxRequests int64
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
	Opened    time.Time
	Deadline  time.Time

	tokenHash [sha256.Size]byte
	rules     []*rule
	view      *secrets.View
	ctx       context.Context
	cancel    context.CancelCauseFunc
	expiry    *time.Timer
	max       int64
	requests  atomic.Int64

	routes  atomic.Pointer[map[authority]*route] // copy on write, one entry an authority
	routeMu sync.Mutex

	scrubber atomic.Pointer[scrubber] // replaced when the secrets file changes
	scrubMu  sync.Mutex
}

func newRun(c RunConfig, now time.Time) (*Run, string) {
	id, token := randomID(6), randomID(24)
	r := &Run{
		ID: "run-" + id, Principal: c.Principal, Door: c.Door, Opened: now, Deadline: c.Deadline,
		tokenHash: sha256.Sum256([]byte(token)), view: c.Secrets, max: c.MaxRequests,
	}
	for i := range c.Grants {
		r.rules = append(r.rules, newRule(c.Grants[i]))
		r.Actions = append(r.Actions, c.Grants[i].Manifest.ActionID)
	}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.routes.Store(&map[authority]*route{})
	return r, token
}

// Context is done when the run has ended; its cause says why.
func (r *Run) Context() context.Context { return r.ctx }

// Requests is the number of requests that the run has made so far.
func (r *Run) Requests() int64 { return r.requests.Load() }

// alive reports whether the run may still make requests. It is asked on every
// request, not once a tunnel: a revoked run stops inside its open tunnels.
func (r *Run) alive(now time.Time) bool {
	return r.ctx.Err() == nil && (r.Deadline.IsZero() || now.Before(r.Deadline))
}

func (r *Run) tokenIs(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], r.tokenHash[:]) == 1
}

// spend takes one request from the run's budget.
func (r *Run) spend() bool {
	return r.requests.Add(1) <= r.max || r.max == 0
}

func (r *Run) end(cause error) {
	if r.expiry != nil {
		r.expiry.Stop()
	}
	r.cancel(cause)
	// The compiled forms of the run's secrets go with it.
	r.scrubber.Store(nil)
}

// scrubber is the compiled set of every value that the run could have sent:
// those of now, and those that the file held earlier in this run.
type scrubber struct {
	generation uint64
	named      []scrub.Named
	set        *scrub.Set
}

// scrubSet returns the run's scrubber, compiled anew when the secrets changed.
// A rotated value stays in it until the run ends: an upstream may still send
// back what it was given before the rotation.
func (r *Run) scrubSet(set *secrets.Set) *scrubber {
	if s := r.scrubber.Load(); s != nil && s.generation == set.Generation() {
		return s
	}
	r.scrubMu.Lock()
	defer r.scrubMu.Unlock()
	old := r.scrubber.Load()
	if old != nil && old.generation == set.Generation() {
		return old
	}
	next := &scrubber{generation: set.Generation()}
	if old != nil {
		next.named = slices.Clone(old.named)
	}
	for _, name := range set.Names() {
		v, ok := set.Get(name)
		if !ok || v.Len() == 0 || slices.ContainsFunc(next.named, func(n scrub.Named) bool {
			return n.Name == name && v.Equal(secrets.NewValue(n.Value))
		}) {
			continue
		}
		next.named = append(next.named, scrub.Named{Name: name, Value: slices.Clone(v.Reveal())})
	}
	if len(next.named) > 0 {
		next.set = scrub.Compile(next.named)
	}
	if r.ctx.Err() == nil {
		r.scrubber.Store(next)
	}
	return next
}

// randomID returns n random bytes in lower-case hex.
func randomID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b)
}
