package proxy

import (
	"slices"
	"sync/atomic"

	"github.com/latchgate/latchgate/proxy/scrub"
	"github.com/latchgate/latchgate/secrets"
)

// scrubber is the compiled set of every value that a run could have sent:
// those of now, and those that the file held earlier in this run. It is
// immutable; its bytes are overwritten when the run and the last exchange that
// uses it have let go of it.
type scrubber struct {
	generation uint64         // of the secrets that it was last compiled for
	held       []*secrets.Set // whose values are in set
	names      []string       // of the secrets, by the indexes that set reports
	set        *scrub.Set     // nil: nothing to search for
	refs       atomic.Int32   // one for the run, one for each exchange
}

// scrubberFor returns the run's scrubber, compiled anew when the secrets
// changed, and retained for the caller. A rotated value stays in it until the
// run ends: an upstream may still send back what it was given before.
func (r *Run) scrubberFor(set *secrets.Set) *scrubber {
	if s := r.scrubber.Load(); s != nil && s.generation == set.Generation() && s.retain() {
		return s
	}
	r.scrubMu.Lock()
	defer r.scrubMu.Unlock()
	old := r.scrubber.Load()
	if old != nil && old.generation == set.Generation() && old.retain() {
		return old
	}
	next := newScrubber(old, set)
	if r.ctx.Err() == nil {
		next.retain()
		r.scrubber.Store(next)
		old.release()
	}
	return next
}

// newScrubber compiles the values of set together with those of old.
func newScrubber(old *scrubber, set *secrets.Set) *scrubber {
	s := &scrubber{generation: set.Generation()}
	s.refs.Store(1)
	var values []secrets.Value
	var named []scrub.Named
	add := func(from *secrets.Set) {
		news := false
		for _, name := range from.Names() {
			v, ok := from.Get(name)
			if !ok || v.Len() == 0 || slices.ContainsFunc(values, v.Equal) {
				continue
			}
			news = true
			values = append(values, v)
			named = append(named, scrub.Named{Name: name, Value: v.Reveal()}) // a view: from is held
			s.names = append(s.names, name)
		}
		if news {
			from.Retain()
			s.held = append(s.held, from)
		}
	}
	if old != nil {
		for _, from := range old.held {
			add(from)
		}
	}
	add(set)
	s.set = scrub.Compile(named)
	return s
}

// retain takes hold of s, unless it was let go of already.
func (s *scrubber) retain() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release lets go of s; nil is fine.
func (s *scrubber) release() {
	if s == nil || s.refs.Add(-1) > 0 {
		return
	}
	s.set.Wipe()
	for _, from := range s.held {
		from.Release()
	}
}
