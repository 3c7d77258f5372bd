package proxy

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/latchgate/latchgate/proxy/dialguard"
)

// sendDenial says why a request of a client whose context is ctx got no answer.
func sendDenial(ctx context.Context, err error) *Denial {
	ours := errors.Is(err, errTooLarge) || errors.Is(err, errBytesUsedUp)
	if !ours && errors.Is(ctx.Err(), context.Canceled) && (errors.Is(err, context.Canceled) || errors.As(err, new(*uploadError))) {
		return &Denial{Code: ClientGone, Message: "the client went away before there was an answer", Cause: err}
	}
	return upstreamDenial(err)
}

// upstreamDenial says what went wrong on the way to the upstream, in words
// that hold neither an address that was resolved nor the request.
func upstreamDenial(err error) *Denial {
	var guarded *dialguard.Error
	var timeout net.Error
	var upload *uploadError
	switch {
	case errors.As(err, &guarded):
		d := &Denial{Code: PrivateAddress, Message: "that host is at an address that is not public", Cause: err,
			Hint: "operator: if this is meant, add the address to proxy.allow_private in latchgate.toml"}
		if guarded.Metadata {
			d.Message, d.Hint = "that host is a cloud metadata service, which is never reached through latchgate", ""
		}
		return d
	case errors.Is(err, errBytesUsedUp):
		return bytesUsedUp(err)
	case errors.Is(err, errTooLarge):
		return &Denial{Code: TooLarge, Message: errTooLarge.Error(), Cause: err}
	case errors.As(err, &upload):
		return &Denial{Code: BadRequest, Message: "the request's body broke off or is malformed", Cause: err}
	case exhausted(err):
		return noDescriptor("for a connection to the upstream", err)
	case tlsMessage(err) != "":
		return &Denial{Code: UpstreamTLS, Message: tlsMessage(err), Cause: err,
			Hint: "operator: a private CA goes into proxy.upstream_ca_file in latchgate.toml"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &Denial{Code: UpstreamTimeout, Message: "the upstream did not answer in time", Cause: err}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return &Denial{Code: UpstreamUnreachable, Message: "the upstream's name does not resolve", Cause: err}
	}
	return &Denial{Code: UpstreamUnreachable, Message: "the upstream can't be reached or broke off before it answered", Cause: err}
}

func noDescriptor(what string, err error) *Denial {
	return &Denial{Code: Overloaded, Message: "latchgate has no file descriptor left " + what, Cause: err, Hint: overloaded.Hint}
}

// exhausted reports whether it is this process or machine that has nothing
// left to open a file or a socket with. A resolver keeps of its socket's error
// the text alone.
func exhausted(err error) bool {
	for _, no := range [...]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS} {
		if errors.Is(err, no) {
			return true
		}
	}
	var dns *net.DNSError
	return errors.As(err, &dns) && strings.Contains(dns.Err, syscall.EMFILE.Error())
}
