package main

import "golang.org/x/sys/unix"

// memoryBacked reports whether a folder's files are in memory and never on a disk
// (swap apart).
func memoryBacked(dir string) bool {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return false
	}
	return int64(st.Type) == unix.TMPFS_MAGIC || uint32(st.Type) == unix.RAMFS_MAGIC
}

// forgetTyped drops what was typed on a terminal and not read yet.
func forgetTyped(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) }
