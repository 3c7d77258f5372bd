package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// rewriteGrace is how long a file that is just being written is tried again:
	// sops truncates in place, and a reader may see an empty or half a file.
	rewriteGrace = 500 * time.Millisecond
	retryPause   = 10 * time.Millisecond

	maxFileSize = 16 << 20
)

// load decrypts the file as it is. The entry's id is what the file was before it was
// read; it may be cached if the file was the same afterwards, and was not changed so
// shortly before that another change could look the same.
func (s *Store) load(ctx context.Context) (e *entry, cacheable bool, err error) {
	deadline := time.Now().Add(rewriteGrace)
	for {
		start := time.Now()
		e, err = s.loadOnce(ctx)
		late := time.Now().After(deadline)
		if err == nil {
			after, gone := identify(s.opts.File)
			switch {
			case gone != nil:
				err = s.unreadable(gone)
			case after == e.id:
				return e, !e.id.youngerThan(e.id.grain(), start), nil
			case late:
				return e, false, nil // one whole state of a file that never rests
			}
			e.mem.wipe()
		}
		if err != nil && (late || !s.beingRewritten(err)) {
			return nil, false, err
		}
		if !pause(ctx) {
			return nil, false, fail(DecryptFailed, fmt.Errorf("while the file was being rewritten: %w", ctx.Err()))
		}
	}
}

// pause reports false if ctx ended meanwhile.
func pause(ctx context.Context) bool {
	select {
	case <-time.After(retryPause):
		return true
	case <-ctx.Done():
		return false
	}
}

// beingRewritten reports whether the failure may be that of a half-written file, or
// of one that was removed to be written anew, as git and many editors do.
func (s *Store) beingRewritten(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	changed := s.opts.File
	switch e.Code {
	case DecryptFailed, SecretsUnparsable:
	case SecretsFileNotFound:
		changed = filepath.Dir(changed)
	default:
		return false
	}
	id, err := identify(changed)
	return err == nil && id.youngerThan(rewriteGrace, time.Now())
}

// reappears waits for a file that could not be found to be there again, and
// returns the given error where it is not.
func (s *Store) reappears(ctx context.Context, missing error) (fileID, error) {
	for deadline := time.Now().Add(rewriteGrace); s.beingRewritten(missing) && time.Now().Before(deadline) && pause(ctx); {
		if id, err := identify(s.opts.File); err == nil {
			return id, nil
		}
	}
	return fileID{}, missing
}

func (s *Store) loadOnce(ctx context.Context) (*entry, error) {
	data, id, err := readFile(s.opts.File)
	if err != nil {
		return nil, s.unreadable(err)
	}
	mem := &memory{}
	values, err := s.decrypt(ctx, data, mem)
	if err != nil {
		mem.wipe()
		return nil, err
	}
	return &entry{id: id, nearby: nearbyPath(s.opts.File), values: values, mem: mem}, nil
}

// readFile returns a file's bytes and what it was when they were read.
func readFile(path string) ([]byte, fileID, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileID{}, err
	}
	defer f.Close()
	id, err := identifyFD(int(f.Fd()))
	if err != nil {
		return nil, fileID{}, err
	}
	if id.size > maxFileSize {
		return nil, fileID{}, fmt.Errorf("%s is larger than %d MiB", path, maxFileSize>>20)
	}
	data := make([]byte, id.size)
	n, err := io.ReadFull(f, data)
	if err == io.EOF || err == io.ErrUnexpectedEOF { // it shrank: the second look will tell
		err = nil
	}
	return data[:n], id, err
}

// unreadable makes the error of a secrets file that can't be looked at, and
// forgets what it held before.
func (s *Store) unreadable(err error) error {
	s.mu.Lock()
	s.dropLocked(s.current.Load(), missChanged)
	s.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return fail(SecretsFileNotFound, fmt.Errorf("%s: %w", s.opts.File, fs.ErrNotExist))
	}
	return fail(DecryptFailed, err)
}

// count counts a failed look-up.
func (s *Store) count(err error) {
	var e *Error
	if errors.As(err, &e) {
		s.metrics.errors.WithLabelValues(string(e.Code)).Inc()
	}
}

// loggedError is the last failure that was logged.
type loggedError struct {
	code   Code
	detail string
	at     time.Time
}

// logLocked writes a failure with its cause for the operator: once a TTL for the
// same one, however many requests meet it.
func (s *Store) logLocked(err error) {
	var e *Error
	if !errors.As(err, &e) {
		return
	}
	now := time.Now()
	if e.Code == s.logged.code && e.Detail == s.logged.detail && now.Sub(s.logged.at) < TTL {
		return
	}
	s.logged = loggedError{e.Code, e.Detail, now}
	s.log.Warn("secrets are not available", "file", s.opts.File, "cause", e)
}
