package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	docLink    = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)
	docFence   = regexp.MustCompile("(?ms)^(<!-- run -->\n)?```sh\n(.*?)^```")
	docCommand = regexp.MustCompile(`(?:^|[|&('] *|sudo |-u latchgate |-T latchgate |-- )latchgate ([a-z][^|>;&'\n]*)`)
)

// docPage is a page of the documentation.
type docPage struct {
	path, text string
	code       []string // lines of shell
	run        string   // what is marked with <!-- run -->, for an empty folder
}

func docPages(t *testing.T) []docPage {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%v: %v", paths, err)
	}
	var pages []docPage
	for _, path := range append(paths, "../../README.md") {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p := docPage{path: path, text: string(raw)}
		for _, m := range docFence.FindAllStringSubmatch(p.text, -1) {
			p.code = append(p.code, shellLines(m[2])...)
			if m[1] != "" {
				p.run += m[2]
			}
		}
		for _, line := range shellLines(p.text) {
			if code, ok := strings.CutPrefix(line, "    "); ok {
				p.code = append(p.code, code)
			}
		}
		pages = append(pages, p)
	}
	return pages
}

func shellLines(text string) []string {
	var lines []string
	for line := range strings.Lines(strings.NewReplacer("\\\n", " ", "2>&1", "").Replace(text)) {
		line, _, _ = strings.Cut(line, " #")
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return lines
}

// Every file that a page links to or names in a command is there, and every
// latchgate command in it has that name and those flags.
func TestTheDocsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	commands := 0
	for _, p := range docPages(t) {
		for _, link := range docLink.FindAllStringSubmatch(p.text, -1) {
			if link[1] != "" && !strings.Contains(link[1], "://") {
				there(t, p.path, filepath.Join(filepath.Dir(p.path), link[1]))
			}
		}
		for _, code := range p.code {
			for word := range strings.FieldsSeq(code) {
				if strings.HasPrefix(word, "configs/") {
					there(t, p.path, filepath.Join("../..", word))
				}
			}
			for _, found := range docCommand.FindAllStringSubmatch(code, -1) {
				commands++
				knows(t, p.path, strings.Fields(found[1]))
			}
		}
	}
	if commands < 50 {
		t.Errorf("only %d commands were looked at", commands)
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
	if check := c.Args; check != nil && !c.HasSubCommands() && !slices.Contains(rest, "...") {
		if err := check(c, c.Flags().Args()); err != nil {
			t.Errorf("%s: latchgate %s: %v", page, strings.Join(args, " "), err)
		}
	}
}

// Each page's marked blocks run, in order, in an empty folder, as a reader
// would run them.
func TestTheMarkedBlocksOfTheDocsRun(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(builtProgram(t))
	n := 0
	for _, p := range docPages(t) {
		if p.run == "" {
			continue
		}
		n++
		t.Run(filepath.Base(p.path), func(t *testing.T) {
			dir := t.TempDir()
			c := exec.CommandContext(t.Context(), "sh", "-euc", p.run)
			c.Dir = dir
			c.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CONFIG_HOME=" + dir + "/xdg", "GORACE=" + os.Getenv("GORACE")}
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if n < 3 {
		t.Errorf("only %d pages have a block that is run", n)
	}
}
