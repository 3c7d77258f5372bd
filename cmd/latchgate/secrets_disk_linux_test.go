package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFullDiskKeepsTheOldFile(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("a small file system can't be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	h.moveSecretsTo(dir)
	h.keepsTheOldFile(dir, "no space left on device", func(stdin string, args ...string) outcome { return h.runWith(stdin, nil, args...) })
}
