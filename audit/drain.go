package audit

import (
	"fmt"
	"time"
)

// drain moves batches from the queue to the disk until the Log is closed and
// the queue is empty, or the last attempt failed.
func (l *Log) drain() {
	defer close(l.done)
	defer l.writer.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var batch []Event // stays until it is on disk
	for {
		l.pause(timer, len(batch) > 0)
		closed := l.isClosed()
		if len(batch) == 0 {
			batch = l.take()
		}
		err := l.write(batch)
		if err == nil {
			l.recycle(batch)
			batch = nil
		}
		l.settle(err)
		if closed && (err != nil || l.isEmpty()) {
			return
		}
	}
}

// pause waits for something to do: for an event and then for others to share
// its sync, or for the time to try again.
func (l *Log) pause(timer *time.Timer, retry bool) {
	wait := l.interval
	if retry {
		wait = retryInterval
	} else {
		select {
		case <-l.wake:
		case <-l.urgent:
			return
		}
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
	case <-l.urgent:
	}
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Log) isEmpty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0
}

// take empties the queue and lets those in who wait for room.
func (l *Log) take() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.queue
	l.queue, l.spare = l.spare, nil
	if l.lost > 0 {
		batch = append(batch, Event{Time: l.clock(), Kind: Note,
			Reason: fmt.Sprintf("%d events were lost: the record could not be written and the queue was full", l.lost)})
		l.accepted++
		l.lost = 0
	}
	l.room.Broadcast()
	return batch
}

// recycle makes a written batch the queue's other buffer.
func (l *Log) recycle(batch []Event) {
	clear(batch) // lets go of what the events refer to
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written += uint64(len(batch))
	l.spare = batch[:0]
}

// write writes a batch, and reports the first failure and the recovery.
func (l *Log) write(batch []Event) error {
	if len(batch) == 0 {
		return nil
	}
	err := l.writer.append(batch)
	before := l.Healthy()
	switch {
	case err == nil && before != nil:
		l.failure.Store(nil)
		l.logger.Info("audit record can be written again", "file", l.writer.path)
	case err != nil:
		if before == nil {
			l.logger.Error("audit record can't be written", "file", l.writer.path, "error", err)
		}
		err = fmt.Errorf("write the audit record: %w", err)
		l.failure.Store(&err)
	}
	return err
}

// settle answers those who wait for a sync, and wakes those who wait for room:
// a failure decides for both.
func (l *Log) settle(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.syncs[:0]
	for _, s := range l.syncs {
		if err == nil && s.accepted > l.written {
			waiting = append(waiting, s)
			continue
		}
		s.answer <- err
	}
	l.syncs = waiting
	if err != nil {
		l.room.Broadcast()
	}
}
