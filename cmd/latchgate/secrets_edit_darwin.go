package main

import "golang.org/x/sys/unix"

// memoryBacked: macOS has no folder that is known to be.
func memoryBacked(string) bool { return false }

// forgetTyped drops what was typed on a terminal and not read yet.
func forgetTyped(fd int) error {
	const input = 1 // FREAD
	return unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, input)
}
