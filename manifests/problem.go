package manifests

import (
	"fmt"
	"slices"
)

// Severity says whether a problem keeps a manifest from being used.
type Severity int

// The severities.
const (
	Error Severity = iota // the manifest is not loaded
	Note                  // it is, and somebody should know
)

// Problem is one thing that is wrong with a manifest, and what to write instead.
type Problem struct {
	File     string
	Line     int // 1 is the first; 0 where the file as a whole is meant
	Column   int
	ActionID string // "" where it is not known
	Severity Severity
	Message  string // what is wrong, one line
	Hint     string // what to write instead; may be empty
}

// String gives "file:line: message; hint", with "note:" before the message of
// a [Note].
func (p Problem) String() string {
	s := p.File
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, p.Line)
	}
	s += ": "
	if p.Severity == Note {
		s += "note: "
	}
	s += p.Message
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// HasErrors reports whether one of the problems is more than a note.
func HasErrors(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error })
}
