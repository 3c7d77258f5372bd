package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Problem is one thing that is wrong with the configuration and what to write
// instead.
type Problem struct {
	Source  string // file path, environment variable or flag; "" for a default
	Line    int    // 1-based line in the file; 0 where Source is not a file
	Column  int    // 1-based column in bytes
	Key     string // such as proxy.listen; "" where the file as a whole is meant
	Message string // never holds a password
}

// Error returns "file:line:col: key: message" as far as each is known.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Source != "" {
		b.WriteString(p.Source)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems is the error of [Load] for a configuration that was read and is
// wrong: everything that is wrong with it, the file's first in their order.
type Problems []Problem

// Error returns one line a problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each Problem to errors.As.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// origin says where a key was set.
type origin struct {
	source       string
	line, column int
	file         bool // relative paths are the file's, not the working directory's
}

// problem describes what is wrong with the value of key, set at o.
func (o origin) problem(key, format string, args ...any) Problem {
	return Problem{Source: o.source, Line: o.line, Column: o.column, Key: key, Message: fmt.Sprintf(format, args...)}
}

// sortProblems orders by place in the file; environment, flags and defaults
// follow in the order of discovery.
func sortProblems(ps Problems) {
	rank := func(p Problem) int {
		if p.Line > 0 {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(rank(a)-rank(b), a.Line-b.Line, a.Column-b.Column)
	})
}

// nearest returns the candidate that unknown most likely stands for: the one
// with the fewest edits, where the same last segment in another section counts
// as two edits, and the same section decides between equals.
func nearest(unknown string, candidates []string) string {
	unknown = strings.ToLower(unknown)
	section, name := splitKey(unknown)
	best, bestCost := "", -1
	for _, c := range candidates {
		s, n := splitKey(c)
		cost := 2 * min(levenshtein.ComputeDistance(unknown, c), levenshtein.ComputeDistance(name, n)+2)
		if s != section {
			cost++
		}
		if bestCost < 0 || cost < bestCost {
			best, bestCost = c, cost
		}
	}
	return best
}

// splitKey splits a key before its last segment.
func splitKey(key string) (section, name string) {
	i := strings.LastIndexByte(key, '.')
	return key[:max(i, 0)], key[i+1:]
}
