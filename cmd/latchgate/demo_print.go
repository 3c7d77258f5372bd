package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/latchgate/latchgate/secrets"
)

// page is a screen to print the demo on.
type page struct {
	bytes.Buffer
	width int
	color bool
}

const (
	narrowest = 80  // for two columns
	widest    = 124 // beyond it lines are hard to read
)

// newPage fits the terminal that w is. Anything else gets plain text, as wide
// as COLUMNS says or 80.
func newPage(w io.Writer) *page {
	p := &page{width: narrowest}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		p.width = n
	}
	if s := screenOf(w); s.width > 0 {
		p.width, p.color = s.width, s.color
	}
	p.width = max(40, min(p.width, widest))
	return p
}

// Colours: green is a credential where it belongs and what holds, yellow is
// what was taken out, red is what was refused or is wrong.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (p *page) paint(style, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// meaning colours the words of a line that matter.
func (p *page) meaning(s string) string {
	if !p.color {
		return s
	}
	for _, w := range []struct{ word, style string }{
		{demoMasked, green}, {secrets.Redacted, yellow}, {"egress_denied", red}, {noCredential, dim}, {nothing, dim},
	} {
		s = strings.ReplaceAll(s, w.word, p.paint(w.style, w.word))
	}
	return s
}

const (
	noCredential = "(no Authorization)"
	nothing      = "(nothing arrived)"
)

func (p *page) line(format string, args ...any) {
	for _, l := range wrap(fmt.Sprintf(format, args...), p.width) {
		p.WriteString(p.meaning(l) + "\n")
	}
}

func (p *page) title(s string) { fmt.Fprintf(p, "\n%s\n", p.paint(bold, s)) }

func (p *page) command(s string) {
	for i, l := range wrap(s, p.width-4) {
		fmt.Fprintf(p, "%s%s\n", map[bool]string{true: "  $ ", false: "    "}[i == 0], p.meaning(l))
	}
}

// columns prints two texts side by side, or one under the other where the page
// is narrow.
func (p *page) columns(leftHead, rightHead string, left, right []string) {
	if p.width < narrowest {
		p.stack(leftHead, left)
		p.stack(rightHead, right)
		return
	}
	w := p.column()
	rows := func(lines []string) (all []string) {
		for _, l := range lines {
			all = append(all, wrap(l, w)...)
		}
		return all
	}
	l, r := rows(left), rows(right)
	fmt.Fprintf(p, "  %s %s %s\n", p.paint(dim, pad(leftHead, w)), p.paint(dim, "│"), p.paint(dim, rightHead))
	for i := range max(len(l), len(r)) {
		var x, y string
		if i < len(l) {
			x = l[i]
		}
		if i < len(r) {
			y = r[i]
		}
		fmt.Fprintln(p, strings.TrimRight(fmt.Sprintf("  %s %s %s", p.meaning(pad(x, w)), p.paint(dim, "│"), p.meaning(y)), " "))
	}
}

// column is the width of one of two.
func (p *page) column() int { return (p.width - 5) / 2 }

// separator is the empty row between two pairs of columns.
func (p *page) separator() {
	if p.width >= narrowest {
		fmt.Fprintf(p, "  %*s %s", p.column(), "", p.paint(dim, "│"))
	}
	p.WriteByte('\n')
}

func (p *page) stack(head string, lines []string) {
	fmt.Fprintf(p, "  %s\n", p.paint(dim, head))
	for _, l := range lines {
		for _, part := range wrap(l, p.width-4) {
			fmt.Fprintln(p, strings.TrimRight("    "+p.meaning(part), " "))
		}
	}
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// wrap breaks a line at spaces, or where there is none at the width; what
// follows is indented like the line and two more.
func wrap(s string, width int) []string {
	indent := strings.Repeat(" ", len(s)-len(strings.TrimLeft(s, " "))) + "  "
	var lines []string
	for r := []rune(s); ; r = []rune(indent + strings.TrimLeft(string(r), " ")) {
		if len(r) <= width || width <= len(indent)+1 {
			return append(lines, string(r))
		}
		at := width
		for i := width; i > len(indent)+1; i-- {
			if r[i] == ' ' {
				at = i
				break
			}
		}
		lines = append(lines, strings.TrimRight(string(r[:at]), " "))
		r = r[at:]
	}
}
