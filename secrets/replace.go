package secrets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const lockPause = 10 * time.Millisecond

// lockFile takes the exclusive lock of the file at path.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f, err := openForLock(path)
		if err != nil {
			return nil, err
		}
		locked, err := lockOpened(f, path)
		if locked {
			return func() { _ = f.Close() }, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lockOpened tries to lock f. Who held the lock before may have put another file
// in the place of f: a lock counts only on the file that is at path.
func lockOpened(f *os.File, path string) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	held, err := identifyFD(int(f.Fd()))
	if err != nil {
		return false, err
	}
	there, err := identify(path)
	return held.dev == there.dev && held.ino == there.ino, err
}

// openForLock opens for writing where it may: NFS gives exclusive locks to writers
// only.
func openForLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		f, err = os.Open(path)
	}
	return f, err
}

func tempPrefix(path string) string { return "." + filepath.Base(path) + ".tmp-" }

// removeStale removes what an edit that was killed left behind: ciphertext, or what
// a key file was to hold. The caller holds the lock of the secrets file.
func removeStale(path string) {
	dir := filepath.Dir(path)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix(path)) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// replaceFile puts data in the place of the file at path, which keeps its mode and
// owner. A link stays one, and the file that it names is replaced.
func replaceFile(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	old, err := os.Stat(path)
	if err != nil {
		return err
	}
	tmp, err := writeAside(path, data, old.Mode().Perm())
	if err != nil {
		return err
	}
	keepOwner(tmp, path)
	if err := moveInto(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return nil
}

// writeAside writes data to a new file next to path.
func writeAside(path string, data []byte, mode os.FileMode) (tmp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix(path)+"*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(mode); err != nil {
		return "", err
	}
	if _, err := f.Write(data); err != nil {
		return "", fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return f.Name(), f.Sync()
}

// copyAside copies the file at path next to it.
func copyAside(path string) (tmp string, err error) {
	data, _, err := readFile(path)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if tmp, err = writeAside(path, data, st.Mode().Perm()); err == nil {
		keepOwner(tmp, path)
	}
	return tmp, err
}

// keepOwner gives tmp the owner of path where they differ; only root can, and
// where it can't be done the file is ours.
func keepOwner(tmp, path string) {
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
		_ = os.Chown(tmp, int(st.Uid), int(st.Gid))
	}
}

// moveInto renames tmp to path and makes both the bytes and the name durable.
func moveInto(tmp, path string) error {
	for _, step := range []func() error{
		func() error { return syncPath(tmp) },
		func() error { return os.Rename(tmp, path) },
		func() error { return syncPath(filepath.Dir(path)) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("replace %s: %w", path, err)
		}
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// createFile writes a file that must not be there yet, whole or not at all.
func createFile(path string, data []byte, mode os.FileMode) error {
	tmp, err := writeAside(path, data, mode)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }()
	err = os.Link(tmp, path)
	if errors.Is(err, unix.EPERM) || errors.Is(err, errors.ErrUnsupported) { // a file system without hard links
		if _, err = os.Lstat(path); err == nil {
			err = fs.ErrExist
		} else {
			err = os.Rename(tmp, path)
		}
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return syncPath(filepath.Dir(path))
}
