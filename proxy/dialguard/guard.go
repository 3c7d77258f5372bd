// Package dialguard decides whether an address may be dialled.
//
// Give [Guard.Control] to net.Dialer.Control: it sees each address in the
// moment before it is connected to, after the name was resolved, so that no
// second look-up can come between the check and the dial, and happy eyeballs
// still tries every address. Do not resolve a name, check the answer and dial
// the name again: the name may have changed. Check alone is for an address
// that is dialled as it stands.
//
// What is not global unicast is refused unless the operator listed it. The
// address of a cloud's metadata service is refused whatever was listed.
package dialguard

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// Guard holds the ranges that an operator allows although they are not public.
// The zero value allows global unicast only. A Guard is immutable and safe for
// concurrent use.
type Guard struct {
	allow []netip.Prefix
}

// New returns a Guard that also lets the given ranges be dialled. An IPv4 range
// covers its IPv4-mapped, NAT64 and 6to4 spellings too; an IPv4-mapped range is
// taken for the IPv4 range that it stands for. An invalid prefix allows nothing.
func New(allow []netip.Prefix) *Guard {
	g := &Guard{allow: make([]netip.Prefix, 0, len(allow))}
	for _, p := range allow {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		if p.IsValid() {
			g.allow = append(g.allow, p.Masked())
		}
	}
	return g
}

// Error says why an address may not be dialled.
type Error struct {
	Addr     netip.Addr // as it was about to be dialled; the zero Addr if it was none
	Reason   string     // the kind of address, for a log or a hint: "loopback"
	Metadata bool       // a cloud's metadata service: no configuration allows it
}

// Error implements error.
func (e *Error) Error() string {
	if !e.Addr.IsValid() {
		return "address refused: " + e.Reason
	}
	return "address " + e.Addr.String() + " refused: " + e.Reason
}

// Check returns nil if addr may be dialled, and an [*Error] if not. A zone is
// ignored. The IPv4 address inside a translated or tunnelled IPv6 address is
// judged as well, so that no spelling reaches what its plain form may not.
func (g *Guard) Check(addr netip.Addr) error {
	if !addr.IsValid() {
		return &Error{Reason: "not an IP address"}
	}
	bare := addr.WithZone("")
	inner := unwrap(bare)
	if isMetadata(bare, inner) {
		return &Error{Addr: addr, Reason: "cloud metadata service", Metadata: true}
	}
	if g.allows(bare, inner) {
		return nil
	}
	if reason := special(inner); reason != "" {
		return &Error{Addr: addr, Reason: reason}
	}
	return nil
}

// Allowed reports whether the operator listed addr, so that it may be dialled
// although it is not public. It is false for metadata services, and for a
// public address that nobody listed.
func (g *Guard) Allowed(addr netip.Addr) bool {
	bare := addr.WithZone("")
	inner := unwrap(bare)
	return g.allows(bare, inner) && !isMetadata(bare, inner)
}

func (g *Guard) allows(bare, inner netip.Addr) bool {
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool {
		return p.Contains(bare) || p.Contains(inner)
	})
}

// Control implements net.Dialer.Control. It refuses with an [*Error], which
// net wraps in an *net.OpError, every network but TCP and UDP and every
// address that Check refuses.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") && !strings.HasPrefix(network, "udp") {
		return &Error{Reason: "not an IP network"}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Error{Reason: "not an IP address and port"}
	}
	return g.Check(ap.Addr())
}
