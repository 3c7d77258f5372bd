package manifests

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// CanonicalHost returns the one spelling of a host name or IP literal that
// every rule is matched against: lower case, IDNA names in ASCII, no trailing
// dot, IP addresses in their shortest form, IPv6 without brackets and IPv4 in
// IPv6 unwrapped. A canonical name is returned unchanged and without
// allocating.
//
// It fails on what cannot be a host, and on what different programs read as
// different hosts: zones, and the IPv4 spellings of inet_aton ("127.1",
// "0x7f.0.0.1", "017700000001").
func CanonicalHost(host string) (string, error) {
	if strings.ContainsAny(host, "[:]") {
		return canonicalIPv6(host)
	}
	name := host
	if !isASCII(name) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return "", fmt.Errorf("not a valid international name: %w", err)
		}
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if err := checkName(name); err != nil {
		return "", err
	}
	if endsInNumber(name) {
		addr, err := netip.ParseAddr(name)
		if err != nil {
			return "", fmt.Errorf("%q is an ambiguous IPv4 address: write four decimal numbers", name)
		}
		return addr.String(), nil
	}
	return name, nil
}

func canonicalIPv6(host string) (string, error) {
	text, bracket := strings.CutPrefix(host, "[")
	text, closed := strings.CutSuffix(text, "]")
	addr, err := netip.ParseAddr(text)
	switch {
	case bracket != closed || err != nil || !addr.Is6():
		return "", fmt.Errorf("%q is not an IPv6 address", host)
	case addr.Zone() != "":
		return "", errors.New("an address with a zone means another host on every machine")
	}
	return addr.Unmap().String(), nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// checkName checks a lower-case ASCII name label by label. Underscores and
// hyphens anywhere are let through although no registrar sells them: such
// names are in use.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("empty host")
	case len(name) > 253:
		return errors.New("host longer than 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return errors.New("empty label in host")
		case len(label) > 63:
			return errors.New("label longer than 63 characters in host")
		}
		for i := range len(label) {
			if c := label[i]; !isAlnum(c) && c != '-' && c != '_' {
				return fmt.Errorf("%q cannot stand in a host", c)
			}
		}
		if strings.HasPrefix(label, "xn--") {
			if ascii, err := idna.Lookup.ToASCII(label); err != nil || ascii != label {
				return fmt.Errorf("%q is not valid punycode", label)
			}
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// endsInNumber is the test of the WHATWG URL standard for a host that some
// programs take for an IPv4 address: its last label is a number, decimal or hex.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// HostPattern is an exact host, or every name below a suffix, on one port or
// on the web's two. The zero value matches nothing. It is comparable.
type HostPattern struct {
	host string // canonical; of a wildcard the suffix with its leading dot
	port uint16 // 0: 443 and 80
	wild bool
}

// ParseHostPattern reads "host", "*.suffix", "192.0.2.1" or "[2001:db8::1]",
// each with an optional ":port". Without one, ports 443 and 80 are meant.
// "*.suffix" covers one label or more, never the suffix itself.
func ParseHostPattern(s string) (HostPattern, error) {
	if strings.Contains(s, "/") {
		return HostPattern{}, errors.New("a host stands alone, without scheme and path")
	}
	name, port, err := splitPort(s)
	if err != nil {
		return HostPattern{}, err
	}
	suffix, wild := strings.CutPrefix(name, "*.")
	if strings.Contains(suffix, "*") {
		return HostPattern{}, errors.New("the only wildcard is a leading *. before a suffix")
	}
	host, err := CanonicalHost(suffix)
	if err != nil {
		return HostPattern{}, err
	}
	if !wild {
		return HostPattern{host: host, port: port}, nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return HostPattern{}, errors.New("an IP address has no names below it")
	}
	// SECURITY: below "*.com" or "*.co.uk" anybody can register a name and be
	// sent the credential.
	if public, icann := publicsuffix.PublicSuffix(host); icann && public == host {
		return HostPattern{}, fmt.Errorf("anybody can register a name below %q", host)
	}
	return HostPattern{host: "." + host, port: port, wild: true}, nil
}

// splitPort cuts ":port" off s; port 0 means that there was none.
func splitPort(s string) (name string, port uint16, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") || strings.Count(s, ":") > 1 && s[i-1] != ']' {
		return s, 0, nil // no port; or a bare IPv6 address
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || n == 0 || s[i+1] == '0' {
		return "", 0, fmt.Errorf("%q is not a port", s[i+1:])
	}
	return s[:i], uint16(n), nil
}

// Match reports whether the pattern covers the port of a host in the form that
// [CanonicalHost] gives. It does not allocate.
func (p HostPattern) Match(host string, port uint16) bool {
	return p.matchPort(port) && p.matchHost(host)
}

func (p HostPattern) matchPort(port uint16) bool {
	return p.port == port && port != 0 || p.port == 0 && (port == 443 || port == 80)
}

func (p HostPattern) matchHost(host string) bool {
	if p.wild {
		return len(host) > len(p.host) && strings.HasSuffix(host, p.host)
	}
	return host == p.host && host != ""
}

// Covers reports whether p matches everything that q matches.
func (p HostPattern) Covers(q HostPattern) bool {
	if p.port != q.port && !(p.port == 0 && p.matchPort(q.port)) {
		return false
	}
	if p.wild && q.wild {
		return strings.HasSuffix(q.host, p.host)
	}
	return !q.wild && p.matchHost(q.host)
}

// String gives the pattern in its canonical spelling, which parses back to it.
func (p HostPattern) String() string {
	s := p.host
	switch {
	case p.wild:
		s = "*" + s
	case strings.Contains(s, ":"):
		s = "[" + s + "]"
	}
	if p.port != 0 {
		s += ":" + strconv.Itoa(int(p.port))
	}
	return s
}
