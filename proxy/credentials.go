package proxy

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/latchgate/latchgate/proxy/scrub"
	"github.com/latchgate/latchgate/secrets"
)

// credentials are a run's secrets as one decryption gave them, made ready: what
// each binding writes, and what is searched for in answers. They are immutable,
// and let go of when the run and the last exchange that uses them have ended. The
// stamps are strings, which can't be overwritten: there is one of each, not one a
// request.
type credentials struct {
	*sought
	generation uint64       // of the secrets that they were last made of
	stamps     []stamp      // by binding.index
	refs       atomic.Int32 // one for the run, one for each exchange
}

// sought is what is searched for in answers: every value that a run could have
// sent, those of now and those that the file held earlier in the run. Runs that
// were given the same share it for as long as the decryption is in memory, and
// its bytes are overwritten when that and the last run have let go of it.
type sought struct {
	values []scrub.Named // in scrub, by the indexes that it reports; copies: a Set that is held keeps the whole file
	scrub  *scrub.Set    // nil: nothing to search for
	refs   atomic.Int32  // one for the decryption, one for each credentials
}

// credentialsFor returns the run's credentials, compiled anew when the secrets
// changed, and retained for the caller. A rotated value stays in it until the
// run ends: an upstream may still send back what it was given before.
func (r *Run) credentialsFor(set *secrets.Set) *credentials {
	if s := r.creds.Load(); s != nil && s.generation == set.Generation() && s.retain() {
		return s
	}
	r.credsMu.Lock()
	defer r.credsMu.Unlock()
	old := r.creds.Load()
	if old != nil && old.generation == set.Generation() && old.retain() {
		return old
	}
	next := r.newCredentials(old, set)
	if r.ctx.Err() == nil {
		next.retain()
		r.creds.Store(next)
		old.release()
	}
	return next
}

// newCredentials makes the stamps of set, and has its values searched for together
// with those of old.
func (r *Run) newCredentials(old *credentials, set *secrets.Set) *credentials {
	s := &credentials{generation: set.Generation(), sought: shared(set)}
	s.refs.Store(1)
	if old != nil && slices.ContainsFunc(old.values, func(n scrub.Named) bool { return !s.holds(n.Value) }) {
		all := newSought(slices.Concat(old.values, s.values))
		s.sought.release()
		s.sought = all
	}
	s.stamps = r.stamps(set)
	return s
}

// shared is what to search for of set alone, retained for the caller.
func shared(set *secrets.Set) *sought {
	names := set.Names()
	what, kept := set.Derive(strings.Join(names, "\x00"), func() (any, func()) {
		values := make([]scrub.Named, len(names))
		for i, name := range names {
			v, _ := set.Get(name)
			values[i] = scrub.Named{Name: name, Value: v.Reveal()}
		}
		w := newSought(values)
		return w, w.release
	})
	w := what.(*sought)
	if kept {
		w.refs.Add(1)
	}
	return w
}

// newSought copies the values, each once, and compiles them.
func newSought(values []scrub.Named) *sought {
	w := &sought{}
	w.refs.Store(1)
	add := func(name string, value []byte) {
		if len(value) > 0 && !w.holds(value) {
			w.values = append(w.values, scrub.Named{Name: name, Value: bytes.Clone(value)})
		}
	}
	for _, n := range values {
		add(n.Name, n.Value)
		add(n.Name, bytes.Trim(n.Value, " \t")) // as it arrives where a field ends in it
	}
	w.scrub = scrub.Compile(w.values)
	return w
}

func (w *sought) holds(value []byte) bool {
	return slices.ContainsFunc(w.values, func(n scrub.Named) bool { return bytes.Equal(n.Value, value) })
}

func (w *sought) release() {
	if w.refs.Add(-1) > 0 {
		return
	}
	w.scrub.Wipe()
	for _, n := range w.values {
		clear(n.Value)
	}
}

// stamps makes what each binding of the run writes.
func (r *Run) stamps(set *secrets.Set) []stamp {
	var all []stamp
	for _, ru := range r.rules {
		for i := range ru.bindings {
			b := &ru.bindings[i]
			var s stamp
			if v, ok := set.Get(b.secret); ok && b.approved {
				s = newStamp(b, v)
			}
			all = append(all, s)
		}
	}
	return all
}

// stamp is what b writes; one that is not ready where c is nil.
func (s *credentials) stamp(b *binding) *stamp {
	if s == nil {
		return &stamp{}
	}
	return &s.stamps[b.index]
}

// retain takes hold of s, unless it was let go of already.
func (s *credentials) retain() bool {
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
func (s *credentials) release() {
	if s == nil || s.refs.Add(-1) > 0 {
		return
	}
	s.sought.release()
	for i := range s.stamps {
		clear(s.stamps[i].value)
	}
}
