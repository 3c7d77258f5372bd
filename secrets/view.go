package secrets

import (
	"context"
	"slices"
	"sync/atomic"
)

// Want is one secret that a run may have.
type Want struct {
	Name     string
	Required bool // the run is denied when the file does not hold it
}

// View is one run's window onto the store: the names it was made with and nothing
// else. It may be used from any goroutine.
type View struct {
	store *Store
	wants []Want
	last  atomic.Pointer[Set]
}

// View returns the window of a run that may have the wanted secrets: declared by
// its actions and approved by the policy. A name that is wanted twice is required
// if one of them says so.
func (s *Store) View(wants []Want) *View {
	v := &View{store: s}
	for _, w := range wants {
		if i := slices.IndexFunc(v.wants, func(have Want) bool { return have.Name == w.Name }); i >= 0 {
			v.wants[i].Required = v.wants[i].Required || w.Required
		} else {
			v.wants = append(v.wants, w)
		}
	}
	return v
}

// Acquire returns the secrets of the view as the file holds them now. The caller
// calls [Set.Release] when it needs them no more. A view that wants nothing, and
// a store without a file, give an empty Set and read nothing.
//
// Errors are *[Error]s, [ErrClosed], or the context's.
func (v *View) Acquire(ctx context.Context) (*Set, error) {
	if len(v.wants) == 0 || !v.store.Configured() {
		return &Set{}, nil
	}
	e, err := v.store.acquire(ctx)
	if err != nil {
		v.store.count(err)
		return nil, err
	}
	if set := v.last.Load(); set != nil && set.entry == e {
		return set, nil
	}
	set := v.filter(e)
	v.last.Store(set)
	return set, nil
}

// filter keeps declared ∩ approved and drops the rest before anything runs.
func (v *View) filter(e *entry) *Set {
	set := &Set{entry: e, values: make(map[string]Value, len(v.wants))}
	for _, w := range v.wants {
		value, ok := e.values[w.Name]
		if ok {
			set.values[w.Name] = value
		} else if w.Required {
			set.missing = append(set.missing, w.Name)
		}
	}
	return set
}

// Set is the secrets of one view out of one decryption. It does not change; a
// changed file gives another Set.
type Set struct {
	entry   *entry // nil: empty, nothing to release
	values  map[string]Value
	missing []string // required and not there
}

// Get returns the value of name; false where the file has none or null, or the
// name is not one of the view's.
func (s *Set) Get(name string) (Value, bool) {
	v, ok := s.values[name]
	return v, ok
}

// Names returns the names that Get answers, sorted.
func (s *Set) Names() []string {
	names := make([]string, 0, len(s.values))
	for name := range s.values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// RequireAll returns nil, or an *[Error] of code [RequiredSecretMissing] that
// names every required secret that is not there. Without a secrets file nothing
// is missing: the wire refuses what it can't stamp.
func (s *Set) RequireAll() error {
	if len(s.missing) == 0 {
		return nil
	}
	e := missing(slices.Clone(s.missing))
	if nested(s.entry.values) {
		e.Detail = nestedDetail
	}
	return e
}

// Generation tells decryptions apart: what was derived from a Set holds for every
// Set of the same generation that is held. 0 is the empty Set's.
func (s *Set) Generation() uint64 {
	if s.entry == nil {
		return 0
	}
	return s.entry.generation
}

// Derive returns what make made of the Set's values, made once for all Sets of a
// decryption under this key, which says what it was made of. The decryption lets
// go of it by drop when it leaves memory itself; where it has no room for more, or
// the Set is empty, kept is false and what is new is the caller's alone. The Set
// must be held.
func (s *Set) Derive(key string, make func() (what any, drop func())) (what any, kept bool) {
	if s.entry == nil {
		what, _ = make()
		return what, false
	}
	e := s.entry
	e.derivedMu.Lock()
	defer e.derivedMu.Unlock()
	if d, ok := e.derived[key]; ok {
		return d.what, true
	}
	what, drop := make()
	if len(e.derived) >= maxDerived {
		return what, false
	}
	if e.derived == nil {
		e.derived = map[string]derived{}
	}
	e.derived[key] = derived{what, drop}
	return what, true
}

// Release lets go of the Set. When nobody holds it and the cache has dropped it,
// the bytes of its values are overwritten. Each Acquire needs exactly one.
func (s *Set) Release() {
	if s.entry != nil {
		s.entry.release()
	}
}
