package secrets

import (
	"time"

	"golang.org/x/sys/unix"
)

// fileID identifies one state of one file. The change time is part of it because
// a tool may put mtime back; it can't put ctime back.
type fileID struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // ns since the epoch
}

func identify(path string) (fileID, error) {
	var st unix.Stat_t
	for {
		err := unix.Stat(path, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fileID{}, err
		}
		return idOf(&st), nil
	}
}

func identifyFD(fd int) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fileID{}, err
	}
	return idOf(&st), nil
}

func idOf(st *unix.Stat_t) fileID {
	return fileID{
		dev: uint64(st.Dev), ino: uint64(st.Ino), size: int64(st.Size), //nolint:unconvert // widths differ between systems
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
	}
}

// grain is the time in which a second change may leave the times of the file as
// the first one left them: a tick of the kernel's clock, or two seconds where the
// file system has whole seconds only.
func (id fileID) grain() time.Duration {
	if id.mtime%int64(time.Second) == 0 && id.ctime%int64(time.Second) == 0 {
		return 2 * time.Second
	}
	return 20 * time.Millisecond
}

// youngerThan reports whether the file was changed less than d before now.
func (id fileID) youngerThan(d time.Duration, now time.Time) bool {
	age := now.Sub(time.Unix(0, id.ctime))
	return age < d && age > -d
}
