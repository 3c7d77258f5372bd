package h1

import "golang.org/x/sys/unix"

// arrived returns how many bytes the socket holds for us.
func (uc *conn) arrived() int {
	if uc.tcp == nil {
		return 0
	}
	n := 0
	_ = uc.tcp.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}
