package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVerifyNamesTheFirstBadLine(t *testing.T) {
	rewrite := func(lines []string) []string { // a chain of its own, whole in itself
		var out []byte
		l := start
		for i := range lines {
			out, l = appendLine(out, l, &Event{Kind: Request, Status: 1000 + i})
		}
		return []string{string(out)}
	}
	for name, c := range map[string]struct {
		edit func(lines []string) []string
		line int
	}{
		"a changed byte":           {func(l []string) []string { l[4] = strings.Replace(l[4], "200", "403", 1); return l }, 5},
		"a changed hash":           {func(l []string) []string { l[4] = strings.Replace(l[4], `"hash":"`, `"hash":"0`, 1); return l }, 5},
		"a removed line":           {func(l []string) []string { return slices.Delete(l, 4, 5) }, 5},
		"the first line removed":   {func(l []string) []string { return l[1:] }, 1},
		"the last line removed":    {func(l []string) []string { return l[:9] }, 0},
		"a line inserted twice":    {func(l []string) []string { return slices.Insert(l, 4, l[3]) }, 5},
		"two lines swapped":        {func(l []string) []string { l[4], l[5] = l[5], l[4]; return l }, 5},
		"a blank line":             {func(l []string) []string { return slices.Insert(l, 4, "\n") }, 5},
		"another chain":            {rewrite, 10},
		"a line of another chain":  {func(l []string) []string { l[4] = exchanged(l[4]); return l }, 5},
		"its successor exchanged":  {func(l []string) []string { l[3] = rehashed(l[3]); return l }, 5},
		"half of the last line":    {func(l []string) []string { l[9] = l[9][:50]; return l }, 10},
		"the last line renumbered": {func(l []string) []string { l[9] = renumbered(l[9]); return l }, 10},
		"everything removed":       {func([]string) []string { return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			fill(t, path, 10, Options{})
			verify(t, path, 10)
			editLines(t, path, c.edit)
			n, err := Verify(path)
			if !isChainError(err, "audit.jsonl", c.line) {
				t.Errorf("Verify = %d, %v; want line %d", n, err, c.line)
			}
		})
	}
}

// exchanged makes a line with a good hash of its own that follows another one.
func exchanged(line string) string {
	l, _, err := parseLine([]byte(strings.TrimSuffix(line, "\n")))
	if err != nil {
		panic(err)
	}
	out, _ := appendLine(nil, link{seq: l.seq - 1}, &Event{Kind: Request})
	return string(out)
}

// renumbered gives a line another number, and the hash of the changed bytes.
func renumbered(line string) string {
	l, prev, err := parseLine([]byte(strings.TrimSuffix(line, "\n")))
	if err != nil {
		panic(err)
	}
	out, _ := appendLine(nil, link{l.seq + 100, prev}, &Event{Kind: Request})
	return string(out)
}

// rehashed changes a line and gives it the hash of the changed bytes.
func rehashed(line string) string {
	l, prev, err := parseLine([]byte(strings.TrimSuffix(line, "\n")))
	if err != nil {
		panic(err)
	}
	out, _ := appendLine(nil, link{l.seq - 1, prev}, &Event{Kind: Request, Status: 403})
	return string(out)
}

func TestVerifyMissesAFileOfTheRecord(t *testing.T) {
	for name, c := range map[string]struct {
		remove int
		want   func(error) bool
	}{
		"the oldest":        {0, func(err error) bool { return errors.Is(err, ErrHistoryMissing) }},
		"one in the middle": {2, func(err error) bool { return isChainError(err, "audit.jsonl.000004", 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			fill(t, path, 40, Options{MaxBytes: 1000, Queue: 2})
			files, err := rotated(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(files[c.remove]); err != nil {
				t.Fatal(err)
			}
			if n, err := Verify(path); !c.want(err) {
				t.Errorf("Verify = %d, %v", n, err)
			}
		})
	}
}

func TestVerifyTakesACopyWithoutItsHead(t *testing.T) {
	path := newPath(t)
	fill(t, path, 4, Options{})
	if err := os.Remove(path + headSuffix); err != nil {
		t.Fatal(err)
	}
	verify(t, path, 4)
	if _, err := Verify(path + ".nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing record gives %v", err)
	}
}

func TestVerifyDoesNotReadBehindAWriter(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{Interval: time.Millisecond, MaxBytes: 64 << 10, Queue: 128})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			for range 20 {
				l.Record(Event{Kind: Request})
			}
			if err := l.Sync(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if n, err := Verify(path); err != nil {
			t.Fatalf("Verify = %d, %v", n, err)
		}
	}
}

func TestFollowYieldsTheLastEventsAndThenNewOnes(t *testing.T) {
	path := newPath(t)
	fill(t, path, 20, Options{MaxBytes: 1000, Queue: 2})
	l := open(t, path, Options{MaxBytes: 1000, Queue: 2})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := len(events(t, path))
	want := uint64(n - 8)
	for e, err := range Follow(ctx, path, 8) {
		if err != nil {
			t.Fatal(err)
		}
		want++
		if e.Seq != want {
			t.Fatalf("event %d follows %d", e.Seq, want-1)
		}
		if want >= uint64(n) && e.Kind != Note { // the next one is written only when this one was seen
			l.Record(Event{Kind: Request, Run: fmt.Sprint(want)})
		}
		if want >= uint64(n)+20 {
			cancel()
		}
	}
	if want < uint64(n)+20 {
		t.Errorf("the last event is %d", want)
	}
}

func TestFollowBeginsAtTheEndOrTheBeginning(t *testing.T) {
	path := newPath(t)
	fill(t, path, 12, Options{MaxBytes: 1000, Queue: 2})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is there, and no waiting
	all := len(events(t, path))
	for n, want := range map[int]int{0: 0, 1: 1, 12: 12, all: all, 100: all} {
		got := 0
		for _, err := range Follow(ctx, path, n) {
			if err != nil {
				t.Fatal(err)
			}
			got++
		}
		if got != want {
			t.Errorf("of the last %d events Follow yields %d, want %d", n, got, want)
		}
	}
	for _, err := range Follow(ctx, path+".nowhere", 1) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a missing record gives %v", err)
		}
	}
}
