//go:build unix

package testenv

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ReportCPU measures the process's own time from here to the call of what it
// returns, and reports it as cpu-µs/op: a busy machine changes that least.
func ReportCPU(b *testing.B) func() {
	spent := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	return func() { b.ReportMetric(float64((spent()-before).Microseconds())/float64(b.N), "cpu-µs/op") }
}
