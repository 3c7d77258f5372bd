package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Read yields the events of the record at path, oldest first, those of its full
// files included. It does not check the chain; [Verify] does. An error is the
// last thing that it yields.
func Read(path string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s, err := openSnapshot(path)
		if err != nil {
			yield(Entry{}, fmt.Errorf("read the audit record: %w", err))
			return
		}
		defer s.close()
		for _, p := range s.parts {
			if _, more := p.entries(0, yield); !more {
				return
			}
		}
	}
}

// followInterval is how often Follow looks for new lines.
const followInterval = 200 * time.Millisecond

// Follow yields the last n events of the record at path and then each new one,
// across rotations, until ctx is done. An error is the last thing that it
// yields; the end of ctx is none.
func Follow(ctx context.Context, path string, n int) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		p, skip, err := lastLines(path, n)
		if err != nil {
			yield(Entry{}, fmt.Errorf("follow the audit record: %w", err))
			return
		}
		defer func() { _ = p.file.Close() }()
		ticker := time.NewTicker(followInterval)
		defer ticker.Stop()
		for {
			next, err := p.successor(path) // before the rest of p is read: nothing is added to p behind it
			if err == nil {
				err = p.extend()
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("follow the audit record: %w", err))
				return
			}
			read, more := p.entries(skip, yield)
			if !more {
				return
			}
			p.from, skip = p.from+read, 0
			if next != nil {
				_ = p.file.Close()
				p = next
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}
}

// entries yields the events of p's complete lines behind the first skip ones. It
// returns the bytes that it went over, and false where it must not go on.
func (p *part) entries(skip int, yield func(Entry, error) bool) (read int64, more bool) {
	for line, n := range p.lines {
		if line[len(line)-1] != '\n' {
			break // still being written, or cut by a crash
		}
		read += int64(len(line))
		if n <= skip {
			continue
		}
		e, err := decodeLine(line)
		if err != nil {
			yield(Entry{}, fmt.Errorf("read %s at byte %d: %w", p.file.Name(), p.from+read-int64(len(line)), err))
			return read, false
		}
		if !yield(e, nil) {
			return read, false
		}
	}
	if p.err != nil {
		yield(Entry{}, fmt.Errorf("read %s: %w", p.file.Name(), p.err))
		return read, false
	}
	return read, true
}

// lastLines finds the file that the last n lines begin in, and how many lines
// of it come before them.
func lastLines(path string, n int) (p *part, skip int, err error) {
	s, err := openSnapshot(path)
	if err != nil {
		return nil, 0, err
	}
	for i, candidate := range slices.Backward(s.parts) {
		count := 0
		for range candidate.lines {
			count++
		}
		if p = candidate; count >= n || i == 0 {
			skip = max(0, count-n)
			break
		}
		n -= count
	}
	s.parts = slices.DeleteFunc(s.parts, func(other *part) bool { return other == p })
	s.close()
	return p, skip, nil
}

// successor opens the file of the record that follows p's; nil where p's is the
// newest.
func (p *part) successor(path string) (*part, error) {
	current, err := p.file.Stat()
	if err != nil {
		return nil, err
	}
	files, err := rotated(path)
	if err != nil {
		return nil, err
	}
	files = append(files, path)
	at := slices.IndexFunc(files, func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && os.SameFile(info, current)
	})
	if at == len(files)-1 {
		return nil, nil
	}
	if at < 0 { // removed: go on with the newest
		at = len(files) - 2
	}
	f, err := os.Open(files[at+1])
	if errors.Is(err, os.ErrNotExist) { // between the two steps of a rotation
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &part{file: f}, nil
}

// extend makes p reach to the end that its file has now.
func (p *part) extend() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < p.from {
		return fmt.Errorf("%s became shorter", filepath.Base(p.file.Name()))
	}
	p.to = info.Size()
	return nil
}
