package gate

import "golang.org/x/sys/unix"

// socketUID asks for the peer's credentials (unix(4), LOCAL_PEERCRED).
func socketUID(fd int) (uint32, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
