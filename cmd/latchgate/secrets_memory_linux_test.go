package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
	"github.com/latchgate/latchgate/secrets"
)

// TestCopiesOfASecretInTheDaemonsMemory counts the raw copies of a secret in all
// that a `latchgate proxy` has mapped: while a run uses it, after the run, and
// after the cache's time. The figures are in the test's log (go test -v), and
// docs/security.md says what each copy is.
//
// Go does not overwrite what it collects unless GODEBUG=clobberfree=1 says so;
// with it, nearly nothing may be left.
func TestCopiesOfASecretInTheDaemonsMemory(t *testing.T) {
	t.Parallel()
	const requests = 50
	program := releaseProgram(t)
	type daemon struct {
		name, path, godebug string
		during, after       int // most copies
		*process
	}
	daemons := []*daemon{
		{"as it is built", "/say", "", 6, 1, nil},
		{"as it is built, the upstream echoes", "/echo", "", 3 * requests, 3 * requests, nil},
		{"with clobberfree", "/say", "clobberfree=1", 6, 1, nil},
		{"with clobberfree, the upstream echoes", "/echo", "clobberfree=1", 3 * requests, 16, nil},
	}
	count := func(d *daemon, when string, most int) {
		found := findInMemory(t, d.cmd.Process.Pid, []byte(apiSecret))
		t.Logf("%s: %s: %d copies", d.name, when, len(found))
		if len(found) > most {
			t.Errorf("%s: %s: %d copies, want %d at most:\n%s", d.name, when, len(found), most, strings.Join(found, "\n"))
		}
	}
	for _, d := range daemons {
		h := newHome(t)
		h.program = program
		h.environ = append(h.environ, "GODEBUG="+d.godebug)
		h.origin.say("nothing to see")
		d.process = h.start()
		count(d, "before any run", 0)
		a := h.agent("api")
		for i := range requests {
			if got := a.get("https://" + apiHost + d.path); got.status != 200 {
				t.Fatalf("%s: request %d: %+v", d.name, i, got)
			}
		}
		count(d, "during the run", d.during)
		h.must("runs", "revoke", a.run())
		a.client.CloseIdleConnections()
		count(d, "after the run", d.during)
	}
	<-time.After(secrets.TTL + 2*time.Second)
	for _, d := range daemons {
		count(d, "after the cache's time", d.after)
	}
}

// releaseProgram is latchgate without the race detector, which keeps copies of
// its own.
func releaseProgram(t *testing.T) string {
	t.Helper()
	testenv.Program(t, "go")
	path, err := buildRelease()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildRelease = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.Getenv(buildDir), "latchgate-release")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// findInMemory returns where the needle stands in the writable memory of another
// process: the mapping, and what is around it with the needle left out.
func findInMemory(t *testing.T, pid int, needle []byte) []string {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skipf("another process's memory can't be read here: %v", err)
	}
	defer func() { _ = mem.Close() }()
	var found []string
	const window, around = 4 << 20, 48
	buf := make([]byte, window)
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to int64
		var perm string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &perm); err != nil || perm[:2] != "rw" {
			continue
		}
		for at := from; at < to; at += window - int64(len(needle)) + 1 {
			n, err := mem.ReadAt(buf[:min(window, to-at)], at)
			if err != nil && err != io.EOF {
				break // a mapping that is gone by now, or of a device
			}
			for i := 0; ; i += len(needle) {
				j := bytes.Index(buf[i:n], needle)
				if j < 0 {
					break
				}
				i += j
				found = append(found, fmt.Sprintf("%x %q <secret> %q", at+int64(i), buf[max(0, i-around):i], buf[min(n, i+len(needle)):min(n, i+len(needle)+around)]))
			}
		}
	}
	return found
}
