package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
)

// screen is what is known of the place that output goes to.
type screen struct {
	width int  // columns of a terminal; 0: no terminal, and no limit
	color bool // a terminal that takes colours, and a user who wants them
}

func screenOf(w io.Writer) screen {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return screen{}
	}
	s := screen{width: narrowest, color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		s.width = n
	}
	return s
}

// statusStyles are all colours outside the demo: they say how something is.
var statusStyles = map[string]string{checkOK: green, checkWarning: yellow, checkError: red}

// status colours text by a check's status.
func (s screen) status(status, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + statusStyles[status] + "m" + text + "\x1b[0m"
}

// printTable writes rows under a header, columns aligned, with no character that
// is not printable. On a terminal what is wider than it is cut, with … at the end;
// a pipe gets all of it.
func printTable(w io.Writer, header []string, rows [][]string) error {
	all := append([][]string{header}, rows...)
	widths := make([]int, len(header))
	for _, r := range all {
		for i := range r {
			r[i] = cmp.Or(tui.Clean(r[i]), "-")
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
	}
	if width := screenOf(w).width; width > 0 {
		fit(widths, width-len(gutter)*(len(widths)-1))
	}
	for _, r := range all {
		line := make([]string, len(r))
		for i, cell := range r {
			line[i] = pad(cut(cell, widths[i]), widths[i])
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(line, gutter), " ")); err != nil {
			return err
		}
	}
	return nil
}

const (
	gutter   = "  " // between two columns
	leastFit = 8    // a column is not made narrower
)

// fit takes from the widest columns until they need no more than total; from the
// first, which names the row, when the others have no more to give.
func fit(widths []int, total int) {
	sum := 0
	for _, w := range widths {
		sum += w
	}
	for _, columns := range [][]int{widths[1:], widths[:1]} {
		for ; sum > total && len(columns) > 0; sum-- {
			widest := slices.Index(columns, slices.Max(columns))
			if columns[widest] <= leastFit {
				break
			}
			columns[widest]--
		}
	}
}

// cut shortens s to width characters, the last of them … where some are left out.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// slow is how long something may take without a word.
const slow = time.Second

// progress names on standard error each step that takes longer than [slow].
func (a *app) progress() (step func(string), done func()) {
	steps, ended := make(chan string), make(chan struct{})
	go func() {
		defer close(ended)
		at, late := "", time.NewTimer(slow)
		defer late.Stop()
		for {
			select {
			case s, open := <-steps:
				if at = s; !open {
					return
				}
				late.Reset(slow)
			case <-late.C:
				fmt.Fprintf(a.err, "%s ...\n", tui.Clean(at))
			}
		}
	}()
	closed := false
	return func(s string) { steps <- s }, func() {
		if !closed {
			closed = true
			close(steps)
			<-ended
		}
	}
}

// during is progress for a single step.
func (a *app) during(what string, do func() error) error {
	step, done := a.progress()
	defer done()
	step(what)
	return do()
}
