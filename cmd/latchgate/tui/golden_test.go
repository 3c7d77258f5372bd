package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

var update = flag.Bool("update", false, "write the golden screens, and put them into docs/tui.md")

// views are the screens that are kept, by the keys that lead to them.
var views = []struct {
	name string
	keys []string
	down bool // without a daemon
}{
	{"dashboard", nil, false},
	{"dashboard-no-daemon", nil, true},
	{"activity", []string{"2"}, false},
	{"activity-detail", []string{"2", "down", "down", "down", "down", "enter"}, false},
	{"activity-filter", []string{"2", "/", "n", "p", "m"}, false},
	{"approvals", []string{"3"}, false},
	{"approvals-detail", []string{"3", "enter"}, false},
	{"approvals-ask", []string{"3", "a"}, false},
	{"actions", []string{"4"}, false},
	{"actions-detail", []string{"4", "enter"}, false},
	{"policy", []string{"5"}, false},
	{"policy-what-if", []string{"5", "w", "g", "i", "t", "h", "u", "b", "_", "tab", "enter"}, false},
	{"setup-overview", []string{"6", "down"}, false},
	{"setup-proxy", []string{"6", "2"}, false},
	{"setup-certificates", []string{"6", "3"}, false},
	{"setup-manifests", []string{"6", "4"}, false},
	{"setup-secrets", []string{"6", "5"}, false},
	{"setup-secrets-set", []string{"6", "5", "s", "N", "E", "W", "enter", "x"}, false},
	{"setup-secrets-remove", []string{"6", "5", "r"}, false},
	{"setup-secrets-no-daemon", []string{"6", "5"}, true},
	{"help", []string{"6", "5", "?"}, false},
}

var sizes = [][2]int{{80, 24}, {160, 50}}

// TestScreensAreAsTheyWere compares every screen with its golden file, and holds
// it to its size.
func TestScreensAreAsTheyWere(t *testing.T) {
	for _, v := range views {
		for _, size := range sizes {
			name := fmt.Sprintf("%s-%dx%d", v.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				b := newFixed()
				b.down = v.down
				o := sit(t, b, size[0], size[1]).press(v.keys...)
				fits(t, o, size[0], size[1])
				got, file := o.screen()+"\n", filepath.Join("testdata", name+".txt")
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("%s (go test ./cmd/latchgate/tui -update writes it) is now:\n%s", file, got)
				}
			})
		}
	}
}

func fits(t *testing.T, o *operator, width, height int) {
	t.Helper()
	lines := o.m.lines()
	if len(lines) != height {
		t.Errorf("%d lines on a terminal of %d", len(lines), height)
	}
	for _, l := range lines {
		if w := ansi.StringWidth(l); w > width || strings.Contains(l, "\n") {
			t.Errorf("a line of %d cells on a terminal of %d: %q", w, width, l)
		}
	}
}

// TestEveryScreenFitsEverySize draws all screens in sizes that nobody tried.
func TestEveryScreenFitsEverySize(t *testing.T) {
	for _, v := range views {
		b := newFixed()
		b.down = v.down
		o := sit(t, b, 80, 24).press(v.keys...)
		for width := 1; width <= 200; width += 13 {
			for height := 1; height <= 60; height += 5 {
				o.m.width, o.m.height = width, height
				fits(t, o, width, height)
			}
		}
	}
}

// shown is a screen in the documentation: a line that names it, and its block.
var shown = regexp.MustCompile("(?s)<!-- screen ([a-z0-9-]+) -->\n```text\n.*?```\n")

// TestDocumentedScreensAreTheScreens holds docs/tui.md to the golden files.
func TestDocumentedScreensAreTheScreens(t *testing.T) {
	const page = "../../../docs/tui.md"
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	now := shown.ReplaceAllStringFunc(string(old), func(block string) string {
		count++
		name := shown.FindStringSubmatch(block)[1]
		golden, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("<!-- screen %s -->\n```text\n%s```\n", name, golden)
	})
	if *update {
		if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if now != string(old) {
		t.Errorf("%s does not show the screens as they are: go test ./cmd/latchgate/tui -update", page)
	}
	if count < 2*10 {
		t.Errorf("%s shows %d screens, not ten of each size", page, count)
	}
}
