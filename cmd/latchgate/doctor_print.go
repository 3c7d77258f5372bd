package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
)

func (d *doctor) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, struct {
			Checks   []check `json:"checks"`
			Errors   int     `json:"errors"`
			Warnings int     `json:"warnings"`
		}{d.checks, d.count(checkError), d.count(checkWarning)})
	}
	on := screenOf(w)
	width := 0
	for _, c := range d.checks {
		width = max(width, len(c.Name))
	}
	indent := strings.Repeat(" ", 2+7+2+width+2) // as far as what was found
	group := ""
	for _, c := range d.checks {
		if c.Group != group {
			group = c.Group
			fmt.Fprintln(w, tui.Clean(group))
		}
		found := on.lines(c.Found, len(indent), "")
		fmt.Fprintf(w, "  %s  %-*s  %s\n", on.status(c.Status, pad(c.Status, 7)), width, tui.Clean(c.Name), strings.Join(found, "\n"+indent))
		if c.Todo != "" {
			fmt.Fprintf(w, "%s-> %s\n", indent, strings.Join(on.lines(c.Todo, len(indent), "-> "), "\n"+indent+"   "))
		}
	}
	_, err := fmt.Fprintf(w, "\n%d errors, %d warnings, %d ok\n", d.count(checkError), d.count(checkWarning), d.count(checkOK))
	return err
}

// lines breaks text, cleaned, for a terminal, indented by so many columns and with a mark
// before the first line; elsewhere a line stays whole. A word does too: it may be
// a path that somebody copies.
func (s screen) lines(text string, indent int, mark string) []string {
	text = tui.Clean(text)
	room := s.width - indent - len(mark)
	if s.width == 0 || room < leastFit {
		return []string{text}
	}
	var lines []string
	for word := range strings.FieldsSeq(text) {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= room {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
