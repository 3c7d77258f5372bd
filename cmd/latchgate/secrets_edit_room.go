package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// memoryFolder returns the first of the folders that is in memory-backed storage.
func memoryFolder(folders ...string) (string, error) {
	for _, dir := range folders {
		if dir != "" && memoryBacked(dir) && unix.Access(dir, unix.W_OK|unix.X_OK) == nil {
			return dir, nil
		}
	}
	return "", withHint(errors.New("there is no memory-backed folder for the plaintext: neither $XDG_RUNTIME_DIR nor /dev/shm is one"),
		"use `latchgate secrets set`, or name a folder with --tmpdir, best on an encrypted disk: the plaintext touches it")
}

// scratch is a folder of mode 0700 that is overwritten and removed at the end. It
// holds a lock, by which the next edit tells one that was killed from one that is
// at work.
type scratch struct {
	dir  string
	lock *os.File
}

const scratchPrefix = "latchgate-edit-"

func newScratch(base string) (*scratch, error) {
	removeStaleScratch(base)
	dir, err := os.MkdirTemp(base, scratchPrefix)
	if err != nil {
		return nil, err
	}
	s := &scratch{dir: dir}
	if s.lock, err = lockFolder(dir); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// lockFolder fails at once when somebody else has the lock.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// removeStaleScratch wipes what edits that were killed left behind.
func removeStaleScratch(base string) {
	entries, _ := os.ReadDir(base) // what can't be listed is not ours to clean
	for _, e := range entries {
		dir := filepath.Join(base, e.Name())
		if !strings.HasPrefix(e.Name(), scratchPrefix) || !ownFolder(dir) {
			continue
		}
		if lock, err := lockFolder(dir); err == nil {
			_ = (&scratch{dir, lock}).remove()
		}
	}
}

// ownFolder: in a folder that all may write, another user may have made a link or
// a folder of such a name.
func ownFolder(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) == os.Geteuid()
}

// How long a process that an editor left behind may go on to write.
const (
	removeTries = 100
	removePause = 10 * time.Millisecond
)

// remove overwrites every file in the folder, the editor's included, and removes
// it.
func (s *scratch) remove() (err error) {
	for try := range removeTries {
		if try > 0 {
			time.Sleep(removePause)
		}
		if err = s.wipe(); err == nil {
			break
		}
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

func (s *scratch) wipe() error {
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return overwrite(path)
	})
	if err = errors.Join(err, os.RemoveAll(s.dir)); err == nil {
		return nil
	}
	if _, gone := os.Lstat(s.dir); errors.Is(gone, fs.ErrNotExist) {
		return nil // a file went while it was looked at
	}
	return err
}

// overwrite puts zeros in the place of a file's bytes.
func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(make([]byte, st.Size()), 0)
	}
	return errors.Join(err, f.Sync(), f.Close())
}
