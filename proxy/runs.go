package proxy

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTooManyRuns is returned by [Runs.Open] when max_runs runs are open.
var ErrTooManyRuns = errors.New("too many open runs")

// ErrDraining is returned by [Runs.Open] after [Runs.Refuse].
var ErrDraining = errors.New("no run is opened any more")

// Runs holds the open runs. The gate opens and closes them; the doors look
// them up. The zero value is not usable, call [NewRuns].
type Runs struct {
	max    int
	mu     sync.Mutex // serialises Open, Refuse and end; look-ups take no lock
	count  int
	refuse bool     // no run is opened any more
	byID   sync.Map // id -> *Run
	byTok  sync.Map // [32]byte (SHA-256 of the token) -> *Run
	dflt   atomic.Pointer[Run]
	now    func() time.Time
	ended  func(*Run, error)
}

// NewRuns makes an empty registry for at most limit open runs (0: no limit).
// ended, when not nil, is called once for each run that ends, with the cause.
func NewRuns(limit int, ended func(*Run, error)) *Runs {
	return &Runs{max: limit, now: time.Now, ended: ended}
}

// Open registers a run and returns it with its token, which is kept nowhere
// else: only its SHA-256 stays.
func (rs *Runs) Open(c RunConfig) (*Run, string, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.refuse {
		return nil, "", ErrDraining
	}
	if rs.max > 0 && rs.count >= rs.max {
		return nil, "", ErrTooManyRuns
	}
	r, token := newRun(c, rs.now())
	rs.count++
	rs.byID.Store(r.ID, r)
	rs.byTok.Store(r.tokenHash, r)
	if deadline := r.Deadline(); !deadline.IsZero() {
		r.expiry = time.AfterFunc(deadline.Sub(rs.now()), func() { rs.end(r, ErrRunExpired) })
	}
	return r, token, nil
}

// SetDefault makes r the run of a client that sends no credentials; nil takes
// that away.
func (rs *Runs) SetDefault(r *Run) { rs.dflt.Store(r) }

// Get returns the open run of that id.
func (rs *Runs) Get(id string) (*Run, bool) {
	v, ok := rs.byID.Load(id)
	if !ok {
		return nil, false
	}
	return v.(*Run), true
}

// Close ends a run with one of ErrRunClosed, ErrRunRevoked. In-flight requests
// and tunnels of the run are cut. It reports whether the run was open.
func (rs *Runs) Close(id string, cause error) bool {
	r, ok := rs.Get(id)
	return ok && rs.end(r, cause)
}

// Renew moves the deadline of a run to a later time; an earlier one changes
// nothing. It reports whether the run is open and has a deadline.
func (rs *Runs) Renew(id string, deadline time.Time) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r, ok := rs.Get(id)
	if !ok || r.Deadline().IsZero() {
		return false
	}
	if deadline.After(r.Deadline()) {
		r.deadline.Store(&deadline)
		r.expiry.Reset(deadline.Sub(rs.now()))
	}
	return true
}

// CloseAfter is Close with [ErrRunClosed] in that time, unless something ends
// the run before.
func (rs *Runs) CloseAfter(id string, d time.Duration) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r, ok := rs.Get(id); ok && r.expiry == nil {
		r.expiry = time.AfterFunc(d, func() { rs.end(r, ErrRunClosed) })
	}
}

// List returns the open runs, oldest first.
func (rs *Runs) List() []*Run {
	var all []*Run
	rs.byID.Range(func(_, v any) bool { all = append(all, v.(*Run)); return true })
	slices.SortFunc(all, func(a, b *Run) int {
		return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// Refuse lets no run be opened any more. Those that are open stay.
func (rs *Runs) Refuse() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.refuse = true
}

// CloseAll ends every run.
func (rs *Runs) CloseAll() {
	for _, r := range rs.List() {
		rs.end(r, ErrRunClosed)
	}
}

func (rs *Runs) end(r *Run, cause error) bool {
	rs.mu.Lock()
	if cause == ErrRunExpired && rs.now().Before(r.Deadline()) { // renewed while its timer fired
		rs.mu.Unlock()
		return false
	}
	_, open := rs.byID.LoadAndDelete(r.ID)
	if open {
		rs.count--
		rs.byTok.Delete(r.tokenHash)
		rs.dflt.CompareAndSwap(r, nil)
		r.end(cause)
	}
	rs.mu.Unlock()
	if open && rs.ended != nil {
		rs.ended(r, cause)
	}
	return open
}

// byToken finds the run that a bare Bearer token belongs to. The look-up is by
// the token's SHA-256, so its time says nothing about the token.
func (rs *Runs) byToken(token string) (*Run, bool) {
	v, ok := rs.byTok.Load(sha256.Sum256([]byte(token)))
	if !ok {
		return nil, false
	}
	return v.(*Run), true
}
