package dialguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// registry is the two IANA special-purpose registries, and what else must not
// be dialled, written down here a second time on purpose. outside lists the
// addresses just before and just after the range that are public, where there
// are such.
var registry = []struct {
	name, first, last string
	outside           []string
}{
	{"this host on this network", "0.0.0.0", "0.255.255.255", []string{"1.0.0.0"}},
	{"private 10", "10.0.0.0", "10.255.255.255", []string{"9.255.255.255", "11.0.0.0"}},
	{"shared address space", "100.64.0.0", "100.127.255.255", []string{"100.63.255.255", "100.128.0.0"}},
	{"loopback", "127.0.0.0", "127.255.255.255", []string{"126.255.255.255", "128.0.0.0"}},
	{"link local", "169.254.0.0", "169.254.255.255", []string{"169.253.255.255", "169.255.0.0"}},
	{"private 172.16", "172.16.0.0", "172.31.255.255", []string{"172.15.255.255", "172.32.0.0"}},
	{"IETF protocol assignments", "192.0.0.0", "192.0.0.255", []string{"191.255.255.255", "192.0.1.0"}},
	{"IPv4 service continuity", "192.0.0.0", "192.0.0.7", nil},
	{"IPv4 dummy address", "192.0.0.8", "192.0.0.8", nil},
	{"port control protocol anycast", "192.0.0.9", "192.0.0.9", nil},
	{"TURN anycast", "192.0.0.10", "192.0.0.10", nil},
	{"NAT64/DNS64 discovery", "192.0.0.170", "192.0.0.171", nil},
	{"TEST-NET-1", "192.0.2.0", "192.0.2.255", []string{"192.0.1.255", "192.0.3.0"}},
	{"AS112-v4", "192.31.196.0", "192.31.196.255", []string{"192.31.195.255", "192.31.197.0"}},
	{"AMT", "192.52.193.0", "192.52.193.255", []string{"192.52.192.255", "192.52.194.0"}},
	{"6to4 relay anycast", "192.88.99.0", "192.88.99.255", []string{"192.88.98.255", "192.88.100.0"}},
	{"6a44 relay anycast", "192.88.99.2", "192.88.99.2", nil},
	{"private 192.168", "192.168.0.0", "192.168.255.255", []string{"192.167.255.255", "192.169.0.0"}},
	{"direct delegation AS112", "192.175.48.0", "192.175.48.255", []string{"192.175.47.255", "192.175.49.0"}},
	{"benchmarking", "198.18.0.0", "198.19.255.255", []string{"198.17.255.255", "198.20.0.0"}},
	{"TEST-NET-2", "198.51.100.0", "198.51.100.255", []string{"198.51.99.255", "198.51.101.0"}},
	{"TEST-NET-3", "203.0.113.0", "203.0.113.255", []string{"203.0.112.255", "203.0.114.0"}},
	{"multicast", "224.0.0.0", "239.255.255.255", []string{"223.255.255.255"}},
	{"reserved", "240.0.0.0", "255.255.255.254", nil},
	{"limited broadcast", "255.255.255.255", "255.255.255.255", nil},

	{"unspecified", "::", "::", nil},
	{"v6 loopback", "::1", "::1", nil},
	{"IPv4-compatible", "::2", "::ffff:ffff", nil},
	{"IPv4-translated", "::ffff:0:0:0", "::ffff:0:ffff:ffff", nil},
	{"local-use NAT64", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", nil},
	{"discard only", "100::", "100::ffff:ffff:ffff:ffff", nil},
	{"dummy prefix", "100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", nil},
	{"IETF v6 protocol assignments", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", []string{"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"}},
	{"Teredo", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"v6 PCP, TURN and SRP anycast", "2001:1::1", "2001:1::3", nil},
	{"v6 benchmarking", "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", nil},
	{"v6 AMT", "2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"AS112-v6", "2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", nil},
	{"ORCHID", "2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"ORCHIDv2", "2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"drone remote ID", "2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"v6 documentation", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", []string{"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"}},
	{"6to4 of a private address", "2002:a00::", "2002:aff:ffff:ffff:ffff:ffff:ffff:ffff", []string{"2002:9ff:ffff::", "2002:b00::"}},
	{"direct delegation AS112 v6", "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", []string{"2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", "2620:4f:8001::"}},
	{"new documentation", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", []string{"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"}},
	{"before global unicast", "64:ff9b:2::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", []string{"2000::"}},
	{"after global unicast", "4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"segment routing", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"unique local", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"v6 link local", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"site local", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"v6 multicast", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil},
	{"IPv4-mapped loopback", "::ffff:127.0.0.0", "::ffff:127.255.255.255", []string{"::ffff:126.255.255.255", "::ffff:128.0.0.0"}},
	{"NAT64 of a private address", "64:ff9b::10.0.0.0", "64:ff9b::10.255.255.255", []string{"64:ff9b::9.255.255.255", "64:ff9b::11.0.0.0"}},
	{"ISATAP to a private address", "2600::5efe:10.0.0.0", "2600::200:5efe:10.255.255.255", []string{"2600::5efe:11.0.0.0", "2600::5eff:10.0.0.1"}},
}

func TestEverySpecialPurposeRangeIsRefusedAndItsNeighboursAreNot(t *testing.T) {
	var zero Guard
	for _, r := range registry {
		t.Run(r.name, func(t *testing.T) {
			for _, s := range []string{r.first, r.last} {
				addr := netip.MustParseAddr(s)
				var refused *Error
				if err := zero.Check(addr); !errors.As(err, &refused) {
					t.Errorf("%s: want it refused, got %v", s, err)
				} else if refused.Addr != addr || refused.Reason == "" {
					t.Errorf("%s: refusal says %+v", s, *refused)
				}
			}
			for _, s := range r.outside {
				if err := zero.Check(netip.MustParseAddr(s)); err != nil {
					t.Errorf("%s is public: %v", s, err)
				}
			}
		})
	}
}

func TestRefusalNamesTheNarrowestRange(t *testing.T) {
	for s, want := range map[string]string{
		"127.0.0.1": "loopback", "255.255.255.255": "limited broadcast", "255.255.255.254": "reserved", "::": "unspecified", "::1": "loopback",
		"::2": "IPv4-compatible", "::ffff:0:8.8.8.8": "IPv4-translated", "64:ff9b:1::1": "local-use NAT64", "100::1": "discard only",
		"100:0:0:1::1": "dummy prefix", "2001::1": "Teredo", "2001:1::1": "IETF protocol", "2001:2::1": "benchmarking", "2001:3::1": "AMT",
		"2001:4:112::1": "AS112", "2001:10::1": "ORCHID (", "2001:20::1": "ORCHIDv2", "2001:30::1": "drone", "5f00::1": "segment routing",
		"fc00::1": "unique local", "fe80::1": "link local", "fec0::1": "site local", "ff02::1": "multicast", "4000::1": "not global unicast",
		"2600::5efe:10.0.0.1": "ISATAP to private use",
	} {
		refused, ok := errors.AsType[*Error](new(Guard).Check(netip.MustParseAddr(s)))
		if !ok || !strings.HasPrefix(refused.Reason, want) {
			t.Errorf("%s: %+v, want %s", s, refused, want)
		}
	}
}

func TestPublicAddressesPass(t *testing.T) {
	var zero Guard
	for _, s := range []string{
		"1.1.1.1", "8.8.8.8", "140.82.121.4", "223.255.255.254", "2606:4700::1111", "2a00:1450:4001::200e",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:4860:4860::8888",
	} {
		if err := zero.Check(netip.MustParseAddr(s)); err != nil {
			t.Error(err)
		}
	}
}

func TestMetadataServicesAreRefusedWhateverIsAllowed(t *testing.T) {
	everything := New([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	for _, s := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
		"169.254.42.42", "169.254.0.23", "100.96.0.96", "169.254.169.252",
		"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1", "fe80::a9fe:a9fe", "fe80::a9fe:a9fe%eth0",
		"::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1",
		"64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0",
		"2001:0:a9fe:a9fe::1", "2001::5601:5601", "2600::5efe:169.254.169.254", "fe80::200:5efe:169.254.169.254",
	} {
		addr := netip.MustParseAddr(s)
		var refused *Error
		if err := everything.Check(addr); !errors.As(err, &refused) || !refused.Metadata {
			t.Errorf("%s: got %v", s, err)
		}
		if everything.Allowed(addr) {
			t.Errorf("%s counts as allowed", s)
		}
	}
}

func TestAllowListOpensItsRangesInEverySpellingAndNothingElse(t *testing.T) {
	g := New([]netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/8"), // bits below the mask are ignored
		netip.MustParsePrefix("::ffff:10.1.0.0/112"),
		netip.MustParsePrefix("fd12::/16"),
		{},
	})
	for s, want := range map[string]bool{
		"127.0.0.1": true, "127.255.0.1": true, "::ffff:127.0.0.1": true, "64:ff9b::127.0.0.1": true, "10.1.2.3": true,
		"fd12::1": true, "fd12::1%eth0": true,
		"::1": false, "10.2.0.1": false, "fd13::1": false, "::127.0.0.1": false, "0.0.0.0": false, "::": false,
	} {
		addr := netip.MustParseAddr(s)
		if got := g.Check(addr) == nil; got != want {
			t.Errorf("Check(%s): passes %t, want %t", s, got, want)
		}
		if got := g.Allowed(addr); got != want {
			t.Errorf("Allowed(%s) = %t, want %t", s, got, want)
		}
	}
	if g.Allowed(netip.MustParseAddr("8.8.8.8")) {
		t.Error("a public address that nobody listed counts as allowed")
	}
}

func TestControlRefusesWhatIsNotAnIPAddressOfTCPOrUDP(t *testing.T) {
	var zero Guard
	for _, c := range [][2]string{
		{"tcp4", "127.0.0.1:443"}, {"tcp6", "[::1]:443"}, {"tcp", "example.com:443"}, {"tcp", "8.8.8.8"},
		{"unix", "/run/docker.sock"}, {"ip4:icmp", "8.8.8.8"}, {"tcp6", "[fe80::1%lo]:80"}, {"", ""},
	} {
		var refused *Error
		if err := zero.Control(c[0], c[1], nil); !errors.As(err, &refused) {
			t.Errorf("%v: got %v", c, err)
		}
	}
	for _, c := range [][2]string{{"tcp4", "8.8.8.8:443"}, {"tcp6", "[2606:4700::1111]:443"}, {"udp4", "8.8.8.8:53"}} {
		if err := zero.Control(c[0], c[1], nil); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	if err := zero.Check(netip.Addr{}); err == nil {
		t.Error("the zero address passes")
	}
}

func TestDialerMeetsTheGuardBeforeItConnects(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	closed := net.Dialer{Control: new(Guard).Control}
	_, err = closed.DialContext(context.Background(), "tcp", ln.Addr().String())
	if refused, ok := errors.AsType[*Error](err); !ok || refused.Addr != netip.MustParseAddr("127.0.0.1") {
		t.Fatalf("got %v", err)
	}
	open := net.Dialer{Control: New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Control}
	conn, err := open.DialContext(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func FuzzEmbeddedAddressIsJudgedLikeItsPlainForm(f *testing.F) {
	for _, r := range registry {
		if a := netip.MustParseAddr(r.first); a.Is4() {
			b := a.As4()
			f.Add(b[0], b[1], b[2], b[3])
		}
	}
	for _, a := range metadata {
		if a.Is4() {
			b := a.As4()
			f.Add(b[0], b[1], b[2], b[3])
		}
	}
	g := New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16")})
	f.Fuzz(func(t *testing.T, a, b, c, d byte) {
		v4 := [4]byte{a, b, c, d}
		plain := g.Check(netip.AddrFrom4(v4))
		put := func(base string, i int) netip.Addr {
			bytes := netip.MustParseAddr(base).As16()
			copy(bytes[i:], v4[:])
			return netip.AddrFrom16(bytes)
		}
		for _, addr := range []netip.Addr{put("::ffff:0:0", 12), put("64:ff9b::", 12), put("2002::", 2)} {
			got := g.Check(addr)
			if (got == nil) != (plain == nil) || isMeta(got) != isMeta(plain) {
				t.Errorf("%s: %v; plain: %v", addr, got, plain)
			}
		}
		for _, addr := range []netip.Addr{put("::", 12), put("::ffff:0:0:0", 12), put("64:ff9b:1::", 12), put("2001::", 4)} {
			got := g.Check(addr)
			if got == nil || isMeta(plain) && !isMeta(got) {
				t.Errorf("%s: %v; plain: %v", addr, got, plain)
			}
		}
		if got := new(Guard).Check(put("2600::5efe:0:0", 12)); (got == nil) != (new(Guard).Check(netip.AddrFrom4(v4)) == nil) {
			t.Errorf("ISATAP to %v: %v", v4, got)
		}
	})
}

func isMeta(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Metadata
}

func TestCheckDoesNotAllocateOnSuccess(t *testing.T) {
	g := New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	if n := testing.AllocsPerRun(100, func() {
		if g.Control("tcp4", "140.82.121.4:443", nil) != nil || g.Control("tcp6", "[2606:4700::1111]:443", nil) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	var zero Guard
	for name, s := range map[string]string{"v4": "140.82.121.4", "v6": "2606:4700::1111"} {
		addr := netip.MustParseAddr(s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if zero.Check(addr) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
