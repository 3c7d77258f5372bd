package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/latchgate/latchgate/internal/testenv"
)

// TestMain lets the test binary act as latchgate for the scripts in testdata,
// which is what makes their coverage count. The end-to-end tests run a binary
// that `go build` made: see [builtProgram].
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"latchgate": main})
}

// buildDir names the folder that the built binary goes into, for one test run.
const buildDir = "LATCHGATE_E2E_BUILD"

type suite struct{ m *testing.M }

// Run satisfies testscript.TestingM.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "latchgate-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The race detector waits a second at every exit, in case another goroutine
	// still races; dozens of commands would make that minutes.
	for name, value := range map[string]string{buildDir: dir, "GORACE": "atexit_sleep_ms=0"} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := s.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// builtProgram is latchgate as a user gets it from `go build`, with the race
// detector where the tests have it. It is built once, by the first test that
// asks.
func builtProgram(t testing.TB) string {
	t.Helper()
	testenv.Program(t, "go")
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.Getenv(buildDir), "latchgate")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// TestCommandsAsAUserTypesThem runs testdata/*.txt.
func TestCommandsAsAUserTypesThem(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "xdg"))
			// A daemon may be at the usual addresses, of whoever runs the tests.
			e.Setenv("LATCHGATE_PROXY__LISTEN", "127.0.0.1:0")
			e.Setenv("LATCHGATE_METRICS__LISTEN", "127.0.0.1:0")
			return nil
		},
		Condition: func(name string) (bool, error) {
			program, ok := strings.CutPrefix(name, "missing:")
			if !ok {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			_, err := exec.LookPath(program)
			if err != nil && os.Getenv("LATCHGATE_TEST_STRICT") == "1" {
				return false, fmt.Errorf("component missing: %s (run `make tools`)", program)
			}
			return err != nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"error": errorIs,
		},
	})
}

// exits runs a command and checks its status: exits 2 latchgate frobnicate.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d; standard error:\n%s", got, want, ts.ReadFile("stderr"))
	}
}

// errorIs checks the form that every error has: one line what, which begins
// with "latchgate: ", and one line what to do, indented by two spaces.
//
//	error WHAT [WHAT-TO-DO]
//
// Both are literal text that the line contains. Lines before the last two are
// warnings, and other people's.
func errorIs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: error WHAT [WHAT-TO-DO]")
	}
	all := strings.TrimSuffix(ts.ReadFile("stderr"), "\n")
	lines := strings.Split(all, "\n")
	if len(args) == 1 {
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "latchgate: ") || !strings.Contains(last, args[0]) {
			ts.Fatalf("want one line %q, got:\n%s", "latchgate: …"+args[0]+"…", all)
		}
		return
	}
	if len(lines) < 2 {
		ts.Fatalf("want two lines, got:\n%s", all)
	}
	what, todo := lines[len(lines)-2], lines[len(lines)-1]
	if !strings.HasPrefix(what, "latchgate: ") || !strings.Contains(what, args[0]) {
		ts.Fatalf("want the line %q, got:\n%s", "latchgate: …"+args[0]+"…", all)
	}
	if !strings.HasPrefix(todo, "  ") || strings.HasPrefix(todo, "   ") || !strings.Contains(todo, args[1]) {
		ts.Fatalf("want what to do, %q, got:\n%s", "  …"+args[1]+"…", all)
	}
}
