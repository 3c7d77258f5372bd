package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options tunes a [Log]. The zero value is what the daemon uses.
type Options struct {
	Logger   *slog.Logger     // where trouble with the record is reported; nil for nowhere
	Clock    func() time.Time // stamps events without a time; nil for time.Now
	MaxBytes int64            // size from which a file is rotated; 0 for 64 MiB
	Queue    int              // events that may wait for the disk; 0 for 4096
	Interval time.Duration    // longest time that an event waits for others to share a sync with; 0 for 50 ms

	// Lossy says what Record does when the queue is full because the record
	// can't be written: false waits until it can, true drops the event, counts
	// it, and writes the count into the record when writing works again.
	Lossy bool

	// Tolerant lets Open succeed where the record can't be opened: Healthy says
	// why, and it is tried again for every event.
	Tolerant bool
}

const (
	defaultMaxBytes = 64 << 20
	defaultQueue    = 4096
	defaultInterval = 50 * time.Millisecond
	retryInterval   = time.Second
)

// Log appends to a record. A nil Log and one opened with an empty path discard
// everything. All methods may be called from several goroutines.
type Log struct {
	logger   *slog.Logger
	clock    func() time.Time
	capacity int
	interval time.Duration
	lossy    bool

	mu       sync.Mutex
	room     sync.Cond // the queue was taken, or what Record waits for changed
	queue    []Event
	spare    []Event // the other buffer of the pair that queue swaps with
	syncs    []syncRequest
	accepted uint64 // events ever put into the queue
	written  uint64 // of those, events on disk
	lost     uint64 // events dropped since the last note about it
	closed   bool

	failure atomic.Pointer[error] // nil: the last batch was written
	wake    chan struct{}         // the queue is not empty any more
	urgent  chan struct{}         // don't wait for others: sync, close or a queue half full
	done    chan struct{}         // drain has returned; nil for a Log that discards

	writer *writer // of drain alone
}

// syncRequest is answered when as many events as were accepted are on disk, or
// when writing them fails.
type syncRequest struct {
	accepted uint64
	answer   chan error // buffered
}

// Open opens the record at path, makes it (0600, in a folder of mode 0700) where
// it is missing, and continues its chain where not. A line that a crash left
// incomplete is moved to a file beside it, with a note in the record. Several
// processes may have the same record open.
//
// An empty path gives a Log that discards. The error says why path can't be
// written, unless Options.Tolerant takes that; a file that holds something else
// than a record is refused and left alone.
func Open(path string, o Options) (*Log, error) {
	if path == "" {
		return nil, nil
	}
	l := &Log{
		logger: o.Logger, clock: o.Clock, capacity: o.Queue, interval: o.Interval, lossy: o.Lossy,
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), done: make(chan struct{}),
	}
	l.room.L = &l.mu
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	if l.capacity <= 0 {
		l.capacity = defaultQueue
	}
	if l.interval <= 0 {
		l.interval = defaultInterval
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	var err error
	if l.writer, err = openWriter(path, o.MaxBytes, l.clock); err != nil {
		err = fmt.Errorf("open the audit record: %w", err)
		if !o.Tolerant || errors.Is(err, errForeign) {
			l.writer.close()
			return nil, err
		}
		l.logger.Error("audit record can't be written", "file", path, "error", err)
		l.failure.Store(&err)
	}
	go l.drain()
	return l, nil
}

// Record puts e into the queue; it is on disk some 50 ms later, or when
// [Log.Sync] returns. It does no I/O. The slices of e must not be changed
// afterwards.
//
// No event is dropped: while the queue is full Record waits. That is short
// while the disk works and as long as it does not where it doesn't, so a caller
// that can refuse work looks at [Log.Healthy] first. See Options.Lossy for the
// other choice. An event recorded after Close is lost, and reported to the log.
func (l *Log) Record(e Event) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = l.clock()
	}
	l.mu.Lock()
	for len(l.queue) >= l.capacity && !l.closed {
		if l.lossy && l.failure.Load() != nil {
			l.lost++
			l.mu.Unlock()
			return
		}
		l.room.Wait()
	}
	if l.closed {
		l.mu.Unlock()
		l.logger.Error("audit event recorded after close", "kind", e.Kind, "run", e.Run)
		return
	}
	l.queue = append(l.queue, e)
	l.accepted++
	waiting := len(l.queue)
	l.mu.Unlock()
	if waiting == 1 {
		nudge(l.wake)
	}
	if waiting == (l.capacity+1)/2 {
		nudge(l.urgent)
	}
}

// Sync returns when every event recorded before the call is on disk. The error
// is that of the attempt to write them, or ctx's; the events stay in the queue.
func (l *Log) Sync(ctx context.Context) error {
	if l == nil {
		return nil
	}
	answer := make(chan error, 1)
	l.mu.Lock()
	l.syncs = append(l.syncs, syncRequest{l.accepted, answer})
	l.mu.Unlock()
	nudge(l.urgent)
	select {
	case err := <-answer:
		return err
	case <-l.done:
		select {
		case err := <-answer:
			return err
		default:
			return errors.New("the audit record is closed")
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Healthy returns why the last batch could not be written, or nil. It costs one
// atomic load.
func (l *Log) Healthy() error {
	if l == nil {
		return nil
	}
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Close writes what is in the queue, with one attempt, and ends the Log. The
// error says that events were lost, and how many. Where ctx ends first Close
// returns its error, and the write goes on until the disk answers.
func (l *Log) Close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	l.closed = true
	l.room.Broadcast()
	l.mu.Unlock()
	nudge(l.urgent)
	select {
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		if missing := l.accepted - l.written + l.lost; missing > 0 {
			return fmt.Errorf("close the audit record: %d events lost: %w", missing, l.Healthy())
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the audit record: %w", ctx.Err())
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
