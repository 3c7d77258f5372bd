// Package scrub takes secret values out of what an upstream sends back,
// in streaming and in every form that upstreams echo values in.
//
// Compile the values of a run once with [Compile] and use the [Set] for all its
// answers: [Set.Reader] for bodies, [Set.String] for header values and reason
// phrases, [Set.Bytes] for a body that is in memory anyway. A body under a
// content encoding goes through [Decoder] first: a Set finds nothing in
// compressed bytes. Do not search with bytes.Replace what arrives in pieces,
// and do not cut a text before it was scrubbed: the rest of a secret at the cut
// would stay.
//
// # What is found
//
// Each value is searched for
//
//   - raw;
//   - in base64, standard and URL alphabet, padded or not, at each of the three
//     positions that a byte can have in a group, so that it is found within a
//     larger encoded text such as "username:value" too;
//   - in hex, upper, lower and mixed case;
//
// and each of these also where some or all of its characters are escaped:
// percent-encoded (with "+" for a space), as in a JSON or JavaScript string
// (\", \/, \n, \u0041, \x41, surrogate pairs), as HTML entities (named, decimal
// and hex), and each of the three applied twice. Escapes are read, not
// enumerated, so it does not matter which characters an upstream chose to
// escape.
//
// # What is not found
//
// A value shorter than [MinLen] is not searched for, since that would ruin
// every answer; one shorter than [MinEncodedLen] not in base64 and hex. Not
// found either: base64 broken over lines, two escapes of different kind on one
// another, a value in UTF-16 or another charset than UTF-8, a value that an
// upstream encrypts, compresses or turns round, and a value that an upstream
// returns in parts.
//
// Of a value in base64 the characters that stand for it alone are replaced. The
// character on either side, which it shares with its neighbours, is kept; it
// tells at most four bits of the value's first and last byte.
package scrub

import (
	"slices"
	"unsafe"
)

const (
	// Replacement stands where a value was.
	Replacement = "***REDACTED***"

	// MinLen is the length in bytes from which on a value is searched for.
	MinLen = 4

	// MinEncodedLen is the length in bytes from which on a value is searched
	// for in base64 and hex too. The seven base64 characters that are left of
	// a shorter one stand in too many innocent texts.
	MinEncodedLen = 6
)

// Named is a secret's value under its name. The name is not looked at.
type Named struct {
	Name  string
	Value []byte
}

// Set searches for a fixed number of values. It is immutable and safe for
// concurrent use. A nil Set searches for nothing.
type Set struct {
	needles []needle
	grams   gramTable
	windows *windows // nil: grams alone
	marks   symbolTable

	shortest int // bytes of a needle
	maxLen   int
}

// Compile returns a Set that searches for values. An index that the Set reports
// is an index of values; of equal values, that of the first. Compile returns
// nil if there is nothing to search for. It does not keep the slices.
func Compile(values []Named) *Set {
	s := &Set{}
	for i, v := range values {
		s.add(v.Value, i)
	}
	if len(s.needles) == 0 {
		return nil
	}
	s.shortest = len(s.needles[0].text)
	for _, n := range s.needles {
		s.shortest = min(s.shortest, len(n.text))
		s.maxLen = max(s.maxLen, len(n.text)*maxEscape)
	}
	s.grams = newGramTable(s.needles, s.shortest)
	s.windows = newWindows(s.needles)
	s.marks = newSymbolTable(s.needles)
	return s
}

// MaxLen returns the length in bytes of the longest text that could be a match,
// every character of it escaped. No more is ever held back.
func (s *Set) MaxLen() int {
	if s == nil {
		return 0
	}
	return s.maxLen
}

// Contains reports whether a value is in b in any form.
func (s *Set) Contains(b []byte) bool {
	if s == nil {
		return false
	}
	spans, _ := s.scan(b, true, nil)
	return len(spans) > 0
}

// Bytes returns b with each value replaced by [Replacement]: b itself, which is
// never changed, if there is none. hit, unless nil, is called with the index of
// the value for each place that it was found at.
func (s *Set) Bytes(b []byte, hit func(i int)) []byte {
	if s == nil {
		return b
	}
	spans, _ := s.scan(b, true, nil)
	if len(spans) == 0 {
		return b
	}
	out, _ := redact(nil, b, spans, len(b), 0, hit)
	return out
}

// String is Bytes for a header value or a reason phrase. It does not allocate
// unless there is a match.
func (s *Set) String(v string, hit func(i int)) string {
	b := unsafe.Slice(unsafe.StringData(v), len(v)) // read only
	out := s.Bytes(b, hit)
	if len(out) == len(b) && unsafe.SliceData(out) == unsafe.SliceData(b) {
		return v
	}
	return string(out)
}

// InName returns the index of a value that stands in a field's name, -1 where
// there is none. ASCII case does not matter: names are spelled anew on their way.
func (s *Set) InName(name string) int {
	if s == nil || len(name) < s.shortest {
		return -1
	}
	for i := range s.needles {
		n := &s.needles[i]
		for at := 0; at+len(n.text) <= len(name); at++ {
			if equalFold(name[at:at+len(n.text)], n.text) {
				return n.secret
			}
		}
	}
	spans, _ := s.scan([]byte(name), true, nil)
	if len(spans) == 0 {
		return -1
	}
	return spans[0].secret
}

// span is one occurrence of a value.
type span struct {
	lo, hi int
	secret int
}

func bySpan(a, b span) int {
	if a.lo != b.lo {
		return a.lo - b.lo
	}
	if a.hi != b.hi {
		return a.hi - b.hi
	}
	return a.secret - b.secret
}

// redact appends b[:end] to dst with the spans replaced. Spans that overlap are
// replaced as one; those that begin at end or later are left alone. The first
// covered bytes of b belong to a stretch that was already replaced; redact
// returns how many bytes after end do so too.
func redact(dst, b []byte, spans []span, end, covered int, hit func(int)) ([]byte, int) {
	slices.SortFunc(spans, bySpan)
	for _, sp := range slices.Compact(spans) {
		if sp.lo >= end {
			break
		}
		if sp.lo >= covered {
			dst = append(dst, b[covered:sp.lo]...)
			dst = append(dst, Replacement...)
		}
		covered = max(covered, sp.hi)
		if hit != nil {
			hit(sp.secret)
		}
	}
	if covered < end {
		return append(dst, b[covered:end]...), 0
	}
	return dst, covered - end
}
