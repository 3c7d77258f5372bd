//go:build unix

package gate

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var umask sync.Mutex // the umask belongs to the process

// listenPrivate makes a unix socket that is 0600 from its first moment: a
// chmod afterwards would leave a gap in which anybody could connect.
func listenPrivate(path string) (net.Listener, error) {
	umask.Lock()
	defer umask.Unlock()
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	return net.Listen("unix", path)
}

// removeStale removes the socket that a killed daemon left: one that nobody
// answers on. Of two daemons that start at once the control socket's lock lets
// only one come here.
func removeStale(path string) {
	if st, err := os.Lstat(path); err != nil || st.Mode().Type() != os.ModeSocket {
		return
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		_ = c.Close()
	case errors.Is(err, unix.ECONNREFUSED):
		_ = os.Remove(path)
	}
}

// lockFile takes an exclusive lock, which the kernel drops with the process.
func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// waitForFile is lockFile for a lock that is held for moments. It fails where
// another process holds it for 5 s.
func waitForFile(f *os.File) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		err := lockFile(f)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("another process holds the lock for more than 5 s")
		}
	}
}

// peerUID is the user at the other end of a unix socket.
func peerUID(c net.Conn) (uid uint32, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(fd uintptr) { uid, err = socketUID(int(fd)) })
	return uid, errors.Join(err, cerr)
}
