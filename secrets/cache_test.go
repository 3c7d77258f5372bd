package secrets

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// settled backdates nothing: it waits until the file system's clock has moved on,
// as the cache does before it trusts a timestamp.
func settled(t testing.TB, path string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if id, err := identify(path); err == nil && !id.youngerThan(id.grain(), time.Now()) {
			return
		}
	}
	t.Fatal("the file never settles")
}

func acquire(t testing.TB, v *View) *Set {
	t.Helper()
	set, err := v.Acquire(context.Background())
	if err != nil {
		t.Fatalf("acquire: %v: %s", err, detailOf(err))
	}
	return set
}

func get(t testing.TB, set *Set, name, want string) {
	t.Helper()
	v, ok := set.Get(name)
	if !ok || string(v.Reveal()) != want {
		t.Errorf("%s is %q, %v, want %q", name, v.Reveal(), ok, want)
	}
}

func misses(s *Store, reason string) float64 {
	return testutil.ToFloat64(s.metrics.misses.WithLabelValues(reason))
}

func decrypts(t testing.TB, s *Store) uint64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(s.metrics.duration)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for _, f := range families {
		for _, m := range f.Metric {
			n += m.GetHistogram().GetSampleCount()
		}
	}
	return n
}

func TestChangedFileIsSeenByTheNextRequest(t *testing.T) {
	for _, how := range []struct {
		name   string
		change func(h *house, other string)
	}{
		{"replaced", func(h *house, other string) { rename(h, h.write("new", other), "s.yaml") }},
		{"truncated and written in place", func(h *house, other string) { h.write("s.yaml", other) }},
		{"same size, mtime put back, in place", func(h *house, other string) {
			st, _ := os.Stat(h.path("s.yaml"))
			h.write("s.yaml", other)
			_ = os.Chtimes(h.path("s.yaml"), st.ModTime(), st.ModTime())
		}},
		{"same size, mtime put back, replaced", func(h *house, other string) {
			st, _ := os.Stat(h.path("s.yaml"))
			rename(h, h.write("new", other), "s.yaml")
			_ = os.Chtimes(h.path("s.yaml"), st.ModTime(), st.ModTime())
		}},
	} {
		t.Run(how.name, func(t *testing.T) {
			h := newHouse(t)
			h.encrypted("other.yaml", "A: two\n")
			settled(t, h.encrypted("s.yaml", "A: one\n"))
			s := h.open("s.yaml", "")
			v := s.View([]Want{{"A", true}})
			old := acquire(t, v)
			get(t, old, "A", "one")
			how.change(h, h.read("other.yaml"))
			set := acquire(t, v)
			get(t, set, "A", "two")
			get(t, old, "A", "one") // still held
			if set.Generation() == old.Generation() {
				t.Error("the generation did not change")
			}
			held, _ := old.Get("A")
			old.Release()
			if string(held.bytes()) != "\x00\x00\x00" {
				t.Errorf("superseded and released, but %q is left", held.bytes())
			}
			set.Release()
			if misses(s, missChanged) != 1 {
				t.Error("not counted as changed")
			}
		})
	}
}

// TestRecheckForgetsASupersededFileWithoutALookUp is what a watcher of the folder
// relies on.
func TestRecheckForgetsASupersededFileWithoutALookUp(t *testing.T) {
	h := newHouse(t)
	h.encrypted("other.yaml", "A: two\n")
	for name, change := range map[string]func(path string){
		"replaced":        func(path string) { rename(h, h.write("new", h.read("other.yaml")), "s.yaml") },
		"written":         func(path string) { h.write("s.yaml", h.read("other.yaml")) },
		"made empty":      func(path string) { h.write("s.yaml", "") },
		"removed":         func(path string) { _ = os.Remove(path) },
		"link to another": func(path string) { _ = os.Remove(path); _ = os.Symlink("other.yaml", path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := h.encrypted("s.yaml", "A: one\n")
			settled(t, path)
			s := h.open("s.yaml", "")
			v := s.View([]Want{{"A", true}})
			set := acquire(t, v)
			value, _ := set.Get("A")
			set.Release()
			s.Recheck()
			if string(value.bytes()) != "one" {
				t.Fatal("forgotten although nothing changed")
			}
			change(path)
			s.Recheck()
			if string(value.bytes()) != "\x00\x00\x00" || s.current.Load() != nil {
				t.Errorf("superseded, but %q is in memory", value.bytes())
			}
			_ = os.Remove(path)
		})
	}
}

// TestFileThatChangesAsItIsCachedIsForgotten: who is told of the change before the
// result is in the cache finds nothing to forget there.
func TestFileThatChangesAsItIsCachedIsForgotten(t *testing.T) {
	h := newHouse(t)
	h.encrypted("other.yaml", "A: two\n")
	path := h.encrypted("s.yaml", "A: one\n")
	settled(t, path)
	s := h.open("s.yaml", "")
	f := &flight{done: make(chan struct{}), cancel: func() {}}
	s.mu.Lock() // nothing lands
	s.wg.Go(func() { s.fly(t.Context(), f) })
	for decrypts(t, s) == 0 {
		runtime.Gosched()
	}
	for quiet := time.Now().Add(20 * time.Millisecond); time.Now().Before(quiet); { // until it waits for the lock
		runtime.Gosched()
	}
	rename(h, h.write("new", h.read("other.yaml")), "s.yaml")
	s.Recheck()
	s.mu.Unlock()
	s.wg.Wait()
	if s.current.Load() != nil {
		t.Error("a file that is there no more stays in the cache")
	}
}

func rename(h *house, from, to string) {
	h.t.Helper()
	if err := os.Rename(from, h.path(to)); err != nil {
		h.t.Fatal(err)
	}
}

func TestEntryLeavesMemoryAtItsTTLWithoutALookUp(t *testing.T) {
	h := newHouse(t)
	settled(t, h.encrypted("s.yaml", "A: one\n"))
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{File: h.path("s.yaml"), KeyFile: h.key, Backend: BackendEmbedded})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		v := s.View([]Want{{"A", true}})
		set := acquire(t, v)
		value, _ := set.Get("A")
		set.Release()
		time.Sleep(TTL - time.Millisecond)
		synctest.Wait()
		if string(value.bytes()) != "one" {
			t.Fatalf("gone too early: %q", value.bytes())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if string(value.bytes()) != "\x00\x00\x00" || s.current.Load() != nil {
			t.Errorf("still there at the TTL: %q", value.bytes())
		}
		acquire(t, v).Release()
		if misses(s, missExpired) != 1 {
			t.Error("not counted as expired")
		}
	})
}

func TestConcurrentMissesDecryptOnce(t *testing.T) {
	h := newHouse(t)
	settled(t, h.encrypted("s.yaml", "A: one\n"))
	s := h.open("s.yaml", BackendSops)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 1000 {
		v := s.View([]Want{{"A", true}})
		wg.Go(func() {
			<-start
			set, err := v.Acquire(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			get(t, set, "A", "one")
			set.Release()
		})
	}
	close(start)
	wg.Wait()
	if n := decrypts(t, s); n != 1 {
		t.Errorf("%d decryptions", n)
	}
	if total := testutil.ToFloat64(s.metrics.hits) + misses(s, missCold); total != 1000 {
		t.Errorf("%v look-ups counted", total)
	}
	e := s.current.Load()
	if n := e.holders.Load(); n != 1 {
		t.Errorf("%d holders are left", n)
	}
}

// TestRewrittenDuringDecryptIsNeverCachedAsNew changes the file over and over while
// requests run: each must see a value that was in the file since the request began.
// TestFreshFileIsReadAndNotCached: a second change in the same tick of the clock
// could leave every time as it is.
func TestFailureIsNotCachedAndNothingOldIsServed(t *testing.T) {
	h := newHouse(t)
	path := h.encrypted("s.yaml", "A: one\n")
	settled(t, path)
	good := h.read("s.yaml")
	var log bytes.Buffer
	s := h.openWith(Options{File: path, KeyFile: h.key, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	v := s.View([]Want{{"A", true}})
	acquire(t, v).Release()
	for _, bad := range []string{"", "A: plain\n", strings.Replace(good, "data:", "data:AAAA", 1), good[:len(good)/2]} {
		h.write("s.yaml", bad)
		if _, err := v.Acquire(context.Background()); codeOf(err) != DecryptFailed {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Acquire(context.Background()); codeOf(err) != SecretsFileNotFound {
		t.Errorf("removed: %v", err)
	}
	h.write("s.yaml", good)
	set := acquire(t, v)
	get(t, set, "A", "one")
	set.Release()
	if got := testutil.ToFloat64(s.metrics.errors.WithLabelValues(string(DecryptFailed))); got != 4 {
		t.Errorf("%v errors are counted", got)
	}
	if !strings.Contains(log.String(), "decrypt_failed") || !strings.Contains(log.String(), "sops metadata not found") {
		t.Errorf("the operator can't see the cause: %s", log.String())
	}
}

// git checkout removes a file and then writes it.
func TestCloseWipesAndRefuses(t *testing.T) {
	h := newHouse(t)
	settled(t, h.encrypted("s.yaml", "A: one\n"))
	s := h.open("s.yaml", "")
	v := s.View([]Want{{"A", true}})
	set := acquire(t, v)
	value, _ := set.Get("A")
	_ = s.Close()
	get(t, set, "A", "one") // held
	set.Release()
	if string(value.bytes()) != "\x00\x00\x00" {
		t.Error("not overwritten")
	}
	if _, err := v.Acquire(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestStoreOpenedAgainGoesOnCounting(t *testing.T) {
	h := newHouse(t)
	settled(t, h.encrypted("s.yaml", "A: one\n"))
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	for range 2 {
		v := h.openWith(Options{File: h.path("s.yaml"), KeyFile: h.key, Metrics: m}).View([]Want{{"A", true}})
		acquire(t, v).Release()
		acquire(t, v).Release()
	}
	want := `# HELP latchgate_secrets_decrypt_cache_hits_total Look-ups that were answered from the cache.
# TYPE latchgate_secrets_decrypt_cache_hits_total counter
latchgate_secrets_decrypt_cache_hits_total 2
# HELP latchgate_secrets_decrypt_cache_misses_total Look-ups that had to wait for a decryption, by reason.
# TYPE latchgate_secrets_decrypt_cache_misses_total counter
latchgate_secrets_decrypt_cache_misses_total{reason="changed"} 0
latchgate_secrets_decrypt_cache_misses_total{reason="cold"} 2
latchgate_secrets_decrypt_cache_misses_total{reason="expired"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "latchgate_secrets_decrypt_cache_hits_total", "latchgate_secrets_decrypt_cache_misses_total"); err != nil {
		t.Error(err)
	}
}
