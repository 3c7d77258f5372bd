package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

// The commands as an author types them, and then the action as everybody does,
// over the real wire.
func TestProviderInEachLanguageGoesAllTheWay(t *testing.T) {
	t.Parallel()
	for _, language := range languages() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			switch language {
			case "go":
				cache, err := exec.Command("go", "env", "GOCACHE").Output()
				if err != nil {
					t.Fatal(err)
				}
				h.environ = append(h.environ, "GOCACHE="+strings.TrimSpace(string(cache)))
			case "rust":
				if _, err := os.Stat("/usr/lib/rustlib/wasm32-unknown-unknown"); err != nil {
					testenv.Program(t, "rustc with target wasm32-unknown-unknown") // says so
				}
				h.environ = append(h.environ, "RUSTC="+testenv.Program(t, "/usr/bin/rustc"))
			case "c":
				need(t, "clang")
			case "assemblyscript":
				need(t, "node")
				modules := testenv.NodeModule(t, "assemblyscript")
				h.environ = append(h.environ, "PATH="+filepath.Join(modules, ".bin")+":"+os.Getenv("PATH"))
			}
			h.must("provider", "new", "mine", "--lang", language)
			h.mustSlowly("provider", "build", "mine")
			if out := h.mustSlowly("provider", "test", "mine"); !strings.Contains(out, "3 passed, 0 failed") {
				t.Error(out)
			}
			h.write("mine/mine.yaml", h.read("mine/mine.yaml")+"secrets: [{name: API_TOKEN, required: true}]\n")
			h.environ = append(h.environ, "LATCHGATE_MANIFESTS__DIRS="+h.path("mine"))
			h.origin.say("one two\nthree\n")
			var result struct{ Lines, Words, Bytes int }
			o := h.must("run", "mine", "url=https://api.example.com/say?a=1&b=2")
			if err := json.Unmarshal([]byte(o.stdout), &result); err != nil || result.Lines != 2 || result.Words != 3 || result.Bytes != 14 {
				t.Errorf("%v %s", err, o.stdout)
			}
			if h.authenticatedOnce(apiHost, "/say"); h.origin.at(apiHost, "/say")[0].Query != "a=1&b=2" {
				t.Errorf("%+v", h.origin.at(apiHost, "/say"))
			}
			h.noSecretOnDisk()
		})
	}
}

// mustSlowly is must for a command that compiles: Go's library for another
// target, or 3 MB of WebAssembly under the race detector.
func (h *home) mustSlowly(args ...string) string {
	h.t.Helper()
	c := exec.CommandContext(h.t.Context(), h.program, args...)
	c.Dir, c.Env = h.dir, h.environ
	out, err := c.CombinedOutput()
	if err != nil {
		h.t.Fatalf("latchgate %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
