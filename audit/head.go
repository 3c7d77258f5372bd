package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// head is the file <record>.head. It is the lock that processes which share a
// record take for each batch, and it holds the link of the last line that was
// written: lines that are removed from the end of the record are missed by it.
type head struct {
	path string
	file *os.File
}

const (
	headSuffix  = ".head"
	lockTimeout = 5 * time.Second
	lockPoll    = 2 * time.Millisecond
)

// lock takes the lock. It fails where another process holds it for 5 s.
func (h *head) lock() error {
	deadline := time.Now().Add(lockTimeout)
	for {
		if h.file == nil {
			f, err := os.OpenFile(h.path, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				return err
			}
			h.file = f
		}
		err := unix.Flock(int(h.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil && h.isCurrent():
			return nil
		case err == nil: // somebody removed or replaced the file: its lock means nothing
			h.close()
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", h.path, err)
		case time.Now().After(deadline):
			return fmt.Errorf("lock %s: another process holds it for more than %v", h.path, lockTimeout)
		default:
			time.Sleep(lockPoll)
		}
	}
}

func (h *head) isCurrent() bool {
	ours, err1 := h.file.Stat()
	named, err2 := os.Stat(h.path)
	return err1 == nil && err2 == nil && os.SameFile(ours, named)
}

// unlock gives the lock back. The descriptor stays open for the next batch.
func (h *head) unlock() {
	if h.file != nil {
		_ = unix.Flock(int(h.file.Fd()), unix.LOCK_UN) // closing would do the same
	}
}

func (h *head) close() {
	if h.file != nil {
		_ = h.file.Close() // nothing is buffered
		h.file = nil
	}
}

// read returns the link that was last stored, or start for a new file.
func (h *head) read() (link, error) {
	text, err := io.ReadAll(io.NewSectionReader(h.file, 0, 4096))
	if err != nil {
		return start, err
	}
	if len(text) == 0 {
		return start, nil
	}
	digits, digest, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(digest) != hashLen {
		return start, fmt.Errorf("%s does not hold the place of the last line", h.path)
	}
	return link{seq, hash([]byte(digest))}, nil
}

// write stores l. It is not synced: after a crash it may be behind the record,
// never ahead of it.
func (h *head) write(l link) error {
	text := fmt.Appendf(nil, "%020d %s\n", l.seq, l.hash)
	_, err := h.file.WriteAt(text, 0)
	return err
}
