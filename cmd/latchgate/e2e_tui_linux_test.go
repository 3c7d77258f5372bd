package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
)

// tmux is a real terminal with a shell in it. What has scrolled away is kept.
type tmux struct {
	*home
	program string
}

// newTmux opens a terminal of 80×24 in the home.
func (h *home) newTmux(environ ...string) *tmux {
	h.t.Helper()
	x := &tmux{home: h, program: testenv.Program(h.t, "tmux")}
	environ = append(append([]string{"env", "-i", "TERM=tmux-256color", "PS1=ready> "}, h.environ...), environ...)
	x.do("-f", "/dev/null", "start-server", ";", "set-option", "-g", "history-limit", "50000", ";",
		"new-session", "-d", "-s", "t", "-x", "80", "-y", "24", strings.Join(append(quoteAll(environ), "sh"), " "))
	h.t.Cleanup(func() { _ = exec.Command(x.program, "-S", h.path("tmux.sock"), "kill-server").Run() })
	x.sees("ready>")
	return x
}

func quoteAll(words []string) (quoted []string) {
	for _, w := range words {
		quoted = append(quoted, shellQuote(w))
	}
	return quoted
}

func (x *tmux) do(args ...string) string {
	x.t.Helper()
	c := exec.Command(x.program, append([]string{"-S", x.path("tmux.sock")}, args...)...)
	c.Dir, c.Env = x.dir, append(x.environ, "TERM=xterm-256color")
	out, err := c.CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// screen is what is seen now; with history all that was ever on the terminal,
// its other screen too, and with escape sequences.
func (x *tmux) screen() string  { return x.do("capture-pane", "-p", "-t", "t") }
func (x *tmux) history() string { return x.do("capture-pane", "-p", "-e", "-S", "-", "-t", "t") }

// press sends keys by their names.
func (x *tmux) press(keys ...string) *tmux {
	x.t.Helper()
	x.do(append([]string{"send-keys", "-t", "t"}, keys...)...)
	return x
}

// enter types text.
func (x *tmux) enter(text string) *tmux {
	x.t.Helper()
	x.do("send-keys", "-t", "t", "-l", text)
	return x
}

// sees waits until the screen shows all of it.
func (x *tmux) sees(want ...string) *tmux {
	x.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		seen, missing := x.screen(), ""
		for _, w := range want {
			if !strings.Contains(seen, w) {
				missing = w
			}
		}
		if missing == "" {
			return x
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("the terminal never showed %q:\n%s", missing, seen)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// seesNot fails where the screen shows it now.
func (x *tmux) seesNot(not string) *tmux {
	x.t.Helper()
	if seen := x.screen(); strings.Contains(seen, not) {
		x.t.Errorf("the terminal shows %q:\n%s", not, seen)
	}
	return x
}

const pastedSecret = "sentinel_first_line_0123456789abcdef\nsentinel_second_line_q_fedcba9876543210\n"

// TestOperatorSetsSecretsInATerminal goes the way that a new user goes: no key,
// no file and no daemon.
func TestOperatorSetsSecretsInATerminal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, gone := range []string{"secrets.enc.yaml", "keys", ".sops.yaml"} {
		h.script(`rm -rf "$1"`, h.path(gone))
	}
	// What is pasted stays outside the home, which is looked through in the end.
	clipboard := filepath.Join(t.TempDir(), "clipboard")
	h.script(`printf %s "$2" > "$1"`, clipboard, pastedSecret)

	h.program = releaseProgram(t)
	x := h.newTmux()
	x.enter(`sh -c 'echo $$ >tui.pid; exec "$0" tui' `+h.program).press("Enter").sees("[1 Dashboard]", "no daemon")
	pid, err := strconv.Atoi(strings.TrimSpace(h.read("tui.pid")))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(pastedSecret, "\n")
	inMemory := func(when string, most int) {
		t.Helper()
		found := findInMemory(t, pid, []byte(line))
		t.Logf("%s: %d copies of the value in memory", when, len(found))
		if len(found) > most {
			t.Errorf("%s: want %d at most:\n%s", when, most, strings.Join(found, "\n"))
		}
	}
	x.press("6", "5").sees("[5 Secrets]", "secrets file not found", "i makes a key", "API_TOKEN")
	x.press("i").sees("created  age key", "created  secrets file")
	x.press("s").sees("Name:").enter("API_TOKEN").press("Enter").sees("Value of API_TOKEN")
	x.do("load-buffer", clipboard, ";", "paste-buffer", "-p", "-d", "-t", "t")
	x.sees("••••••••")
	inMemory("typed", 1)
	x.press("Enter").sees("set API_TOKEN", "▸ API_TOKEN")
	inMemory("set", 1) // what the cipher of the file worked on, until it is collected
	x.press("s").sees("Name:").enter("OLD").press("Enter").sees("Value of OLD").enter("sentinel_typed_5jq?").sees("••••••••").press("Enter").sees("▸ OLD", "nobody's")
	if o := h.must("secrets", "list"); !regexp.MustCompile(`OLD +set`).MatchString(o.stdout) {
		t.Errorf("secrets list: %s", o.stdout)
	}
	x.press("r").sees("Remove OLD?").press("n").sees("r remove").seesNot("Remove OLD?")
	x.press("r").sees("Remove OLD?").press("y").sees("removed OLD", "1 set ").seesNot("nobody's")
	x.press("?").sees("Keys here", "Everywhere").press("Escape").sees("SECRET")
	x.do("resize-window", "-t", "t", "-x", "160", "-y", "50")
	x.sees("api.example.com").press("s").sees("Name:").enter("GIT_TOKEN").press("Enter").sees("Value of GIT_TOKEN")
	x.do("load-buffer", clipboard, ";", "paste-buffer", "-p", "-d", "-t", "t")
	x.sees("••••••••").press("Escape").sees("s set")
	inMemory("given up", 0)
	x.press("1").sees("[1 Overview]").do("resize-window", "-t", "t", "-x", "40", "-y", "10")
	x.sees("This terminal is 40×10").do("resize-window", "-t", "t", "-x", "80", "-y", "24")
	x.sees("CHECK").press("q").sees("ready>")
	if left := x.screen(); strings.Count(strings.TrimSpace(left), "\n") > 2 { // the command, in two lines, and the prompt
		t.Errorf("the screens leave something behind:\n%s", left)
	}

	// The terminal is as it was: it shows what is typed, and line by line.
	x.enter("echo of two: $(stty -a | tr ' ' '\\n' | grep -cxE 'echo;?|icanon;?')").press("Enter").sees("of two: 2")
	if all := x.history(); strings.Contains(all, "sentinel") {
		t.Errorf("the terminal's history has the value:\n%s", all)
	}
	h.noSecretOnDisk()
	if o := h.script(`grep -rl sentinel_ . || true`); o.stdout != "" {
		t.Errorf("on the disk in plaintext: %s", o.stdout)
	}

	// The command line sees what the screens did, and the wire uses the value.
	list := h.must("secrets", "list").stdout
	if !regexp.MustCompile(`API_TOKEN +set`).MatchString(list) || strings.Contains(list, "OLD") {
		t.Errorf("secrets list: %s", list)
	}
	plain := h.script(`SOPS_AGE_KEY_FILE="$1" sops -d --extract '["API_TOKEN"]' secrets.enc.yaml`, h.path("keys/age.key"))
	if want := strings.TrimSuffix(pastedSecret, "\n"); strings.TrimSuffix(plain.stdout, "\n") != want {
		t.Errorf("sops decrypts %q, want %q (%s)", plain.stdout, want, plain.stderr)
	}
}

// TestOperatorWatchesAndApprovesInATerminal has a daemon that comes, works, and
// goes away.
func TestOperatorWatchesAndApprovesInATerminal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("manifests/risky.yaml", riskyManifest)
	x := h.newTmux("NO_COLOR=1")
	x.enter(h.program + " tui").press("Enter").sees("no daemon")
	d := h.start()
	x.sees("● daemon", "Runs open", "Cache hit rate")

	agent := h.agent("api")
	for range 3 {
		if a := agent.get("https://api.example.com/item"); a.status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	x.sees("Since its start: 3 requests, 3 injections, 0 denials", agent.run())
	if a := agent.get("https://elsewhere.example.com/"); a.status != 0 && a.status != 403 {
		t.Fatalf("%+v", a)
	}
	x.sees("⊘ egress_denied").press("2").sees("GET api.example.com", "✓ 200", "⊘ egress_denied")
	x.press("/").enter("egress").press("Enter").sees("1 of 1", "enter details").press("Enter").sees("elsewhere.example.com", "number").press("Escape").sees("/egress").press("Escape").sees("✓ 200")

	ticket := asked(t, h.run("run", "delete_item", "owner=golang", "title=evil\x1b[2J"))
	x.sees("1 approval waits").press("3").sees("▸ "+ticket).press("a").sees("Approve "+ticket, `"evil\x1b[2J"`).press("y").sees("approved " + ticket)
	h.must("run", "delete_item", "owner=golang", "title=evil\x1b[2J")
	x.sees("used").press("5").sees("? approval", "delete_item").press("w").sees("action:").enter("delete_item").press("Enter").sees("decided by", "critical risk")
	x.press("4").sees("ready,").press("/").enter("delete_item").sees("▸ delete_item", "? critical")
	x.press("Escape").sees("enter details").press("6", "3").sees("latchgate CA", "0600").press("2").sees("HTTPS_PROXY")

	d.stop()
	x.sees("no daemon")
	h.start()
	x.sees("● daemon").press("1").press("C-c").sees("ready>")
	if regexp.MustCompile(`\x1b\[[0-9;]*3[0-7]m`).MatchString(x.history()) {
		t.Error("colours although NO_COLOR is set")
	}
	noSecret(t, "the terminal", x.history())
}

func TestTUISaysWhereItCannotWork(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	if o := h.run("tui"); o.status != 2 || !strings.Contains(o.stderr, "tui needs a terminal") {
		t.Errorf("without a terminal: %+v", o)
	}
	dumb := h.onTerminal([]string{"TERM=dumb"}, "tui")
	dumb.wait("latchgate doctor")
	status, out := dumb.ended()
	if status != 1 || !strings.Contains(out, "TERM=dumb") || !strings.Contains(out, "latchgate doctor") {
		t.Errorf("on a dumb terminal: status %d, %s", status, out)
	}
}
