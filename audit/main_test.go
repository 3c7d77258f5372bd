package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain runs the tests, or one of the child processes that they start: a
// crash and a full disk can't be had inside the test's own process.
func TestMain(m *testing.M) {
	switch os.Getenv("AUDIT_TEST_CHILD") {
	case "":
		goleak.VerifyTestMain(m)
	case "crash":
		childThatIsKilled(os.Getenv("AUDIT_TEST_FILE"))
	case "full":
		childWithFullDisk(os.Getenv("AUDIT_TEST_FILE"))
	}
}

// child starts this test binary as one of the processes above.
func child(t *testing.T, what, file string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AUDIT_TEST_CHILD="+what, "AUDIT_TEST_FILE="+file)
	cmd.Stderr = os.Stderr
	return cmd
}

// childThatIsKilled records until somebody kills it.
func childThatIsKilled(file string) {
	l := must(Open(file, Options{Interval: time.Millisecond}))
	for i := 0; ; i++ {
		l.Record(Event{Kind: Request, Run: fmt.Sprint(i), Reason: strings.Repeat("x", 400)})
	}
}

// childWithFullDisk lets writes stop in the middle of a line, then makes room.
func childWithFullDisk(file string) {
	signal.Ignore(unix.SIGXFSZ)
	ctx := context.Background()
	var old unix.Rlimit
	check(unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
	l := must(Open(file, Options{}))
	l.Record(Event{Kind: Request, Run: "first"})
	check(l.Sync(ctx))
	check(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 2500, Max: old.Max}))
	for i := range 50 {
		l.Record(Event{Kind: Request, Run: fmt.Sprint(i)})
	}
	if err := l.Sync(ctx); !errors.Is(err, unix.EFBIG) || l.Healthy() == nil {
		check(fmt.Errorf("sync on a full disk: %v", err))
	}
	n, err := Verify(file)
	if n != 1 || err != nil {
		check(fmt.Errorf("after a failed write: %d lines, %v", n, err))
	}
	check(unix.Setrlimit(unix.RLIMIT_FSIZE, &old))
	check(l.Sync(ctx))
	check(l.Healthy())
	check(l.Close(ctx))
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

// newPath is a record's path in a folder that does not exist yet.
func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "state", "audit.jsonl")
}

// open opens a Log that the test closes.
func open(t testing.TB, path string, o Options) *Log {
	t.Helper()
	l, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// fill records n events into a record of its own Log.
func fill(t testing.TB, path string, n int, o Options) {
	t.Helper()
	l := open(t, path, o)
	for i := range n {
		l.Record(Event{Kind: Request, Run: fmt.Sprint("run-", i), Host: "api.example.com", Status: 200})
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// verify fails the test unless the record is whole and has n lines.
func verify(t testing.TB, path string, n int) {
	t.Helper()
	if got, err := Verify(path); err != nil || got != n {
		t.Fatalf("Verify = %d, %v; want %d, nil", got, err, n)
	}
}

// events reads a whole record.
func events(t testing.TB, path string) []Entry {
	t.Helper()
	var out []Entry
	for e, err := range Read(path) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}
