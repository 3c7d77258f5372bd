package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
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
