package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	docLink    = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)
	docCommand = regexp.MustCompile(`(?:^|[|&'] *|sudo |-u latchgate |-T latchgate |-- )latchgate ([a-z][^|>;&'\n]*)`)
)

// Every file that the pages for operators link to or name in a command is
// there, and every latchgate command in them has that name and those flags.
func TestOperatorsPagesNameWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"../../docs/deployment.md", "../../docs/metrics.md"} {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range docLink.FindAllStringSubmatch(string(raw), -1) {
			if link[1] != "" && !strings.Contains(link[1], "://") {
				there(t, page, filepath.Join(filepath.Dir(page), link[1]))
			}
		}
		commands := 0
		for line := range strings.Lines(strings.NewReplacer("\\\n", " ", "2>&1", "").Replace(string(raw))) {
			code, ok := strings.CutPrefix(line, "    ")
			if !ok {
				continue
			}
			for word := range strings.FieldsSeq(code) {
				if strings.HasPrefix(word, "configs/") {
					there(t, page, filepath.Join("../..", word))
				}
			}
			for _, found := range docCommand.FindAllStringSubmatch(code, -1) {
				commands++
				knows(t, page, strings.Fields(found[1]))
			}
		}
		if commands == 0 {
			t.Errorf("%s: no command was looked at", page)
		}
	}
}

func there(t *testing.T, page, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("%s: %v", page, err)
	}
}

// knows checks command and flags, without running it.
func knows(t *testing.T, page string, args []string) {
	t.Helper()
	root := (&app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}}).root()
	root.InitDefaultCompletionCmd(args...)
	c, rest, err := root.Find(args)
	if err != nil || c == root {
		t.Errorf("%s: latchgate %s: there is no such command", page, strings.Join(args, " "))
		return
	}
	c.InheritedFlags() // puts --config among the command's flags
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%s: latchgate %s: %v", page, strings.Join(args, " "), err)
		return
	}
	if check := c.Args; check != nil && !c.HasSubCommands() {
		if err := check(c, c.Flags().Args()); err != nil {
			t.Errorf("%s: latchgate %s: %v", page, strings.Join(args, " "), err)
		}
	}
}
