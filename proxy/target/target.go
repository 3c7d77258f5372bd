// Package target brings where a request goes into one canonical form: scheme,
// host and port, and the path.
//
// Use [ParseAuthority] for a CONNECT authority, a Host or :authority and a TLS
// server name, [FromURL] for an absolute URL, and [CanonicalPath] for the path
// of any request before a rule sees it. What these return is what is matched
// and what is sent; do not match a spelling that a client chose, and do not
// send one. What two programs could read in two ways is an [*Error], never a
// guess.
package target

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/latchgate/latchgate/manifests"
)

// Target is where a request goes. Made by this package it is canonical, so two
// Targets are the same place if they are equal.
type Target struct {
	Scheme string // "http" or "https"
	Host   string // ASCII name, lower case, no trailing dot; or an IP literal without brackets
	Port   uint16 // never 0
}

// Error says why a target was not understood. It never holds what a client
// sent, so it can be shown and logged.
type Error struct {
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// Authority returns host:port, always with the port, an IPv6 host in brackets.
func (t Target) Authority() string {
	return t.bracketed() + ":" + strconv.Itoa(int(t.Port))
}

// HostHeader returns the value for Host and :authority: like Authority, but
// without the port that is the scheme's own (RFC 9110 §4.2.3).
func (t Target) HostHeader() string {
	if t.IsDefaultPort() {
		return t.bracketed()
	}
	return t.Authority()
}

// IsDefaultPort reports whether the port is the scheme's own.
func (t Target) IsDefaultPort() bool { return t.Port == schemePort(t.Scheme) }

func (t Target) bracketed() string {
	if strings.Contains(t.Host, ":") {
		return "[" + t.Host + "]"
	}
	return t.Host
}

// schemePort returns a scheme's default port, 0 if it is not one of ours.
func schemePort(scheme string) uint16 {
	switch scheme {
	case "https":
		return 443
	case "http":
		return 80
	}
	return 0
}

// ParseAuthority reads host[:port] (RFC 3986 §3.2 without user info, RFC 9110
// §9.3.6). An absent or empty port is defaultPort; with a defaultPort of 0, as
// CONNECT wants it, that is an error. An IPv6 literal stands in brackets. A
// canonical authority does not allocate.
func ParseAuthority(s string, defaultPort uint16) (host string, port uint16, err error) {
	name, digits := splitPort(s)
	switch {
	case strings.Contains(s, "@"):
		return "", 0, &Error{"user info in a host"}
	case strings.Contains(name, ":") && !strings.HasPrefix(name, "["):
		return "", 0, &Error{"an IPv6 address stands in brackets"}
	}
	if host, err = manifests.CanonicalHost(name); err != nil {
		return "", 0, &Error{"not a host name or an IP address"} // err would show the name
	}
	if port = defaultPort; digits != "" {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || len(digits) > 5 {
			return "", 0, &Error{"not a port number"}
		}
		port = uint16(n)
	}
	if port == 0 {
		return "", 0, &Error{"no port"}
	}
	return host, port, nil
}

// splitPort cuts ":port" off s. Colons inside brackets belong to the host, and
// so do all but the last outside.
func splitPort(s string) (name, digits string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i < strings.LastIndexByte(s, ']') {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// FromURL returns the canonical target of an absolute http or https URL and its
// path as it was written, for [CanonicalPath]. The query is left to
// [CheckQuery]; a fragment is not part of a request and is ignored. User info
// is an error.
func FromURL(u *url.URL) (t Target, path string, err error) {
	t.Scheme = strings.ToLower(u.Scheme)
	defaultPort := schemePort(t.Scheme)
	switch {
	case defaultPort == 0:
		return Target{}, "", &Error{"not an absolute http or https URL"}
	case u.User != nil:
		return Target{}, "", &Error{"user info in a URL"}
	case u.Opaque != "" || u.Host == "":
		return Target{}, "", &Error{"no host in a URL"}
	}
	if t.Host, t.Port, err = ParseAuthority(u.Host, defaultPort); err != nil {
		return Target{}, "", err
	}
	return t, WrittenPath(u), nil
}

// WrittenPath returns the path as it was parsed, for [CanonicalPath].
// url.URL.EscapedPath would encode one that holds an unusual character anew, and
// lose its %2F doing so.
func WrittenPath(u *url.URL) string {
	if u.RawPath != "" {
		if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
			return u.RawPath
		}
	}
	return u.EscapedPath()
}
