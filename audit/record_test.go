package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFullFileIsRotatedAndTheChainGoesOn(t *testing.T) {
	path := newPath(t)
	for range 3 { // across restarts too
		fill(t, path, 20, Options{MaxBytes: 1000, Queue: 2})
	}
	files, err := rotated(path)
	if err != nil || len(files) < 5 {
		t.Fatalf("full files are %v, %v", files, err)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.Size() > 1000 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	verify(t, path, 60+len(files)) // and the note that begins each file
	if got := requests(t, path); got != 60 {
		t.Errorf("read %d events", got)
	}
}

func TestLogsSharingARecordMakeOneChain(t *testing.T) {
	path := newPath(t)
	var wg sync.WaitGroup
	for w := range 4 {
		l := open(t, path, Options{MaxBytes: 8 << 10, Interval: time.Millisecond, Queue: 8})
		wg.Go(func() {
			for range 200 {
				l.Record(Event{Kind: Request, Run: fmt.Sprint(w)})
			}
			if err := l.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, err := Verify(path); err != nil {
		t.Errorf("Verify = %d, %v", n, err)
	}
	if got := requests(t, path); got != 800 {
		t.Errorf("read %d events", got)
	}
}

func TestKilledProcessLeavesARecordThatContinues(t *testing.T) {
	path := newPath(t)
	for range 3 {
		cmd := child(t, "crash", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitForLines(t, path, 1)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed: that is its error
		fill(t, path, 3, Options{})
		if n, err := Verify(path); err != nil || n < 4 {
			t.Fatalf("Verify = %d, %v", n, err)
		}
	}
}

// waitForLines waits until the record grew by n lines.
func waitForLines(t *testing.T, path string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	before, _ := os.ReadFile(path)
	for ctx.Err() == nil {
		now, _ := os.ReadFile(path)
		if bytes.Count(now, []byte("\n")) >= bytes.Count(before, []byte("\n"))+n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the child recorded nothing")
}

func TestFullDiskLeavesNoHalfLine(t *testing.T) {
	path := newPath(t)
	if err := child(t, "full", path).Run(); err != nil {
		t.Fatal(err)
	}
	verify(t, path, 51)
}

func TestIncompleteLastLineIsMovedAsideWithANote(t *testing.T) {
	for name, garbage := range map[string]string{
		"half a line":         `{"seq":4,"time":"2026-11-23T1`,
		"a page of zeros":     strings.Repeat("\x00", 4096),
		"zeros with a line":   "\x00\x00\n",
		"more than one block": `{"seq":4,` + strings.Repeat("x", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			fill(t, path, 3, Options{})
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteString(garbage)
			if err = errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			if n, err := Verify(path); n != 3 || !isChainError(err, "audit.jsonl", 4) {
				t.Errorf("before: Verify = %d, %v", n, err)
			}
			fill(t, path, 1, Options{})
			verify(t, path, 3+1+1)
			if e := events(t, path)[3]; e.Kind != Note || !strings.Contains(e.Reason, "no complete line") {
				t.Errorf("the note is %+v", e)
			}
			aside, _ := filepath.Glob(path + ".torn-*")
			if len(aside) != 1 {
				t.Fatalf("moved aside to %v", aside)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != garbage {
				t.Errorf("kept %d bytes, %v; want %d", len(kept), err, len(garbage))
			}
		})
	}
}

func TestIncompleteFirstLineIsMovedAside(t *testing.T) {
	path := newPath(t)
	fill(t, path, 0, Options{})
	if err := os.WriteFile(path, []byte(`{"seq`), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(t, path, 1, Options{})
	verify(t, path, 2)
}

func TestFileOfAnotherKindIsRefusedAndLeftAlone(t *testing.T) {
	for _, content := range []string{"# my notes\n", "x", `{"other": "json"}` + "\n"} {
		path := filepath.Join(t.TempDir(), "notes")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, errForeign) {
			t.Errorf("Open = %v, want %v", err, errForeign)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("the file is %q now", got)
		}
	}
}

func TestLinesRemovedWhileTheLogIsOpenShowForGood(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{})
	for range 5 {
		l.Record(Event{Kind: Request})
	}
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	editLines(t, path, func(lines []string) []string { return lines[:3] })
	l.Record(Event{Kind: Request})
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := Verify(path); n != 3 || !isChainError(err, "audit.jsonl", 4) {
		t.Errorf("Verify = %d, %v", n, err)
	}
	if e := events(t, path)[3]; e.Kind != Note || e.Reason != "lines 4 to 5 were removed from the end of the record" || e.Seq != 6 {
		t.Errorf("the line behind the gap is %+v", e)
	}
}

func TestLinesRemovedBetweenRunsShowForGood(t *testing.T) {
	path := newPath(t)
	fill(t, path, 5, Options{})
	editLines(t, path, func(lines []string) []string { return lines[:4] })
	fill(t, path, 1, Options{})
	if n, err := Verify(path); n != 4 || !isChainError(err, "audit.jsonl", 5) {
		t.Errorf("Verify = %d, %v", n, err)
	}
}

func TestRemovedRecordIsBegunAnewInTheMiddleOfItsChain(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{})
	l.Record(Event{Kind: Request})
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l.Record(Event{Kind: Request})
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := Verify(path); n != 0 || !isChainError(err, "audit.jsonl", 1) {
		t.Errorf("Verify = %d, %v", n, err)
	}
}

// Whoever archives full files elsewhere must not get two of one name.
func TestAFullFilesNumberIsNotGivenTwice(t *testing.T) {
	path := newPath(t)
	given := map[string]bool{}
	for range 4 {
		fill(t, path, 20, Options{MaxBytes: 1000, Queue: 2})
		files, err := rotated(path)
		if err != nil || len(files) == 0 {
			t.Fatalf("full files are %v, %v", files, err)
		}
		for _, name := range files {
			if given[name] {
				t.Errorf("%s was archived already", filepath.Base(name))
			}
			given[name] = true
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := Verify(path); !errors.Is(err, ErrHistoryMissing) {
		t.Errorf("Verify = %d, %v", n, err)
	}
}

func TestAnAttemptToMoveALineAsideThatFailsLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(`{"seq`), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // which can't be copied from
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if name, err := moveAside(f, path, 0, 5); err == nil {
		t.Errorf("moved to %s", name)
	}
	if left, _ := filepath.Glob(path + ".torn-*"); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestCrashBetweenTheStepsOfARotationIsSettled(t *testing.T) {
	path := newPath(t)
	fill(t, path, 3, Options{})
	if err := rename(path); err != nil {
		t.Fatal(err)
	}
	verify(t, path, 3)
	fill(t, path, 1, Options{})
	verify(t, path, 3+1+1)
}

func TestWriteThatFailsIsRepeatedOnce(t *testing.T) {
	path := newPath(t)
	w, err := openWriter(path, 1<<20, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	_ = w.file.Close() // the next write fails
	batch := []Event{{Kind: Request}, {Kind: Request}}
	if err := w.append(batch); err == nil {
		t.Fatal("a write to a closed file succeeded")
	}
	if err := w.append(batch); err != nil {
		t.Fatal(err)
	}
	verify(t, path, 2)
}

func TestRemovedHeadIsMadeAgain(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{})
	if err := os.Remove(path + headSuffix); err != nil {
		t.Fatal(err)
	}
	l.Record(Event{Kind: Request})
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + headSuffix); err != nil {
		t.Errorf("the lock of this process is on no file: %v", err)
	}
	fill(t, path, 1, Options{}) // another process takes the same lock
	l.Record(Event{Kind: Request})
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	verify(t, path, 3)
}

// requests counts the events of kind Request in a record.
func requests(t *testing.T, path string) (n int) {
	t.Helper()
	for _, e := range events(t, path) {
		if e.Kind == Request {
			n++
		}
	}
	return n
}

// editLines changes the lines of a file behind everybody's back.
func editLines(t *testing.T, path string, edit func([]string) []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := edit(slices.Collect(strings.Lines(string(text))))
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func isChainError(err error, file string, line int) bool {
	c, ok := errors.AsType[*ChainError](err)
	return ok && c.File == file && c.Line == line
}
