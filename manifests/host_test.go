package manifests

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAHostHasOneSpelling(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	for _, c := range []struct{ in, want string }{
		{"api.github.com", "api.github.com"},
		{"API.GitHub.COM.", "api.github.com"},
		{"localhost", "localhost"},
		{"my_bucket.s3.amazonaws.com", "my_bucket.s3.amazonaws.com"},
		{"r3---sn-abc.googlevideo.com", "r3---sn-abc.googlevideo.com"},
		{"-a-.com", "-a-.com"},
		{"Bücher.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"example。com。", "example.com"}, // ideographic full stop
		{"ｅｘａｍｐｌｅ.com", "example.com"},  // full width
		{"１２７.0.0.1", "127.0.0.1"},
		{"127.0.0.1", "127.0.0.1"},
		{"127.0.0.1.", "127.0.0.1"},
		{"[::1]", "::1"},
		{"::1", "::1"},
		{"[2001:DB8:0:0::1]", "2001:db8::1"},
		{"[::ffff:10.0.0.1]", "10.0.0.1"},
		{"::ffff:7f00:1", "127.0.0.1"},
		{"1.2.3.4.example", "1.2.3.4.example"},
		{"a.0xyz", "a.0xyz"},
		{strings.Join([]string{label63, label63, label63, label63[:61]}, "."), strings.Join([]string{label63, label63, label63, label63[:61]}, ".")},
	} {
		if got, err := CanonicalHost(c.in); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestWhatIsNoHostIsRefused(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	for _, c := range []struct{ in, want string }{
		{"", "empty host"},
		{".", "empty host"},
		{"a..b", "empty label in host"},
		{".a", "empty label in host"},
		{"a..", "empty label in host"},
		{label63 + "a.com", "label longer than 63 characters in host"},
		{strings.Join([]string{label63, label63, label63, label63[:62]}, "."), "host longer than 253 characters"},
		{"a b", "' ' cannot stand in a host"},
		{"a/b", "'/' cannot stand in a host"},
		{"a%2eb", "'%' cannot stand in a host"},
		{"a@b", "'@' cannot stand in a host"},
		{"*.a", "'*' cannot stand in a host"},
		{"a\x00b", "'\\x00' cannot stand in a host"},
		{"a:443", `"a:443" is not an IPv6 address`},
		{"[::1", `"[::1" is not an IPv6 address`},
		{"::1]", `"::1]" is not an IPv6 address`},
		{"[127.0.0.1]", `"[127.0.0.1]" is not an IPv6 address`},
		{"[]", `"[]" is not an IPv6 address`},
		{"[fe80::1%eth0]", "an address with a zone means another host on every machine"},
		{"127.1", `"127.1" is an ambiguous IPv4 address: write four decimal numbers`},
		{"0x7f.1", `"0x7f.1" is an ambiguous IPv4 address: write four decimal numbers`},
		{"0X7F000001", `"0x7f000001" is an ambiguous IPv4 address: write four decimal numbers`},
		{"017700000001", `"017700000001" is an ambiguous IPv4 address: write four decimal numbers`},
		{"2130706433", `"2130706433" is an ambiguous IPv4 address: write four decimal numbers`},
		{"127.0.0.01", `"127.0.0.01" is an ambiguous IPv4 address: write four decimal numbers`},
		{"127.0.0.0x1", `"127.0.0.0x1" is an ambiguous IPv4 address: write four decimal numbers`},
		{"a.0x", `"a.0x" is an ambiguous IPv4 address: write four decimal numbers`},
		{"256.0.0.1", `"256.0.0.1" is an ambiguous IPv4 address: write four decimal numbers`},
		{"example.1", `"example.1" is an ambiguous IPv4 address: write four decimal numbers`},
		{"１２７.1", `"127.1" is an ambiguous IPv4 address: write four decimal numbers`},
		{"xn--a", `"xn--a" is not valid punycode`},
		{"xn--example-.com", `"xn--example-" is not valid punycode`},
		{"a\u202eb.com", "not a valid international name: idna: disallowed rune U+202E"},
		{"\xff.com", `"xn--zn7c" is not valid punycode`},
	} {
		got, err := CanonicalHost(c.in)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestHostPatternMatchesWhatItSays(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		port          uint16
		want          bool
	}{
		{"api.github.com", "api.github.com", 443, true},
		{"api.github.com", "api.github.com", 80, true},
		{"api.github.com", "api.github.com", 8443, false},
		{"api.github.com", "github.com", 443, false},
		{"api.github.com", "xapi.github.com", 443, false},
		{"api.github.com", "a.api.github.com", 443, false},
		{"API.github.com.:8443", "api.github.com", 8443, true},
		{"api.github.com:8443", "api.github.com", 443, false},
		{"api.github.com:443", "api.github.com", 80, false},
		{"*.x.com", "a.x.com", 443, true},
		{"*.x.com", "a.b.x.com", 80, true},
		{"*.x.com", "x.com", 443, false},
		{"*.x.com", ".x.com", 443, false},
		{"*.x.com", "ax.com", 443, false},
		{"*.x.com", "a.x.com.evil.org", 443, false},
		{"*.x.com:9", "a.x.com", 9, true},
		{"*.x.com:9", "a.x.com", 443, false},
		{"*.Bücher.example", "a.xn--bcher-kva.example", 443, true},
		{"*.localhost", "a.localhost", 443, true},
		{"127.0.0.1:8080", "127.0.0.1", 8080, true},
		{"127.0.0.1", "127.0.0.1", 443, true},
		{"[::1]:8443", "::1", 8443, true},
		{"[::1]:8443", "::1", 443, false},
		{"::1", "::1", 443, true},
		{"[2001:DB8::1]", "2001:db8::1", 80, true},
		{"[::ffff:10.0.0.1]", "10.0.0.1", 443, true},
	} {
		if got := host(t, c.pattern).Match(c.host, c.port); got != c.want {
			t.Errorf("%s matches %s:%d: %v", c.pattern, c.host, c.port, got)
		}
	}
	if (HostPattern{}).Match("", 443) || (HostPattern{}).Match("a", 443) {
		t.Error("the zero pattern matches")
	}
}

func TestHostPatternRefusesWhatItCannotKeep(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                "empty host",
		"*":               "the only wildcard is a leading *. before a suffix",
		"*.":              "empty host",
		"*x.com":          "the only wildcard is a leading *. before a suffix",
		"a.*.com":         "the only wildcard is a leading *. before a suffix",
		"*.*.com":         "the only wildcard is a leading *. before a suffix",
		"*.com":           `anybody can register a name below "com"`,
		"*.co.uk":         `anybody can register a name below "co.uk"`,
		"*.10.0.0.1":      "an IP address has no names below it",
		"*.0.0.1":         `"0.0.1" is an ambiguous IPv4 address: write four decimal numbers`,
		"*.[::1]":         "an IP address has no names below it",
		"https://x.com":   "a host stands alone, without scheme and path",
		"x.com/a":         "a host stands alone, without scheme and path",
		"x.com:":          `"" is not a port`,
		"x.com:0":         `"0" is not a port`,
		"x.com:080":       `"080" is not a port`,
		"x.com:65536":     `"65536" is not a port`,
		"x.com:+1":        `"+1" is not a port`,
		"x.com:https":     `"https" is not a port`,
		":443":            "empty host",
		"[::1]:":          `"" is not a port`,
		"[::1%eth0]:443":  "an address with a zone means another host on every machine",
		"a:b:c":           `"a:b:c" is not an IPv6 address`,
		"user@x.com":      "'@' cannot stand in a host",
		" x.com":          "' ' cannot stand in a host",
		"x.com\n":         "'\\n' cannot stand in a host",
		"[::1]x:443":      `"[::1]x:443" is not an IPv6 address`,
		"0x7f.0.0.1:8080": `"0x7f.0.0.1" is an ambiguous IPv4 address: write four decimal numbers`,
	} {
		p, err := ParseHostPattern(pattern)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v; want %q", pattern, p, err, want)
		}
	}
}

func TestHostPatternCovers(t *testing.T) {
	for _, c := range []struct {
		p, q string
		want bool
	}{
		{"a.com", "a.com", true},
		{"a.com", "a.com:443", true},
		{"a.com", "a.com:80", true},
		{"a.com", "a.com:8443", false},
		{"a.com:443", "a.com", false},
		{"a.com:443", "a.com:443", true},
		{"a.com", "*.a.com", false},
		{"*.a.com", "a.com", false},
		{"*.a.com", "b.a.com", true},
		{"*.a.com", "*.a.com", true},
		{"*.a.com", "*.b.a.com", true},
		{"*.b.a.com", "*.a.com", false},
		{"*.a.com", "*.xa.com", false},
		{"*.a.com:8443", "b.a.com:8443", true},
		{"*.a.com:8443", "b.a.com", false},
		{"[::1]:1", "[::1]:1", true},
	} {
		if got := host(t, c.p).Covers(host(t, c.q)); got != c.want {
			t.Errorf("%s covers %s: %v", c.p, c.q, got)
		}
	}
	if (HostPattern{}).Covers(host(t, "a.com")) || host(t, "*.a.com").Covers(HostPattern{}) {
		t.Error("the zero pattern covers or is covered")
	}
}

func TestCoversMeansMatchesAll(t *testing.T) {
	var patterns []HostPattern
	for _, name := range []string{"a.com", "*.a.com", "b.a.com", "*.b.a.com", "x.b.a.com", "1.2.3.4", "[::1]"} {
		for _, port := range []string{"", ":80", ":443", ":8443"} {
			patterns = append(patterns, host(t, name+port))
		}
	}
	hosts := []string{"a.com", "b.a.com", "c.a.com", "x.b.a.com", "y.b.a.com", "z.x.b.a.com", "1.2.3.4", "::1"}
	for _, p := range patterns {
		for _, q := range patterns {
			subset := true
			for _, h := range hosts {
				for _, port := range []uint16{0, 80, 443, 8443} {
					subset = subset && (p.Match(h, port) || !q.Match(h, port))
				}
			}
			if got := p.Covers(q); got != subset {
				t.Errorf("%s covers %s: %v, but matches all of it: %v", p, q, got, subset)
			}
		}
	}
}

func TestHostPatternPrintsCanonically(t *testing.T) {
	for in, want := range map[string]string{
		"API.x.com.": "api.x.com", "*.X.com:80": "*.x.com:80", "::1": "[::1]", "[::1]:8443": "[::1]:8443", "10.0.0.1:1": "10.0.0.1:1",
	} {
		if got := host(t, in).String(); got != want {
			t.Errorf("%s prints as %s", in, got)
		}
		if host(t, want) != host(t, in) {
			t.Errorf("%s does not parse back", want)
		}
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, s := range []string{
		"api.github.com", "API.x.COM.", "[::1]:8443", "*.x.com", "Bücher.example", "xn--bcher-kva", "127.1", "0x7f.1", "017700000001",
		"[::ffff:1.2.3.4]", "fe80::1%1", "１２７.0.0.1", "a。b。", "a_b", "x.com:443", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParseHostPattern(s); err == nil {
			if again, err := ParseHostPattern(p.String()); err != nil || again != p {
				t.Errorf("%q gives %v, which gives %v, %v", s, p, again, err)
			}
		}
		c, err := CanonicalHost(s)
		if err != nil {
			return
		}
		if again, err := CanonicalHost(c); err != nil || again != c {
			t.Errorf("%q gives %q, which gives %q, %v", s, c, again, err)
		}
		if c == "" || len(c) > 253 || c != strings.ToLower(c) || strings.HasSuffix(c, ".") || strings.ContainsAny(c, "/@%[]*?# \x00") {
			t.Errorf("%q gives %q", s, c)
		}
		if addr, err := netip.ParseAddr(c); err == nil && addr.String() != c {
			t.Errorf("%q gives %q, which is %v", s, c, addr)
		}
		if p, err := ParseHostPattern(c); err != nil || !p.Match(c, 443) {
			t.Errorf("%q as a pattern: %v, %v", c, p, err)
		}
	})
}

func BenchmarkHostPatternMatch(b *testing.B) {
	wild, _ := ParseHostPattern("*.s3.eu-west-1.amazonaws.com")
	exact, _ := ParseHostPattern("api.github.com:443")
	b.ReportAllocs()
	for b.Loop() {
		if !wild.Match("bucket.s3.eu-west-1.amazonaws.com", 443) || exact.Match("api.gitlab.com", 443) {
			b.Fatal("wrong")
		}
	}
}

func BenchmarkCanonicalHost(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CanonicalHost("bucket.s3.eu-west-1.amazonaws.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	h, p := host(t, "*.x.com"), path(t, "/repos/*/a*b/**")
	if n := testing.AllocsPerRun(100, func() {
		if !h.Match("a.b.x.com", 443) || !p.Match("/repos/o/axxb/issues/7/comments") {
			t.Error("no match")
		}
		_, _ = CanonicalHost("a.b.x.com")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
