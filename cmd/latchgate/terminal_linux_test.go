package main

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// endOfOutput is nothing that latchgate prints.
const endOfOutput = "-- end of output --"

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
	if _, err := term.slave.WriteString("\n" + endOfOutput); err != nil {
		h.t.Fatal(err)
	}
	term.wait(endOfOutput)
	term.mu.Lock()
	defer term.mu.Unlock()
	_, out, _ := strings.Cut(term.output.String(), "\n") // after the version
	return strings.ReplaceAll(strings.TrimSuffix(out, endOfOutput), "\r", "")
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

// On a terminal one's own secrets are not lost among those of all the services
// that there are.
func TestATerminalGetsTheOperatorsOwnSecrets(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.must("secrets", "remove", "GIT_TOKEN")
	list := func(args ...string) string {
		return strings.TrimSpace(h.onTerminalOf(100, nil, append([]string{"secrets", "list"}, args...)...))
	}
	short := list()
	if !regexp.MustCompile(`(?s)^SECRET .*\nAPI_TOKEN +set .*\nGIT_TOKEN +missing .*\n\n\d+ more names are wanted by bundled actions: latchgate secrets list --all$`).MatchString(short) || strings.Count(short, "\n") != 4 {
		t.Errorf("%s", short)
	}
	if all := list("--all"); !strings.Contains(all, "\nSLACK_BOT_TOKEN ") || strings.Contains(all, "--all") || strings.Index(all, "\nGIT_TOKEN ") > strings.Index(all, "\nAIRTABLE_API_KEY ") {
		t.Errorf("%s", all)
	}
	h.start()
	h.must("secrets", "set", "SLACK_BOT_TOKEN", "x")
	h.agent("slack")
	h.must("secrets", "remove", "SLACK_BOT_TOKEN")
	if open := list(); !strings.Contains(open, "\nSLACK_BOT_TOKEN ") {
		t.Errorf("what an open run wants is not shown:\n%s", open)
	}
	h.remove("manifests/api.yaml")
	h.remove("manifests/git.yaml")
	h.must("secrets", "remove", "API_TOKEN")
	h.remove("gate.sock")
	if none := list(); !strings.HasPrefix(none, "No secret is set, and no action in use wants one.\n") {
		t.Errorf("%s", none)
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
