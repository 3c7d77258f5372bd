package tui

import (
	"fmt"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// The colours are the terminal's own sixteen, so that they fit its theme. Each
// stands beside a symbol that says the same without colour.
var (
	plainStyle  = lipgloss.NewStyle()
	dimStyle    = lipgloss.NewStyle().Faint(true)
	boldStyle   = lipgloss.NewStyle().Bold(true)
	okStyle     = lipgloss.NewStyle().Foreground(lipgloss.Green)
	warnStyle   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	errorStyle  = lipgloss.NewStyle().Foreground(lipgloss.Red)
	deniedStyle = lipgloss.NewStyle().Foreground(lipgloss.Magenta)
	hotStyle    = lipgloss.NewStyle().Foreground(lipgloss.Cyan).Bold(true)
)

// The symbols.
const (
	okSign      = "✓"
	warnSign    = "!"
	errorSign   = "✗"
	deniedSign  = "⊘"
	waitingSign = "?"
)

// Clean makes one line of text fit to be shown on a terminal, wherever it comes
// from (agents, upstreams, files): a character that is not printable could move
// the cursor, give the terminal a command or hide behind the reading direction.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\u00a0':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return '�'
	}, s)
}

// fit is a styled line cut or filled to exactly width cells.
func fit(s string, width int) string {
	if ansi.StringWidth(s) > width {
		return ansi.Truncate(s, width, "…")
	}
	return s + strings.Repeat(" ", width-ansi.StringWidth(s))
}

// wrap breaks clean text into lines of at most width cells, at blanks: a hyphen
// may begin an option of a command that somebody copies.
func wrap(s string, width int) []string {
	const unbroken = "\u2011"
	lines := ansi.Wrap(strings.ReplaceAll(s, "-", unbroken), max(width, 1), "")
	return strings.Split(strings.ReplaceAll(lines, unbroken, "-"), "\n")
}

func list(names []string) string {
	if len(names) == 0 {
		return "–"
	}
	return strings.Join(names, ", ")
}

// pad makes exactly height lines.
func pad(lines []string, height int) []string {
	if len(lines) > height {
		return lines[:max(height, 0)]
	}
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines
}

var bars = []rune("▁▂▃▄▅▆▇█")

// sparkline draws the last width points between nothing and top, or their
// greatest where top is 0.
func sparkline(points []float64, width int, top float64) string {
	if len(points) > width {
		points = points[len(points)-width:]
	}
	if top == 0 {
		for _, p := range points {
			top = max(top, p)
		}
	}
	var b strings.Builder
	for _, p := range points {
		i := 0
		if top > 0 {
			i = max(0, min(int(p/top*float64(len(bars)-1)+0.5), len(bars)-1)) // what is no number is nothing
		}
		b.WriteRune(bars[i])
	}
	return b.String()
}

// many is a number with its noun.
func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
