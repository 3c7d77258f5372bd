package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

const canTellUsers = true

// sameUser reports whether the socket at the other end of a loopback
// connection is this user's, as the kernel's table of sockets says (proc(5),
// /proc/net/tcp; a JVM's sockets are in the table of IPv6).
func sameUser(remote, local *net.TCPAddr) bool {
	for _, table := range []struct {
		path string
		addr func(*net.TCPAddr) string
	}{{"/proc/net/tcp", tableAddr4}, {"/proc/net/tcp6", tableAddr6}} {
		if owner, ok := socketOwner(table.path, table.addr(remote), table.addr(local)); ok {
			return owner == os.Getuid()
		}
	}
	return false
}

// established is the state in which a socket has an owner: one that its
// process has let go of is listed as root's.
const established = "01"

// socketOwner finds the user of the socket with these two ends.
func socketOwner(path, local, remote string) (uid int, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid
		if v := strings.Fields(lines.Text()); len(v) > 7 && v[1] == local && v[2] == remote && v[3] == established {
			uid, err := strconv.Atoi(v[7])
			return uid, err == nil
		}
	}
	return 0, false
}

// tableAddr4 is an address as /proc/net/tcp has it: a word in the machine's
// byte order, and the port.
func tableAddr4(a *net.TCPAddr) string {
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a.IP.To4()), a.Port)
}

// tableAddr6 is an IPv4 address, mapped, as /proc/net/tcp6 has it.
func tableAddr6(a *net.TCPAddr) string {
	return fmt.Sprintf("%08X%08X%08X%s", 0, 0, binary.NativeEndian.Uint32([]byte{0, 0, 0xff, 0xff}), tableAddr4(a))
}
