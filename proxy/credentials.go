package proxy

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/latchgate/latchgate/proxy/scrub"
	"github.com/latchgate/latchgate/secrets"
)

// credentials are a run's secrets as one decryption gave them, made ready: what
// each binding writes, and what is searched for in answers. That is every value
// that the run could have sent: those of now, and those that the file held
// earlier in this run. They are immutable, and let go of when the run and the
// last exchange that uses them have ended; the scrubber's bytes are overwritten
// then. The stamps are strings, which can't be: there is one of each, not one a
// request.
type credentials struct {
	generation uint64        // of the secrets that they were last made of
	stamps     []stamp       // by binding.index
	values     []scrub.Named // in scrub, by the indexes that it reports; copies: a Set that is held keeps the whole file
	scrub      *scrub.Set    // nil: nothing to search for
	refs       atomic.Int32  // one for the run, one for each exchange
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

// newCredentials makes the stamps of set, and compiles its values together with
// those of old.
func (r *Run) newCredentials(old *credentials, set *secrets.Set) *credentials {
	s := &credentials{generation: set.Generation()}
	s.refs.Store(1)
	put := func(name string, value []byte) {
		if len(value) > 0 && !slices.ContainsFunc(s.values, func(n scrub.Named) bool { return bytes.Equal(n.Value, value) }) {
			s.values = append(s.values, scrub.Named{Name: name, Value: bytes.Clone(value)})
		}
	}
	add := func(name string, value []byte) {
		put(name, value)
		put(name, bytes.Trim(value, " \t")) // as it arrives where a field ends in it
	}
	if old != nil {
		for _, n := range old.values {
			add(n.Name, n.Value)
		}
	}
	for _, name := range set.Names() {
		if v, ok := set.Get(name); ok {
			add(name, v.Reveal())
		}
	}
	s.scrub = scrub.Compile(s.values)
	s.stamps = r.stamps(set)
	return s
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
	s.scrub.Wipe()
	for _, n := range s.values {
		clear(n.Value)
	}
	for i := range s.stamps {
		clear(s.stamps[i].value)
	}
}
