package tui

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/latchgate/latchgate/audit"
)

const (
	drainEvery = 250 * time.Millisecond // how often new events reach the screens
	pollEvery  = time.Second
	// answerTimeout bounds a question to the daemon, which answers at once.
	answerTimeout = 10 * time.Second
	// staleAfter is when what the daemon said is not of now any more.
	staleAfter = 3 * time.Second
	maxEntries = 1000 // events that are kept
	recent     = 500  // events of before that are asked for
)

// feed collects events between two looks of the screens, so that a busy daemon
// does not make them draw for every request.
type feed struct {
	mu      sync.Mutex
	pending []audit.Entry
	fault   error
	last    audit.Entry
}

// follow reads the daemon's events until ctx is done, again and again: the
// daemon may go away and come back.
func (f *feed) follow(ctx context.Context, b Backend) {
	for ctx.Err() == nil {
		for e, err := range b.Events(ctx, recent) {
			f.add(e, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// add keeps an event that is not known from an earlier connection.
func (f *feed) add(e audit.Entry, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault = err; err != nil || e.Seq <= f.last.Seq && !e.Time.After(f.last.Time) {
		return
	}
	f.last = e
	f.pending = append(f.pending, e)
	if over := len(f.pending) - maxEntries; over > 0 {
		f.pending = append(f.pending[:0], f.pending[over:]...)
	}
}

// take returns what came since the last look.
func (f *feed) take() ([]audit.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.pending
	f.pending = nil
	return got, f.fault
}

// What the screens are told.
type (
	tickMsg   time.Time
	sampleMsg struct {
		sample Sample
		err    error
		at     time.Time
	}
	installMsg struct {
		found Installation
		at    time.Time
	}
	secretsMsg struct {
		all []Secret
		err error
	}
	// doneMsg is the end of something that the operator asked for.
	doneMsg struct {
		text   string
		lines  []string // more to say than fits a line
		err    error
		reload bool   // what is on disk has changed
		secret string // that was set
	}
	verdictMsg struct {
		verdict Verdict
		err     error
	}
)

func tick() tea.Cmd {
	return tea.Tick(drainEvery, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// bounded gives a command of the screens an end, whatever it waits for.
func bounded(ctx context.Context, do func(context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return do(ctx)
	}
}

// change does what the operator asked for. It goes on when the operator quits
// meanwhile, and [Run] waits for it.
func (s *shared) change(do func(context.Context) doneMsg) tea.Cmd {
	done := make(chan doneMsg, 1)
	s.changes.Go(func() {
		msg := do(s.ctx)
		if s.over.Load() {
			s.late.Store(&msg)
		}
		done <- msg
	})
	return func() tea.Msg { return <-done }
}

func (s *shared) poll() tea.Cmd {
	s.polling = true
	return bounded(s.ctx, func(ctx context.Context) tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		sample, err := s.backend.Poll(ctx)
		return sampleMsg{sample, err, s.now()}
	})
}

func (s *shared) lookAtDisk() tea.Cmd {
	return tea.Batch(
		bounded(s.ctx, func(ctx context.Context) tea.Msg { return installMsg{s.backend.Installation(ctx), s.now()} }),
		bounded(s.ctx, func(ctx context.Context) tea.Msg {
			all, err := s.backend.Secrets(ctx)
			return secretsMsg{all, err}
		}))
}

// shared is what all screens look at.
type shared struct {
	ctx     context.Context
	backend Backend
	now     func() time.Time
	feed    *feed

	polling   bool
	polled    time.Time // last answer
	asked     bool      // there was one at all
	sample    Sample
	daemon    error // why the sample is not of now; nil when it is
	rates     rates
	entries   []audit.Entry // newest first
	feedFault error

	install    *Installation
	looked     time.Time // when the installation was looked at
	secrets    []Secret
	secretsErr error
	secretsIn  bool // secrets were looked at

	changes sync.WaitGroup
	over    atomic.Bool             // the screens are gone
	late    atomic.Pointer[doneMsg] // of a change that ended after them

	note    string // of the last thing that was done
	noteBad bool
}

// live is when the daemon answers.
func (s *shared) live() bool { return s.asked && s.daemon == nil && !s.stale() }

// stale is when the daemon takes long over its next answer.
func (s *shared) stale() bool {
	return s.asked && s.daemon == nil && s.now().Sub(s.polled) > staleAfter
}

func (s *shared) sampled(msg sampleMsg) {
	s.polling, s.asked, s.polled, s.daemon = false, true, msg.at, msg.err
	if msg.err != nil {
		s.rates.gap()
		s.sample = Sample{}
		return
	}
	s.sample = msg.sample
	s.rates.add(msg.at, msg.sample)
}

// drain takes new events, newest first.
func (s *shared) drain() {
	got, fault := s.feed.take()
	if s.feedFault = fault; len(got) == 0 {
		return
	}
	slices.Reverse(got)
	s.entries = append(got, s.entries[:min(len(s.entries), max(maxEntries-len(got), 0))]...)
}

func (s *shared) say(text string, bad bool) { s.note, s.noteBad = text, bad }

// rates are what moved between two samples, one point a second.
type rates struct {
	at                                         time.Time
	last                                       *Counters
	runs, requests, injections, denials, cache []float64
}

// maxPoints is as wide as a sparkline gets.
const maxPoints = 240

// gap forgets the counters: those of a daemon that comes back begin at nothing.
func (r *rates) gap() { r.last = nil }

func (r *rates) add(at time.Time, s Sample) {
	push(&r.runs, float64(len(s.Runs)))
	was, now := r.last, s.Counters
	seconds := at.Sub(r.at).Seconds()
	r.at, r.last = at, now
	if was == nil || now == nil || seconds <= 0 {
		return
	}
	push(&r.requests, max(0, now.Requests-was.Requests)/seconds)
	push(&r.injections, max(0, now.Injections-was.Injections)/seconds)
	push(&r.denials, max(0, now.Denials-was.Denials)/seconds)
	if rate, ok := now.hitRate(); ok {
		push(&r.cache, rate)
	}
}

func push(series *[]float64, v float64) {
	*series = append(*series, v)
	if over := len(*series) - maxPoints; over > 0 {
		*series = (*series)[over:]
	}
}

// hitRate is the share of look-ups that needed no decryption, in percent.
func (c *Counters) hitRate() (float64, bool) {
	if c == nil || c.CacheHits+c.CacheMisses == 0 {
		return 0, false
	}
	return 100 * c.CacheHits / (c.CacheHits + c.CacheMisses), true
}
