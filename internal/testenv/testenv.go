// Package testenv finds the real programs that tests run against: sops, age,
// curl, git, python3, node, wget.
//
// A test never mocks one of these. Where a program is missing the test skips
// with a line that begins "component missing:", and with
// LATCHGATE_TEST_STRICT=1 (what .ci/run sets) it fails instead, so that a
// missing install step cannot hide behind a green run.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program returns the absolute path of the named program on PATH, or skips the
// test (fails it in strict mode).
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name)
	}
	return path
}

// Missing says that what the test needs is not here, and skips the test (fails
// it in strict mode).
func Missing(t testing.TB, name string) {
	t.Helper()
	if os.Getenv("LATCHGATE_TEST_STRICT") == "1" {
		t.Fatalf("component missing: %s (run `make tools`)", name)
	}
	t.Skipf("component missing: %s (run `make tools`)", name)
}

// NodeModule returns the folder node_modules of tools/node when the named npm
// package is in it, or skips the test (fails it in strict mode). Node finds
// packages there through NODE_PATH.
func NodeModule(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		modules := filepath.Join(dir, ".tools", "node", "node_modules")
		if _, err := os.Stat(filepath.Join(modules, name)); err == nil {
			return modules
		}
	}
	Missing(t, name+" of npm")
	return ""
}

// Engine skips a test that boots a machine or a container unless
// LATCHGATE_TEST_ENGINES=1, as `make engines` sets it: it needs root, and the right
// to do so, which a machine that runs tests seldom gives.
func Engine(t testing.TB) {
	t.Helper()
	if os.Getenv("LATCHGATE_TEST_ENGINES") != "1" {
		t.Skip("runs with `make engines`, as root")
	}
	if os.Getuid() != 0 {
		t.Skip("only root can boot machines and containers without further set-up")
	}
}
