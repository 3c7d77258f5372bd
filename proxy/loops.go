package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// loops are the loops that run.
type loops struct {
	mu       sync.Mutex
	all      map[*loop]struct{}
	draining bool
	running  sync.WaitGroup

	watching atomic.Bool // a round is to come
	rounds   *time.Timer
	looks    sync.WaitGroup
	ended    bool // no round any more
}

// watchEvery is the time between two rounds.
const watchEvery = 50 * time.Millisecond

// watch makes sure that rounds are made while there are exchanges.
func (ls *loops) watch() {
	if ls.watching.Load() {
		return
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.watching.Load() || ls.ended {
		return
	}
	ls.watching.Store(true)
	if ls.rounds == nil {
		ls.rounds = time.AfterFunc(watchEvery, ls.round)
		return
	}
	ls.rounds.Reset(watchEvery)
}

// round has a look at the client of each exchange that the last round saw too.
func (ls *loops) round() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.ended {
		return
	}
	ls.watching.Store(false) // whoever begins from here on asks for another round
	under := false
	for l := range ls.all {
		now := l.watch.exchange.Load()
		if now%2 == 1 {
			under = true
			if now == l.watch.seen && now != l.watch.looked {
				l.watch.looked = now
				ls.looks.Go(func() { l.watch.look(l) })
			}
		}
		l.watch.seen = now
	}
	if under {
		ls.watching.Store(true)
		ls.rounds.Reset(watchEvery)
	}
}

// add counts a loop, unless the server is draining.
func (ls *loops) add(l *loop) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.draining {
		return false
	}
	if ls.all == nil {
		ls.all = map[*loop]struct{}{}
	}
	ls.all[l] = struct{}{}
	ls.running.Add(1)
	return true
}

func (ls *loops) remove(l *loop) {
	ls.mu.Lock()
	delete(ls.all, l)
	ls.mu.Unlock()
	ls.running.Done()
}

// drain closes the idle connections; the others end with the answer they are at.
func (ls *loops) drain() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.draining = true
	for l := range ls.all {
		if l.state.CompareAndSwap(idle, over) {
			_ = l.raw.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// cut closes all connections.
func (ls *loops) cut() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.ended = true; ls.rounds != nil {
		ls.rounds.Stop()
	}
	for l := range ls.all {
		_ = l.raw.Close()
	}
}

// watch notices a client that goes away while its request is under way. It costs
// a goroutine only when the answer takes longer than a round of [loops.rounds]:
// a timer for each request would cost as much as the request.
type watch struct {
	exchange atomic.Uint32 // odd while one is under way
	seen     uint32        // what the last round saw; of the rounds alone
	looked   uint32        // what a round had a look for; of the rounds alone

	mu      sync.Mutex
	armed   bool
	scope   *scope        // ended when the client goes
	reading chan struct{} // closed when the watching goroutine is done; nil: there is none
}

func (w *watch) begin(l *loop) {
	if l.br.Buffered() > 0 {
		return // the next request is here; while it waits nobody can tell
	}
	w.mu.Lock()
	w.armed, w.scope = true, l.scope
	w.mu.Unlock()
	w.exchange.Add(1)
	l.s.loops.watch()
}

// look reads ahead: nothing comes before the answer unless the client pipelines,
// or goes.
func (w *watch) look(l *loop) {
	w.mu.Lock()
	if !w.armed || w.reading != nil {
		w.mu.Unlock()
		return
	}
	done := make(chan struct{})
	w.reading = done
	_ = l.conn.SetReadDeadline(time.Time{})
	w.mu.Unlock()
	defer close(done)
	_, err := l.br.Peek(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.armed && w.scope != nil {
		w.scope.cancel()
	}
}

// stop ends the watching; br is the loop's again.
func (w *watch) stop(l *loop) {
	w.mu.Lock()
	if !w.armed {
		w.mu.Unlock()
		return
	}
	w.exchange.Add(1)
	w.armed, w.scope = false, nil
	reading := w.reading
	w.reading = nil
	if reading != nil {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0))
	}
	w.mu.Unlock()
	if reading != nil {
		<-reading
		l.in.due = time.Time{}
	}
}
