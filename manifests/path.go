package manifests

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// PathPattern is a path with wildcards: "*" stands for any characters within
// one segment, and a segment "**" for any number of segments, none included.
// A segment that is "*" alone stands for one that is not empty. The zero value
// matches nothing.
//
//	/repos/*/*/issues   /repos/o/r/issues, not /repos/o/issues
//	/v1/**              /v1, /v1/, /v1/a/b
//	/v1/report*         /v1/report, /v1/report-2, not /v1/report/2
type PathPattern struct {
	text     string
	segments []string // without their slashes
}

// maxSegments is how many segments a pattern may have: one bit each in Match.
const maxSegments = 63

// ParsePathPattern reads a pattern. It must be written as the wire writes the
// path it matches: no dot segments, no empty ones but the last, no query, and
// percent-encoded only, and in upper-case hex, where a path must be.
func ParsePathPattern(s string) (PathPattern, error) {
	rest, ok := strings.CutPrefix(s, "/")
	if !ok {
		return PathPattern{}, errors.New("a path begins with /")
	}
	if err := checkPathChars(s); err != nil {
		return PathPattern{}, err
	}
	segments := strings.Split(rest, "/")
	if len(segments) > maxSegments {
		return PathPattern{}, fmt.Errorf("more than %d segments", maxSegments)
	}
	for i, seg := range segments {
		switch {
		case seg == "" && i < len(segments)-1:
			return PathPattern{}, errors.New("// never reaches a rule: the wire resolves it")
		case seg == "." || seg == "..":
			return PathPattern{}, fmt.Errorf("%s never reaches a rule: the wire resolves it", seg)
		case seg != "**" && strings.Contains(seg, "**"):
			return PathPattern{}, errors.New("** stands for whole segments: write it between slashes")
		}
	}
	return PathPattern{text: s, segments: segments}, nil
}

// checkPathChars checks that s is made of RFC 3986 pchar and "/", with
// percent-encodings as section 6.2.2 normalises them.
func checkPathChars(s string) error {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return errors.New("% is not followed by two hex digits")
			}
			esc, b := s[i:i+3], byte(unhex(s[i+1])<<4|unhex(s[i+2]))
			if isUnreserved(b) {
				return fmt.Errorf("write %s as %c", esc, b)
			}
			if b == 0 {
				return errors.New("%00 never reaches a rule: the wire refuses it")
			}
			if up := strings.ToUpper(esc); up != esc {
				return fmt.Errorf("write %s as %s", esc, up)
			}
			i += 2
		case c == '?' || c == '#':
			return fmt.Errorf("rules match the path alone, without %c and what follows", c)
		case c == '{' || c == '}':
			return errors.New("variables are not known here: * stands for one segment")
		case c == '\\':
			return errors.New("a backslash never reaches a rule: the wire refuses it")
		case !isUnreserved(c) && strings.IndexByte("!$&'()*+,;=:@/", c) < 0:
			_, n := utf8.DecodeRuneInString(s[i:])
			return fmt.Errorf("%q is written %s in a path", s[i:i+n], url.PathEscape(s[i:i+n]))
		}
	}
	return nil
}

func isUnreserved(c byte) bool {
	return isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Match reports whether the pattern matches a canonical path, which is a path
// with dot segments resolved and still percent-encoded where it must be. It
// does not allocate, and its time is at most the product of the two lengths.
func (p PathPattern) Match(path string) bool {
	if len(p.segments) == 0 || path == "" || path[0] != '/' {
		return false
	}
	// Bit i of at is set while the segments seen so far match p.segments[:i].
	at := p.skip(1)
	for rest, more := path[1:], true; more && at != 0; {
		var seg string
		seg, rest, more = strings.Cut(rest, "/")
		var next uint64
		for i, glob := range p.segments {
			switch {
			case at>>i&1 == 0:
			case glob == "**":
				next |= 1 << i
			case glob == "*" && seg != "" || glob != "*" && matchSegment(glob, seg):
				next |= 1 << (i + 1)
			}
		}
		at = p.skip(next)
	}
	return at>>len(p.segments)&1 == 1
}

// skip adds to the set the states that a "**" reaches by standing for nothing.
func (p PathPattern) skip(at uint64) uint64 {
	for i, glob := range p.segments {
		if glob == "**" {
			at |= at >> i & 1 << (i + 1)
		}
	}
	return at
}

// matchSegment matches one segment. A mismatch goes back to the last "*" only:
// what an earlier one could still take, the last one can take too.
func matchSegment(glob, s string) bool {
	g, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, i
			g++
		case g < len(glob) && glob[g] == s[i]:
			g++
			i++
		case star >= 0:
			mark++
			g, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}

// String gives the pattern as it was written.
func (p PathPattern) String() string { return p.text }
