package gate

import "golang.org/x/sys/unix"

// socketUID asks for the peer's credentials (unix(7), SO_PEERCRED).
func socketUID(fd int) (uint32, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
