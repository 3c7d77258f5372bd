package proxy

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// scope is the context of a run's exchanges on one connection, one after the
// other. It ends when the run ends, when the client goes away, and when the
// server is cut; one is made for a connection, not for a request.
type scope struct {
	context.Context
	run    *Run
	cancel context.CancelFunc
	stops  [2]func() bool
	pass   informing // nil: nobody is told
	x      *exchange // the one under way

	mu        sync.Mutex
	interrupt func() // of the exchange under way
	answering bool   // the client is being answered
	linger    *time.Timer
	cut       func() // closes the client's connection; nil: there is none
}

func newScope(parent context.Context, run *Run) *scope {
	ctx, cancel := context.WithCancel(parent)
	s := &scope{Context: ctx, run: run, cancel: cancel}
	s.stops = [2]func() bool{context.AfterFunc(run.ctx, cancel), context.AfterFunc(ctx, s.fire)}
	return s
}

// Sequence returns a context for requests of r that [Wire.Do] sends one after the
// other, each when the answer before it was closed. It ends with r, and with ctx.
// Call end after the last.
func (r *Run) Sequence(ctx context.Context) (_ context.Context, end func()) {
	s := newScope(ctx, r)
	return s, s.end
}

func (s *scope) end() {
	if s != nil {
		s.stops[0]()
		s.stops[1]()
		s.cancel()
	}
}

func (s *scope) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupt != nil {
		s.interrupt()
		s.interrupt = nil
	}
	if s.answering {
		s.patience()
	}
}

// patience bounds what the client still takes of its answer: one that reads nothing
// would keep its place for ever.
func (s *scope) patience() {
	if s.cut != nil && s.linger == nil {
		s.linger = time.AfterFunc(closePatience, s.cut)
	}
}

// answers says that a client is being answered, until answered.
func (s *scope) answers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answering = true
	if s.Err() != nil {
		s.patience()
	}
}

func (s *scope) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answering = false
	if s.linger != nil {
		s.linger.Stop()
		s.linger = nil
	}
}

// Hold satisfies h1.Holder.
func (s *scope) Hold(interrupt func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err() != nil {
		interrupt()
		return
	}
	s.interrupt = interrupt
}

// Release satisfies h1.Holder.
func (s *scope) Release() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.interrupt != nil
	s.interrupt = nil
	return held
}

// scopeOf is ctx where that ends with run already, else nil.
func scopeOf(ctx context.Context, run *Run) *scope {
	if s, ok := ctx.(*scope); ok && s.run == run {
		return s
	}
	return nil
}

// Value satisfies context.Context; informational answers are handed on as by any
// door.
func (s *scope) Value(key any) any {
	if key == (informingKey{}) && s.pass != nil {
		return s.pass
	}
	return s.Context.Value(key)
}

// Inform satisfies h1.Informer.
func (s *scope) Inform(status int, h http.Header) {
	if s.pass != nil {
		s.x.cleanHeader(h)
		s.pass(status, h)
	}
}
