package dialguard

import "net/netip"

// block is one special-purpose range and what it is for.
type block struct {
	prefix netip.Prefix
	reason string
}

func at(prefix, reason string) block { return block{netip.MustParsePrefix(prefix), reason} }

// special4 is the IANA IPv4 Special-Purpose Address Registry, with multicast
// (RFC 5771). Globally reachable entries (AS112, AMT, PCP and TURN anycast) are
// listed too: no API is served from one.
var special4 = [...]block{
	at("0.0.0.0/8", "this network (RFC 791)"),
	at("10.0.0.0/8", "private use (RFC 1918)"),
	at("100.64.0.0/10", "shared address space (RFC 6598)"),
	at("127.0.0.0/8", "loopback (RFC 1122)"),
	at("169.254.0.0/16", "link local (RFC 3927)"),
	at("172.16.0.0/12", "private use (RFC 1918)"),
	at("192.0.0.0/24", "IETF protocol assignments (RFC 6890)"),
	at("192.0.2.0/24", "documentation (RFC 5737)"),
	at("192.31.196.0/24", "AS112 (RFC 7535)"),
	at("192.52.193.0/24", "AMT (RFC 7450)"),
	at("192.88.99.0/24", "6to4 relay anycast (RFC 7526)"),
	at("192.168.0.0/16", "private use (RFC 1918)"),
	at("192.175.48.0/24", "AS112 (RFC 7534)"),
	at("198.18.0.0/15", "benchmarking (RFC 2544)"),
	at("198.51.100.0/24", "documentation (RFC 5737)"),
	at("203.0.113.0/24", "documentation (RFC 5737)"),
	at("224.0.0.0/4", "multicast (RFC 5771)"),
	at("255.255.255.255/32", "limited broadcast (RFC 8190)"),
	at("240.0.0.0/4", "reserved (RFC 1112)"),
}

// special6 is the IANA IPv6 Special-Purpose Address Registry, with multicast
// and deprecated site-local (RFC 3879). 64:ff9b::/96 and 2002::/16 are not here:
// they are judged by the IPv4 address inside, see unwrap. Order matters only
// for the reason: the narrower range comes first.
var special6 = [...]block{
	at("::/128", "unspecified (RFC 4291)"),
	at("::1/128", "loopback (RFC 4291)"),
	at("::ffff:0:0:0/96", "IPv4-translated (RFC 2765)"),
	at("::/96", "IPv4-compatible (RFC 4291)"),
	at("64:ff9b:1::/48", "local-use NAT64 (RFC 8215)"),
	at("100::/64", "discard only (RFC 6666)"),
	at("100:0:0:1::/64", "dummy prefix (RFC 9780)"),
	at("2001::/32", "Teredo (RFC 4380)"),
	at("2001:2::/48", "benchmarking (RFC 5180)"),
	at("2001:3::/32", "AMT (RFC 7450)"),
	at("2001:4:112::/48", "AS112 (RFC 7535)"),
	at("2001:10::/28", "ORCHID (RFC 4843)"),
	at("2001:20::/28", "ORCHIDv2 (RFC 7343)"),
	at("2001:30::/28", "drone remote ID (RFC 9374)"),
	at("2001::/23", "IETF protocol assignments (RFC 2928)"),
	at("2001:db8::/32", "documentation (RFC 3849)"),
	at("2620:4f:8000::/48", "AS112 (RFC 7534)"),
	at("3fff::/20", "documentation (RFC 9637)"),
	at("5f00::/16", "segment routing (RFC 9602)"),
	at("fc00::/7", "unique local (RFC 4193)"),
	at("fe80::/10", "link local (RFC 4291)"),
	at("fec0::/10", "site local (RFC 3879)"),
	at("ff00::/8", "multicast (RFC 4291)"),
}

// global6 is all that IANA has handed out for global unicast (RFC 4291 §2.4).
var global6 = netip.MustParsePrefix("2000::/3")

// metadata lists the addresses from which a cloud hands credentials to its
// machines. One of them is public (Azure), so a range list would not do.
var metadata = [...]netip.Addr{
	netip.MustParseAddr("169.254.169.254"),    // AWS, Google, Azure, Oracle, DigitalOcean, OpenStack and more
	netip.MustParseAddr("169.254.169.252"),    // GKE metadata server
	netip.MustParseAddr("169.254.170.2"),      // ECS task credentials
	netip.MustParseAddr("169.254.170.23"),     // EKS Pod Identity
	netip.MustParseAddr("169.254.42.42"),      // Scaleway
	netip.MustParseAddr("169.254.0.23"),       // Tencent
	netip.MustParseAddr("100.100.100.200"),    // Alibaba
	netip.MustParseAddr("100.96.0.96"),        // Volcengine
	netip.MustParseAddr("168.63.129.16"),      // Azure wire server
	netip.MustParseAddr("192.0.0.192"),        // Oracle classic
	netip.MustParseAddr("fd00:ec2::254"),      // AWS
	netip.MustParseAddr("fd00:ec2::23"),       // EKS Pod Identity
	netip.MustParseAddr("fd20:ce::254"),       // Google
	netip.MustParseAddr("fd00:c1::a9fe:a9fe"), // Oracle
	netip.MustParseAddr("fd00:42::42"),        // Scaleway
	netip.MustParseAddr("fd00:a9fe:a9fe::1"),  // Linode
	netip.MustParseAddr("fe80::a9fe:a9fe"),    // OpenStack
}

// special returns what addr is reserved for, or "" for global unicast.
// The IPv4 address in the interface identifier of an ISATAP address is where
// its packets go inside a site (RFC 5214 §6.1), so it is judged too.
func special(addr netip.Addr) string {
	if addr.Is4() {
		return find(special4[:], addr)
	}
	if reason := find(special6[:], addr); reason != "" {
		return reason
	}
	if !global6.Contains(addr) {
		return "not global unicast (RFC 4291)"
	}
	if v4, ok := isatap(addr.As16()); ok {
		if reason := find(special4[:], v4); reason != "" {
			return "ISATAP to " + reason
		}
	}
	return ""
}

func find(blocks []block, addr netip.Addr) string {
	for i := range blocks {
		if blocks[i].prefix.Contains(addr) {
			return blocks[i].reason
		}
	}
	return ""
}
