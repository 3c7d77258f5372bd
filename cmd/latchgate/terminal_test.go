package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate"
)

func TestTableTakesFromItsWidestColumns(t *testing.T) {
	for _, c := range []struct {
		widths []int
		total  int
		want   []int
	}{
		{[]int{10, 20, 30}, 60, []int{10, 20, 30}},
		{[]int{10, 20, 30}, 45, []int{10, 17, 18}},
		{[]int{30, 9, 4}, 30, []int{18, 8, 4}},
		{[]int{30, 9, 4}, 0, []int{8, 8, 4}}, // no less: it wraps
		{[]int{30}, 20, []int{20}},
	} {
		got := slices.Clone(c.widths)
		if fit(got, c.total); !slices.Equal(got, c.want) {
			t.Errorf("%v in %d: %v, want %v", c.widths, c.total, got, c.want)
		}
	}
}

func TestPipeGetsAllOfATable(t *testing.T) {
	var out bytes.Buffer
	long := strings.Repeat("ä", 300)
	if err := printTable(&out, []string{"A", "B"}, [][]string{{long, "x"}, {"", long}}); err != nil {
		t.Fatal(err)
	}
	want := "A" + strings.Repeat(" ", 301) + "B\n" + long + "  x\n-" + strings.Repeat(" ", 301) + long + "\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}

// What agents, upstreams, files and programs write must not give the operator's
// terminal a command, by whichever way it is printed.
func TestNothingThatIsPrintedCommandsTheTerminal(t *testing.T) {
	const evil = "a\x1b[2J\x1b]0;x\x07b\rc\x9bd\u009b31m\u202ee\u2028f\x7f"
	ticket := &gate.Approval{Ticket: evil, State: evil, Principal: evil, Actions: []string{evil}, Reasons: []string{evil}, Arguments: []gate.Argument{{Name: evil, Value: evil}, {Name: "n", Value: []any{evil}}}}
	checks := &doctor{checks: []check{{Group: evil, Name: evil, Status: checkError, Found: evil, Todo: evil, Client: &triedClient{Said: evil}}}}
	for name, show := range map[string]func(a *app) error{
		"error":     func(a *app) error { report(a.out, withHint(errors.New(evil), evil)); return nil },
		"error; do": func(a *app) error { report(a.out, errors.New("it is "+evil+"; do "+evil)); return nil },
		"table":     func(a *app) error { return printTable(a.out, []string{evil, "B"}, [][]string{{evil, evil}}) },
		"ticket":    func(a *app) error { return printApproval(a, ticket) },
		"decided":   func(a *app) error { return printDecided(a, ticket) },
		"event": func(a *app) error {
			return a.showEvent(audit.Entry{Event: audit.Event{Host: evil, Reason: evil}}, false)
		},
		"event, JSON": func(a *app) error {
			return a.showEvent(audit.Entry{Event: audit.Event{Host: evil, Reason: evil}}, true)
		},
		"doctor":       func(a *app) error { return checks.print(a.out, false) },
		"doctor, JSON": func(a *app) error { return checks.print(a.out, true) },
		"JSON":         func(a *app) error { return printJSON(a.out, map[string]any{evil: []string{evil}}) },
	} {
		var out bytes.Buffer
		if err := show(&app{out: &out}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text := out.String()
		if !strings.Contains(text, "a") || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func TestJSONIsTheSameWithItsOddCharactersEscaped(t *testing.T) {
	want := "a\u009b\u202e\U000e0001\x7f\u00a0ä\n<>"
	var out bytes.Buffer
	if err := printJSON(&out, want); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != want {
		t.Errorf("%q of %s: %v", got, out.String(), err)
	}
}

func TestNothingIsSaidOfWhatIsQuick(t *testing.T) {
	var errOut bytes.Buffer
	step, done := (&app{err: &errOut}).progress()
	step("one")
	step("two")
	done()
	done()
	if errOut.Len() > 0 {
		t.Error(errOut.String())
	}
}

// Commands of every branch of the tree: what runs has an example, and what is
// listed for people is there for programs.
func TestEveryCommandHasAnExampleAndEveryListHasJSON(t *testing.T) {
	root := (&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).root()
	root.InitDefaultCompletionCmd()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.HasParent() && !c.Hidden && !strings.Contains(c.CommandPath(), " completion") && c.Name() != "help" && c.Example == "" {
			t.Errorf("%s shows no example", c.CommandPath())
		}
		if c.Hidden || c.HasSubCommands() || strings.Contains(c.CommandPath(), " completion ") || c.Name() == "help" {
			return
		}
		if !strings.Contains(c.Example, "latchgate "+strings.TrimPrefix(c.CommandPath(), "latchgate ")) {
			t.Errorf("%s has no example of itself", c.CommandPath())
		}
		if c.Flags().Lookup("json") == nil && slices.Contains([]string{"list", "show", "tail", "verify", "eval", "test", "status", "doctor", "version"}, c.Name()) {
			t.Errorf("%s has no --json", c.CommandPath())
		}
		words := strings.Fields(c.Use)
		if len(words) > 1 && slices.Contains([]string{"ACTION", "RUN", "TICKET", "NAME"}, words[1]) && c.ValidArgsFunction == nil {
			t.Errorf("%s does not complete %s", c.CommandPath(), words[1])
		}
		if f := c.Flags().Lookup("action"); f != nil {
			if complete, ok := c.GetFlagCompletionFunc("action"); !ok || complete == nil {
				t.Errorf("%s does not complete --action", c.CommandPath())
			}
		}
	}
	walk(root)
}
