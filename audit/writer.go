package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// writer appends batches to a record. It is used by one goroutine; other
// processes may append to the same record.
type writer struct {
	path     string
	maxBytes int64
	clock    func() time.Time

	head head
	file *os.File    // nil: look at the record again before the next batch
	info os.FileInfo // of file
	size int64       // of file, as this writer left it
	last link        // of the last line that is known to be on disk
	buf  []byte
	note []Event // about the record itself; goes in front of the next batch
}

// openWriter opens or makes the record at path, and brings it in order after a
// crash. Where that fails, the next append tries again.
func openWriter(path string, maxBytes int64, clock func() time.Time) (*writer, error) {
	w := &writer{path: path, maxBytes: maxBytes, clock: clock, head: head{path: path + headSuffix}, last: start}
	return w, w.append(nil)
}

func (w *writer) close() {
	w.forget()
	w.head.close()
}

// forget makes the next batch look at the record again.
func (w *writer) forget() {
	if w.file != nil {
		_ = w.file.Close() // what counts was synced
		w.file = nil
	}
}

// append writes events in one piece and syncs them: after an error none of them
// is on disk, and the call may be repeated.
func (w *writer) append(events []Event) (err error) {
	if w.file == nil {
		if err := os.MkdirAll(filepath.Dir(w.path), 0o700); err != nil {
			return err
		}
	}
	if err := w.head.lock(); err != nil {
		return err
	}
	defer w.head.unlock()
	defer func() {
		if err != nil {
			w.forget()
		}
	}()
	if err := w.catchUp(); err != nil {
		return err
	}
	buf, last := w.encode(events)
	if len(buf) == 0 {
		return nil
	}
	if w.size > 0 && w.size+int64(len(buf)) > w.maxBytes {
		if err := w.rotate(); err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
		buf, last = w.encode(events) // behind the note that begins a file
	}
	if err := w.write(buf, last); err != nil {
		return err
	}
	w.size += int64(len(buf))
	w.last, w.note = last, nil
	return nil
}

// encode makes the lines of the pending notes and of events, which follow last.
func (w *writer) encode(events []Event) ([]byte, link) {
	w.buf = w.buf[:0]
	last := w.last
	for _, batch := range [][]Event{w.note, events} {
		for i := range batch {
			w.buf, last = appendLine(w.buf, last, &batch[i])
		}
	}
	return w.buf, last
}

// write appends buf, syncs it and stores the link behind it, or leaves the file
// as it was.
func (w *writer) write(buf []byte, last link) error {
	_, err := w.file.Write(buf)
	if err == nil {
		err = w.file.Sync()
	}
	if err == nil {
		err = w.head.write(last)
	}
	if err != nil {
		return errors.Join(err, w.file.Truncate(w.size))
	}
	return nil
}

// catchUp makes file, size and last those of the record on disk, which another
// process may have written to, rotated or damaged since the last batch.
func (w *writer) catchUp() error {
	if w.file != nil {
		info, err := os.Stat(w.path)
		if err == nil && os.SameFile(info, w.info) && info.Size() == w.size {
			return nil
		}
		w.forget()
	}
	if err := w.open(); err != nil {
		return err
	}
	t, err := readTail(w.file, w.size)
	if err != nil {
		return fmt.Errorf("%s: %w", w.path, err)
	}
	if t.end < w.size {
		aside, err := moveAside(w.file, w.path, t.end, w.size)
		if err != nil {
			return fmt.Errorf("move an incomplete line aside: %w", err)
		}
		w.addNote("%d bytes at the end of the record were no complete line and were moved to %s", w.size-t.end, filepath.Base(aside))
		w.size = t.end
	}
	if t.end > 0 {
		w.continueFrom(t.last)
		return nil
	}
	full, found, err := lastRotated(w.path)
	if err != nil {
		return err
	}
	if found != start {
		w.addNote("%s%s", continues, filepath.Base(full))
	}
	w.continueFrom(found)
	return nil
}

// open opens the record's file, or makes it.
func (w *writer) open() error {
	f, created, err := openAppend(w.path)
	if err != nil {
		return err
	}
	w.file = f
	if w.info, err = f.Stat(); err != nil {
		return err
	}
	w.size = w.info.Size()
	if created {
		return syncDir(filepath.Dir(w.path))
	}
	return nil
}

// continueFrom sets the link that the next line follows. Where the record ends
// before a line that is known to have been written, the chain goes on from that
// line and not from what is left, so that the gap shows for good.
func (w *writer) continueFrom(found link) {
	known := w.last
	stored, err := w.head.read()
	switch {
	case err != nil:
		w.addNote("%v", err)
	case stored.seq > known.seq:
		known = stored
	}
	w.last = found
	if found.seq > known.seq || found == known {
		return
	}
	w.last = known
	if found.seq == known.seq {
		w.addNote("line %d is not the one that was written", known.seq)
		return
	}
	w.addNote("lines %d to %d were removed from the end of the record", found.seq+1, known.seq)
}

// rotate makes the file a full one and begins another.
func (w *writer) rotate() error {
	w.forget()
	if err := rename(w.path); err != nil {
		return err
	}
	return w.catchUp()
}

// addNote puts a sentence about the record into the record, once.
func (w *writer) addNote(format string, args ...any) {
	e := Event{Time: w.clock(), Kind: Note, Reason: fmt.Sprintf(format, args...)}
	if !slices.ContainsFunc(w.note, func(other Event) bool { return other.Reason == e.Reason }) {
		w.note = append(w.note, e)
	}
}
