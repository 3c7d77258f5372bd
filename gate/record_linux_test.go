package gate

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/latchgate/latchgate/audit"
)

// A disk that is full, and has room again: runs and requests are refused in
// between, or go on where the operator wants that, and the record is whole.
func TestAFullDiskRefusesRunsUntilThereIsRoom(t *testing.T) {
	for _, mode := range []string{"refuse", "warn"} {
		t.Run(mode, func(t *testing.T) {
			disk := t.TempDir()
			if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
				t.Skipf("a small file system can't be mounted here: %v", err)
			}
			t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
			record := filepath.Join(disk, "audit.jsonl")
			w := newWorld(t, callManifest, defaultConfig+"[audit]\nfile = \""+record+"\"\non_failure = \""+mode+"\"\n")
			w.setSecrets(map[string]string{"TOKEN": token})
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := w.call(alice, "before"); err != nil {
				t.Fatal(err)
			}
			open, err := w.Open(ctx, OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"call"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.audit.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			filler := filepath.Join(disk, "filler")
			f, err := os.Create(filler)
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = f.Write(make([]byte, 1024))
			}
			_ = f.Close()
			for w.Ready() == nil { // the record has room to the end of its last page
				w.audit.Record(audit.Event{Kind: audit.Note, Reason: strings.Repeat("x", 400)})
				_ = w.audit.Sync(ctx)
			}
			before := len(w.requests())
			switch err := w.call(alice, "full"); mode {
			case "refuse":
				if e := code(t, err, CodeAuditUnavailable); strings.Contains(e.Message+e.Hint, disk) {
					t.Errorf("the caller sees a path: %+v", e)
				}
				_, err := w.Open(ctx, OpenRequest{Principal: alice, Door: DoorExec, Actions: []string{"call"}})
				code(t, err, CodeAuditUnavailable)
				if n := len(w.requests()); n != before {
					t.Errorf("%d requests were sent", n-before)
				}
			case "warn":
				if err != nil || len(w.requests()) != before+1 {
					t.Errorf("%d requests were sent: %v", len(w.requests())-before, err)
				}
			}
			if !strings.Contains(w.log.String(), "audit record can't be written") {
				t.Error("the log says nothing")
			}
			// Many events more than can wait: nobody hangs, and the count is kept.
			for range 10_000 {
				w.audit.Record(audit.Event{Kind: audit.Denied})
			}
			w.Close(open.ID)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("", disk, "", unix.MS_REMOUNT, "size=16m"); err != nil {
				t.Fatal(err)
			}
			for w.Ready() != nil {
				if ctx.Err() != nil {
					t.Fatalf("not ready again: %v", w.Ready())
				}
				_ = w.audit.Sync(ctx)
			}
			if err := w.call(alice, "after"); err != nil {
				t.Errorf("with room again: %v", err)
			}
			if err := w.audit.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			if n, err := audit.Verify(record); err != nil {
				t.Errorf("after %d lines: %v", n, err)
			}
			raw, err := os.ReadFile(record)
			if err != nil || !strings.Contains(string(raw), "events were lost") {
				t.Errorf("the record does not say that events were lost: %v", err)
			}
		})
	}
}

// A record that can't be opened stops the start, or is begun later.
func TestAFolderThatCannotBeWrittenAtTheStart(t *testing.T) {
	w := newWorld(t, callManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_RDONLY, ""); err != nil { // for root no mode is read-only
		t.Skipf("a file system can't be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	config := worldConfig + defaultConfig + "[audit]\nfile = \"" + filepath.Join(disk, "audit.jsonl") + "\"\n"
	w.write("latchgate.toml", config)
	if _, err := New(context.Background(), Options{Config: w.load(), Log: w.log.logger()}); err == nil || !strings.Contains(err.Error(), "read-only file system") {
		t.Fatalf("started without a record: %v", err)
	}
	w.write("latchgate.toml", config+"on_failure = \"warn\"\n")
	w.restart()
	if w.Ready() == nil {
		t.Error("it says that it is ready")
	}
	if err := w.call(alice, "1"); err != nil {
		t.Errorf("it does not go on: %v", err)
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for w.Ready() != nil && ctx.Err() == nil {
		_ = w.audit.Sync(ctx)
	}
	if n, err := audit.Verify(filepath.Join(disk, "audit.jsonl")); err != nil || n < 4 {
		t.Errorf("%d events: %v", n, err)
	}
}
