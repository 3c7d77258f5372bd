//go:build unix

package gate

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/latchgate/latchgate/secrets"
)

// What an execution may cost, counted and not timed: all that this process
// allocates for one, the upstream's part and the log's included. Who goes past it
// has made every execution dearer: lower the cost, or raise the number and say in
// the commit what it buys.
const allocsPerExecution = 235

// newCostWorld is a world whose secrets file is cached from now on: one that was
// only just written is decrypted anew each time.
func newCostWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t, benchManifest, "max_runs = 20000\n[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n[log]\nlevel = \"warn\"\n")
	w.setSecrets(map[string]string{"TOKEN": token})
	view := w.state.Load().secrets.View([]secrets.Want{{Name: "TOKEN", Required: true}})
	decryption := func() uint64 {
		set, err := view.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer set.Release()
		return set.Generation()
	}
	for last := decryption(); ; runtime.Gosched() {
		next := decryption()
		if next == last {
			return w
		}
		last = next
	}
}

func TestAnExecutionStaysWithinItsAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("allocations are counted without the race detector")
	}
	w := newCostWorld(t)
	n := testing.AllocsPerRun(200, func() {
		if _, err := w.Execute(context.Background(), benchExecution); err != nil {
			t.Fatal(err)
		}
	})
	if n > allocsPerExecution {
		t.Errorf("%v allocations an execution, want %d at most", n, allocsPerExecution)
	}
	t.Logf("allocations: %v", n)
}

// held is what a process holds on to.
type held struct {
	heap                    uint64 // bytes
	goroutines, descriptors int
}

func (w *world) held() (h held) {
	w.t.Helper()
	if err := w.audit.Sync(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.log.mu.Lock()
	w.log.b.Reset() // the test's own
	w.log.mu.Unlock()
	w.mu.Lock()
	w.arrived = nil
	w.mu.Unlock()
	for range 3 { // pools are emptied in two rounds, and what finalizers let go of is freed in the next
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		fds, err = os.ReadDir("/dev/fd")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return held{m.HeapAlloc, runtime.NumGoroutine(), len(fds)}
}

func TestTenThousandRunsLeaveNothingBehind(t *testing.T) {
	w := newCostWorld(t)
	ctx := context.Background()
	open := func() string {
		run, err := w.Open(ctx, OpenRequest{Principal: alice, Door: DoorExec, Actions: []string{"call"}, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return run.ID
	}
	const runs = 10_000
	ids := make([]string, runs)
	round := func() (during held) {
		for i := range ids {
			if ids[i] = open(); i%50 == 0 {
				if _, err := w.Execute(ctx, benchExecution); err != nil {
					t.Fatal(err)
				}
			}
		}
		during = w.held()
		for i, id := range ids {
			if i%2 == 0 {
				w.Close(id)
			} else {
				w.Revoke(id)
			}
		}
		return during
	}
	round() // makes what is made once: connections, pools, label sets, buffers of the record
	before := w.held()
	during := round()
	after, rounds := w.held(), 1
	// A collection leaves now more, now less in pools; what a run leaves adds up.
	for ; after.heap > before.heap+uint64(32*runs*rounds) && rounds < 5; rounds++ {
		round()
		after = w.held()
	}
	t.Logf("before %+v, with %d runs open %+v, after %+v", before, runs, during, after)
	if during.heap < before.heap+100*runs {
		t.Error("the runs are not seen in the heap, so nothing is measured")
	}
	// What pools and maps keep is far below this, and a run's own is far above.
	if after.heap > before.heap+uint64(32*runs*rounds) {
		t.Errorf("%d bytes of the heap stay for each run", (after.heap-before.heap)/uint64(runs*rounds))
	}
	if after.goroutines > before.goroutines || after.descriptors > before.descriptors {
		t.Error("goroutines or descriptors stay")
	}
}
