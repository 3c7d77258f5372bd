package main

import (
	"net"
	"os"
	"strings"
)

// notifyReady tells the service manager that the daemon serves: sd_notify(3),
// Type=notify. Without one, NOTIFY_SOCKET is not set and nothing is done.
func notifyReady() error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if rest, abstract := strings.CutPrefix(name, "@"); abstract {
		name = "\x00" + rest
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("READY=1"))
	if closed := c.Close(); err == nil {
		err = closed
	}
	return err
}
