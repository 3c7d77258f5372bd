package target

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CanonicalPath returns the one spelling of a path, which is matched and sent.
// raw is the path of a request target as it was received, still percent-encoded
// and without its query; an empty one is "/".
//
// Escapes of unreserved characters are decoded and all others kept, with their
// hex in upper case, so %2F stays an escape (RFC 3986 §6.2.2). Characters that
// a path may not hold as they are get escaped. "//" becomes "/", then dot
// segments are resolved (RFC 3986 §5.2.4): a trailing slash stays, "/a/.." is
// "/", and "/../a" is "/a", since nothing lies above the root. Path parameters
// (";v=1") stay.
//
// Refused, because servers disagree about them: backslashes, control
// characters and NUL in any spelling; an escape without two hex digits; bytes
// that are not UTF-8, overlong forms among them; a dot segment that carries
// parameters ("..;") or stands between encoded slashes ("..%2F").
//
// CanonicalPath(CanonicalPath(p)) is CanonicalPath(p). A path that is canonical
// is returned as it is, without allocating.
func CanonicalPath(raw string) (string, error) {
	if raw == "" {
		return "/", nil
	}
	if raw[0] != '/' {
		return "", &Error{"a path begins with /"}
	}
	if isPlain(raw) {
		return raw, nil
	}
	var space [256]byte
	escaped, err := normalizeEscapes(space[:0], raw)
	if err != nil {
		return "", err
	}
	path := resolveDots(escaped)
	if err := checkDots(path); err != nil {
		return "", err
	}
	if string(path) == raw {
		return raw, nil
	}
	return string(path), nil
}

// isPlain reports whether p is canonical for the plainest of reasons: no escape
// in it, nothing to escape, no "//", no segment that begins with a dot.
func isPlain(p string) bool {
	for i := 0; i < len(p); i++ {
		if !is(p[i], pathChar) || p[i] == '/' && i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
			return false
		}
	}
	return true
}

// normalizeEscapes appends p to dst with every character in its one spelling.
func normalizeEscapes(dst []byte, p string) ([]byte, error) {
	for i := 0; i < len(p); {
		c, width, err := octet(p, i)
		if err != nil {
			return nil, err
		}
		switch {
		case c < 0x20 || c == 0x7f:
			return nil, &Error{"control character in the path"}
		case c == '\\':
			return nil, &Error{"backslash in the path"}
		case c >= 0x80:
			if width, err = utf8Width(p, i); err != nil {
				return nil, err
			}
			for end := i + width; i < end; i += width {
				c, width, _ = octet(p, i)
				dst = appendEscape(dst, c)
			}
			continue
		case is(c, unreserved) || width == 1 && is(c, pathChar):
			dst = append(dst, c)
		case width == 1 && (c == '?' || c == '#'):
			return nil, &Error{"the path holds a query or a fragment"}
		default:
			dst = appendEscape(dst, c)
		}
		i += width
	}
	return dst, nil
}

// octet returns the byte that is written at p[i:], and how long it is there.
func octet(p string, i int) (c byte, width int, err error) {
	if p[i] != '%' {
		return p[i], 1, nil
	}
	if i+2 >= len(p) || unhex(p[i+1]) < 0 || unhex(p[i+2]) < 0 {
		return 0, 0, &Error{"% without two hex digits in the path"}
	}
	return byte(unhex(p[i+1])<<4 | unhex(p[i+2])), 3, nil
}

// utf8Width returns how long the character of several bytes is that begins at
// p[i:]. It fails on what is not UTF-8 and on the control characters of
// Unicode's second block.
func utf8Width(p string, i int) (int, error) {
	var char [utf8.UTFMax]byte
	n, at := 0, i
	for at < len(p) && !utf8.FullRune(char[:n]) {
		c, width, err := octet(p, at)
		if err != nil {
			return 0, err
		}
		char[n] = c
		n++
		at += width
	}
	r, size := utf8.DecodeRune(char[:n])
	if r == utf8.RuneError && size < 2 || size != n {
		return 0, &Error{"the path is not UTF-8"}
	}
	if unicode.IsControl(r) {
		return 0, &Error{"control character in the path"}
	}
	return at - i, nil
}

// resolveDots removes empty segments and then dot segments from p, in place.
func resolveDots(p []byte) []byte {
	out := p[:0]
	for i := 0; i < len(p); {
		end := i + 1 // p[i] is a slash; p[i+1:end] will be the segment after it
		for end < len(p) && p[end] != '/' {
			end++
		}
		dots := end - i - 1 // how many, if the segment holds nothing else
		if dots > 2 || dots > 0 && p[i+1] != '.' || dots == 2 && p[i+2] != '.' {
			out = append(out, p[i:end]...)
		} else {
			if dots == 2 {
				out = out[:max(0, lastSlash(out))]
			}
			if end == len(p) {
				out = append(out, '/')
			}
		}
		i = end
	}
	return out
}

func lastSlash(p []byte) int {
	i := len(p) - 1
	for i >= 0 && p[i] != '/' {
		i--
	}
	return i
}

// checkDots refuses what some servers take for a dot segment although RFC 3986
// does not: one with path parameters, and one between encoded slashes.
func checkDots(p []byte) error {
	for i := range p {
		var rest []byte
		switch {
		case p[i] == '/':
			rest = p[i+1:]
		case p[i] == '%' && p[i+1] == '2' && p[i+2] == 'F':
			rest = p[i+3:]
		default:
			continue
		}
		dots := 0
		for dots < len(rest) && rest[dots] == '.' {
			dots++
		}
		if dots != 1 && dots != 2 {
			continue
		}
		switch after := string(rest[dots:min(len(rest), dots+3)]); {
		case strings.HasPrefix(after, ";") || after == "%3B":
			return &Error{"dot segment with parameters in the path"}
		case after == "" || after[0] == '/' || after == "%2F":
			return &Error{"dot segment beside an encoded slash in the path"}
		}
	}
	return nil
}

// Loosened returns a canonical path as a lenient server may read it: escapes of
// characters that could stand in a path as they are get decoded, encoded
// slashes too. It is not to be sent, and not for a rule that permits; it is for
// a rule that forbids ("never /v1/*:delete"), which has to match the canonical
// path or this one. A path without such an escape does not allocate.
func Loosened(path string) string {
	var space [256]byte
	out := space[:0]
	for i := 0; i < len(path); {
		c, width, err := octet(path, i)
		if err != nil {
			return path // not canonical
		}
		if is(c, pathChar) {
			out = append(out, c)
		} else {
			out = append(out, path[i:i+width]...)
		}
		i += width
	}
	if out = resolveDots(out); string(out) == path {
		return path
	}
	return string(out)
}

// CheckQuery refuses a query (without its "?") that cannot stand in a request
// line unescaped: control characters, spaces and "#". Escapes are the business
// of who reads them, so "100%" passes; the query is sent as it was received.
func CheckQuery(raw string) error {
	for i := 0; i < len(raw); i++ {
		if c := raw[i]; c <= ' ' || c == 0x7f || c == '#' {
			return &Error{"control character, space or # in the query"}
		}
	}
	return nil
}
