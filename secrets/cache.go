package secrets

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// An entry is one decrypted file. It is alive as long as somebody holds it: the
// cache until the TTL or a newer entry, and each Set in use. The last one to let
// go overwrites the bytes.
type entry struct {
	id         fileID
	nearby     *nearby // the file's path, where it is one; nil where not
	generation uint64
	values     map[string]Value
	mem        *memory
	timer      *time.Timer // set while the entry is in the cache
	holders    atomic.Int64
	derivedMu  sync.Mutex
	derived    map[string]derived
}

// derived is what somebody made of values; drop is called when the entry goes.
type derived struct {
	what any
	drop func()
}

// maxDerived bounds what is kept beside one decryption.
const maxDerived = 256

// retain takes hold of an entry that may be gone; it reports false if it is.
func (e *entry) retain() bool {
	for {
		n := e.holders.Load()
		if n == 0 {
			return false
		}
		if e.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (e *entry) release() {
	switch n := e.holders.Add(-1); {
	case n == 0:
		e.wipe()
	case n < 0:
		panic("secrets: a Set was released more often than it was acquired")
	}
}

func (e *entry) wipe() {
	e.mem.wipe()
	e.derivedMu.Lock()
	defer e.derivedMu.Unlock()
	for _, d := range e.derived {
		d.drop()
	}
	e.derived = nil
}

// A flight is one decryption of one state of the file, and those who wait for it.
type flight struct {
	id      fileID
	reason  string
	done    chan struct{}
	waiters int // under Store.mu
	cancel  context.CancelFunc
	entry   *entry // valid once done is closed; each waiter holds it once
	err     error
}

// acquire returns the entry for the file as it is now, held once for the caller.
// The hit takes no lock.
func (s *Store) acquire(ctx context.Context) (*entry, error) {
	id, err := s.identify()
	if err != nil {
		if id, err = s.reappears(ctx, s.unreadable(err)); err != nil {
			return nil, err
		}
	}
	if e := s.current.Load(); e != nil && e.id == id && e.retain() {
		s.metrics.hits.Inc()
		return e, nil
	}
	f, err := s.join(id)
	if err != nil {
		return nil, err
	}
	if f == nil { // it was decrypted between the look and the lock
		return s.acquire(ctx)
	}
	return s.await(ctx, f)
}

// identify says what the file is now. The cache knows a cheaper way to find out.
func (s *Store) identify() (fileID, error) {
	if e := s.current.Load(); e != nil {
		if id, ok := e.nearby.identify(); ok {
			return id, nil
		}
	}
	return identify(s.opts.File)
}

// join returns the flight that decrypts this state of the file, starting it where
// there is none; nil means that the cache has it by now.
func (s *Store) join(id fileID) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if e := s.current.Load(); e != nil {
		if e.id == id {
			return nil, nil
		}
		s.dropLocked(e, missChanged)
	}
	f := s.flights[id]
	if f == nil {
		f = &flight{id: id, reason: s.lastReason, done: make(chan struct{})}
		var ctx context.Context
		ctx, f.cancel = context.WithTimeout(s.ctx, s.opts.DecryptTimeout)
		s.flights[id] = f
		s.wg.Go(func() { s.fly(ctx, f) })
	}
	f.waiters++
	s.metrics.misses.WithLabelValues(f.reason).Inc()
	return f, nil
}

func (s *Store) fly(ctx context.Context, f *flight) {
	defer f.cancel()
	e, cacheable, err := s.load(ctx)
	s.land(f, e, cacheable, err)
	s.Recheck() // whoever watches the file had nothing to forget before this
}

// land hands the outcome to those who wait.
func (s *Store) land(f *flight, e *entry, cacheable bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.landLocked(f)
	if err != nil {
		f.err = err
		if f.waiters > 0 { // and was not stopped
			s.logLocked(err)
		}
	} else {
		s.generation++
		e.generation = s.generation
		e.holders.Store(int64(f.waiters))
		if cacheable && !s.closed {
			s.keepLocked(e)
		}
		if e.holders.Load() == 0 {
			e.wipe()
		}
		f.entry = e
	}
	close(f.done)
}

// await waits for the flight. Who gives up leaves; the last one to leave stops it.
func (s *Store) await(ctx context.Context, f *flight) (*entry, error) {
	select {
	case <-f.done:
		return f.entry, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-f.done: // landed meanwhile
		if f.entry != nil {
			f.entry.release()
		}
	default:
		if f.waiters--; f.waiters == 0 {
			s.landLocked(f) // nobody may join what is being stopped
			f.cancel()
		}
	}
	return nil, ctx.Err()
}

// landLocked ends that others may join f.
func (s *Store) landLocked(f *flight) {
	if s.flights[f.id] == f {
		delete(s.flights, f.id)
	}
}

// keepLocked puts e into the cache and starts the timer that takes it out.
func (s *Store) keepLocked(e *entry) {
	s.dropLocked(s.current.Load(), missChanged)
	e.holders.Add(1)
	e.timer = time.AfterFunc(TTL, func() { s.forget(e, missExpired) })
	s.current.Store(e)
}

// Recheck forgets what was decrypted, at once, if the file is no longer what it
// was. It is for whoever is told of changes in the file's folder; without such a
// one the next look-up, or the TTL, does the same.
func (s *Store) Recheck() {
	e := s.current.Load()
	if e == nil {
		return
	}
	if id, err := identify(s.opts.File); err == nil && id == e.id {
		return
	}
	if s.forget(e, missChanged) {
		s.log.Debug("the secrets file changed; what was decrypted is forgotten", "file", s.opts.File)
	}
}

// forget takes e out of the cache, and reports whether it was in it. What was made
// of the values, a request's header for instance, is garbage that nobody can
// overwrite; collected, its memory is used for other things.
func (s *Store) forget(e *entry, reason string) bool {
	s.mu.Lock()
	dropped := s.dropLocked(e, reason)
	s.mu.Unlock()
	if dropped {
		runtime.GC()
	}
	return dropped
}

// dropLocked takes e out of the cache if it is what the cache holds.
func (s *Store) dropLocked(e *entry, reason string) bool {
	if e == nil || s.current.Load() != e {
		return false
	}
	s.current.Store(nil)
	s.lastReason = reason
	e.timer.Stop()
	e.release()
	return true
}
