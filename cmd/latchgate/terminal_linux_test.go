package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// onTerminalOf runs latchgate on a terminal of that width to its end.
func (h *home) onTerminalOf(columns uint16, environ []string, args ...string) string {
	h.t.Helper()
	term := h.onTerminal(append(environ, "TERM=xterm"), "version") // its terminal is kept for the command
	_ = term.cmd.Wait()
	if err := unix.IoctlSetWinsize(int(term.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		h.t.Fatal(err)
	}
	c := h.command(args...)
	c.Env = append(append(c.Env, "TERM=xterm"), environ...)
	c.Stdin, c.Stdout, c.Stderr = term.slave, term.slave, term.slave
	_ = c.Run()
	if _, err := term.slave.WriteString("\nEND"); err != nil {
		h.t.Fatal(err)
	}
	term.wait("END")
	term.mu.Lock()
	defer term.mu.Unlock()
	_, out, _ := strings.Cut(term.output.String(), "\n") // after the version
	return strings.ReplaceAll(strings.TrimSuffix(out, "END"), "\r", "")
}

func TestWhatIsPrintedFitsTheTerminal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	whole := h.must("actions", "list").stdout
	if strings.Contains(whole, "…") || strings.Contains(whole, "\x1b") {
		t.Errorf("a pipe gets less than all:\n%s", whole)
	}
	for _, args := range [][]string{{"actions", "list"}, {"secrets", "list"}, {"doctor"}} {
		out := h.onTerminalOf(60, []string{"NO_COLOR=1"}, args...)
		if len(out) < 200 || strings.Contains(out, "\x1b") {
			t.Errorf("%v:\n%s", args, out)
		}
		for line := range strings.Lines(out) {
			last := line[strings.LastIndexByte(strings.TrimRight(line, "\n"), ' ')+1:] // a word is not broken
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 60 && len(last) < 25 {
				t.Errorf("%v: %d columns: %q", args, n, line)
			}
		}
	}
	if out := h.onTerminalOf(60, nil, "actions", "list"); !strings.Contains(out, "…") || !strings.Contains(out, "github_get_repo ") {
		t.Errorf("it is not cut, or its first column is:\n%s", out)
	}
}

func TestColourIsForPeopleWhoWantIt(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	if out := h.onTerminalOf(120, nil, "doctor"); !strings.Contains(out, "\x1b[32mok     \x1b[0m") {
		t.Errorf("no colour on a terminal:\n%s", out)
	}
	for _, environ := range [][]string{{"NO_COLOR=1"}, {"TERM=dumb"}} {
		if out := h.onTerminalOf(120, environ, "doctor"); strings.Contains(out, "\x1b") {
			t.Errorf("%v: colour all the same", environ)
		}
	}
	if out := h.run("doctor").stdout; strings.Contains(out, "\x1b") {
		t.Error("colour in a pipe")
	}
}
