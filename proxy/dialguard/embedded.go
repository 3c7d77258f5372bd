package dialguard

import (
	"net/netip"
	"slices"
)

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
)

// unwrap returns the IPv4 address that a packet to addr is sent to by rule:
// IPv4-mapped (RFC 4291 §2.5.5.2), well-known NAT64 (RFC 6052 §2.1) and 6to4
// (RFC 3056 §2). Any other address is returned as it is.
func unwrap(addr netip.Addr) netip.Addr {
	switch {
	case addr.Is4():
		return addr
	case addr.Is4In6():
		return addr.Unmap()
	case nat64.Contains(addr):
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(addr):
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr
}

// isMetadata reports whether addr, or an IPv4 address that can be read in it
// anywhere, is a metadata service. inner is unwrap(addr). All readings count,
// since this is the one refusal that no allow list may lift.
func isMetadata(addr, inner netip.Addr) bool {
	if listed(addr) || listed(inner) {
		return true
	}
	if !addr.Is6() {
		return false
	}
	b := addr.As16()
	if v4, ok := isatap(b); ok && listed(v4) {
		return true
	}
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case compatible.Contains(addr), translated.Contains(addr):
		return listed(last)
	case teredo.Contains(addr): // server in the clear, client inverted (RFC 4380 §4)
		return listed(netip.AddrFrom4([4]byte(b[4:8]))) ||
			listed(netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	case nat64Local.Contains(addr): // the four layouts that fit a /48 (RFC 6052 §2.2)
		return listed(last) ||
			listed(netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]})) ||
			listed(netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]})) ||
			listed(netip.AddrFrom4([4]byte(b[9:13])))
	}
	return false
}

func listed(addr netip.Addr) bool { return slices.Contains(metadata[:], addr) }

// isatap returns the IPv4 address in an interface identifier of the form
// ::0:5efe:a.b.c.d or ::200:5efe:a.b.c.d (RFC 5214 §6.1).
func isatap(b [16]byte) (netip.Addr, bool) {
	if b[8]&^2 != 0 || b[9] != 0 || b[10] != 0x5e || b[11] != 0xfe {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[12:])), true
}
