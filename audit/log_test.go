package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecordedEventsAreOnDiskAfterClose(t *testing.T) {
	path := newPath(t)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	l := open(t, path, Options{Clock: func() time.Time { return now }})
	e := filled(t)
	l.Record(e)
	l.Record(Event{Kind: RunClosed, Run: "r1"})
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	verify(t, path, 2)
	got := events(t, path)
	if fmt.Sprint(got[0].Event) != fmt.Sprint(e) {
		t.Errorf("read back %+v, want %+v", got[0].Event, e)
	}
	if !got[1].Time.Equal(now) {
		t.Errorf("an event without a time got %v, want the clock's %v", got[1].Time, now)
	}
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	path := newPath(t)
	fill(t, path, 1, Options{})
	for name, want := range map[string]os.FileMode{path: 0o600, path + headSuffix: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), want)
		}
	}
}

func TestEmptyPathAndNilDiscard(t *testing.T) {
	l, err := Open("", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Log{l, nil} {
		l.Record(Event{Kind: Request})
		if err := errors.Join(l.Healthy(), l.Sync(t.Context()), l.Close(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

func TestRestartContinuesTheChain(t *testing.T) {
	path := newPath(t)
	for range 3 {
		fill(t, path, 5, Options{})
	}
	verify(t, path, 15)
}

func TestIdleLogWritesOneEventWithinItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newPath(t)
		l := open(t, path, Options{Interval: time.Second})
		l.Record(Event{Kind: Request})
		time.Sleep(time.Second - 1)
		synctest.Wait()
		if info, err := os.Stat(path); err != nil || info.Size() > 0 {
			t.Error("written before the interval was over")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		verify(t, path, 1)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncReturnsWhenTheEventIsOnDisk(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{Interval: time.Hour})
	for i := range 10 {
		l.Record(Event{Kind: Request})
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		verify(t, path, i+1)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Sync(t.Context()); err == nil {
		t.Error("a sync after close says that all is well")
	}
}

func TestConcurrentRecordersLoseNothing(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{Queue: 16, Interval: time.Millisecond})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 500 {
				l.Record(Event{Kind: Request, Run: fmt.Sprint(w), Status: i + 1})
			}
		})
	}
	wg.Wait()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	verify(t, path, 8*500)
	last := map[string]int{}
	for _, e := range events(t, path) {
		if e.Status != last[e.Run]+1 {
			t.Fatalf("of recorder %s, event %d follows %d", e.Run, e.Status, last[e.Run])
		}
		last[e.Run] = e.Status
	}
}

// block makes a record unwritable, for root too: its folder becomes a file. The
// returned function undoes it.
func block(t *testing.T, path string) (restore func()) {
	t.Helper()
	dir := filepath.Dir(path)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := errors.Join(os.Remove(dir), os.Rename(dir+".away", dir)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnwritableRecordIsUnhealthyAndRecoversWithoutLoss(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{Queue: 4, Interval: time.Millisecond})
	l.Record(Event{Kind: Request})
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	restore := block(t, path)
	l.Record(Event{Kind: Request})
	if err := l.Sync(t.Context()); err == nil || l.Healthy() == nil {
		t.Fatalf("an unwritable record is healthy: %v", err)
	}
	const more = 20 // far more than the queue holds: the recorder has to wait
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		for range more {
			l.Record(Event{Kind: Request})
		}
	}()
	if err := l.Sync(t.Context()); err == nil {
		t.Fatal("a sync on an unwritable record says that all is well")
	}
	select {
	case <-recorded:
		t.Fatal("recording went on although the queue was full: events were dropped")
	default:
	}
	restore()
	<-recorded
	if err := errors.Join(l.Sync(t.Context()), l.Healthy(), l.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	verify(t, path, 2+more)
}

func TestLossyLogCountsWhatItDropped(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{Queue: 4, Lossy: true})
	restore := block(t, path)
	l.Record(Event{Kind: Request})
	if err := l.Sync(t.Context()); err == nil {
		t.Fatal("an unwritable record is healthy")
	}
	for range 20 {
		l.Record(Event{Kind: Request})
	}
	restore()
	err := l.Sync(t.Context())
	for range 10 { // an attempt that began before restore fails still
		if err == nil {
			break
		}
		err = l.Sync(t.Context())
	}
	if err := errors.Join(err, l.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	got := events(t, path)
	last := got[len(got)-1]
	if last.Kind != Note || !strings.HasPrefix(last.Reason, "16 events were lost") {
		t.Errorf("the last of %d lines is %q, want a note that 16 were lost", len(got), last.Reason)
	}
	verify(t, path, 1+4+1)
}

func TestCloseSaysHowManyEventsWereLost(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{})
	restore := block(t, path)
	defer restore()
	for range 3 {
		l.Record(Event{Kind: Request})
	}
	err := l.Close(t.Context())
	if err == nil || !strings.Contains(err.Error(), "3 events lost") {
		t.Errorf("Close = %v", err)
	}
	l.Record(Event{Kind: Request}) // neither panics nor waits
}

func TestCloseGivesUpWhenItsContextEnds(t *testing.T) {
	path := newPath(t)
	l := open(t, path, Options{})
	other := head{path: path + headSuffix}
	if err := other.lock(); err != nil {
		t.Fatal(err)
	}
	l.Record(Event{Kind: Request})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v, want the context's error", err)
	}
	other.unlock()
	other.close()
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	verify(t, path, 1)
}

func BenchmarkRecord(b *testing.B) {
	l := open(b, newPath(b), Options{})
	e := Event{
		Time: time.Now(), Kind: Request, Run: "run-0123456789abcdef", Principal: "uid:1000", Actions: []string{"github_api"},
		Action: "github_api", Host: "api.github.com", Method: "GET", Status: 200, Secrets: []string{"GITHUB_TOKEN"},
		ResponseBytes: 4321, Duration: 1234567,
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Record(e)
	}
}

func BenchmarkAppendLine(b *testing.B) {
	e := Event{
		Time: time.Now(), Kind: Request, Run: "run-0123456789abcdef", Principal: "uid:1000", Actions: []string{"github_api"},
		Action: "github_api", Host: "api.github.com", Method: "GET", Status: 200, Secrets: []string{"GITHUB_TOKEN"},
		ResponseBytes: 4321, Duration: 1234567,
	}
	var buf []byte
	l := start
	b.ReportAllocs()
	for b.Loop() {
		buf, l = appendLine(buf[:0], l, &e)
	}
}

// A record that can't be opened is not the end where its owner takes that: it
// is tried again, and what was recorded meanwhile is in it.
func TestTolerantLogBeginsWhenItsFolderCanBeMade(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // a file where the folder belongs
		t.Fatal(err)
	}
	path := filepath.Join(folder, "audit.jsonl")
	if _, err := Open(path, Options{}); err == nil {
		t.Fatal("opened a record that can't be there")
	}
	l, err := Open(path, Options{Tolerant: true, Lossy: true, Queue: 2})
	if err != nil || l.Healthy() == nil {
		t.Fatalf("%v, healthy: %v", err, l.Healthy())
	}
	for range 10 { // two wait, the others are counted
		l.Record(Event{Kind: Request})
	}
	if err := l.Sync(context.Background()); err == nil {
		t.Error("nothing can have been written")
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	l.Record(Event{Kind: Request, Run: "after"})
	if err := l.Sync(context.Background()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(l.Healthy(), l.Close(context.Background())); err != nil {
		t.Error(err)
	}
	if n, err := Verify(path); err != nil || n < 4 {
		t.Errorf("%d events, %v", n, err)
	}
	foreign := filepath.Join(folder, "foreign")
	if err := os.WriteFile(foreign, []byte("not a record\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(foreign, Options{Tolerant: true}); !errors.Is(err, errForeign) {
		t.Errorf("another file: %v", err)
	}
}
