package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// result is one run of a workload against a target.
type result struct {
	perSecond float64
	p50       time.Duration
	cpu       float64 // seconds of the proxy's processor time for a thousand operations
	kib       float64 // for each idle tunnel
	note      string  // why there is none
}

type meter struct {
	t     *target
	begun time.Time
	cpu   time.Duration
}

func startMeter(t *target) meter { return meter{t, time.Now(), processorTime(t.pid)} }

func (m meter) stop(operations int) result {
	n := float64(max(operations, 1))
	return result{perSecond: n / time.Since(m.begun).Seconds(), cpu: (processorTime(m.t.pid) - m.cpu).Seconds() / n * 1000}
}

// processorTime is that of a process, of all its threads (clock_getcpuclockid).
func processorTime(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	var ts unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|2), &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func residentKiB(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	field, _, _ := strings.Cut(strings.TrimSpace(string(rest)), " ")
	n, _ := strconv.ParseInt(field, 10, 64)
	return n
}

func median[T cmp.Ordered](all []T) (m T) {
	if len(all) > 0 {
		sorted := slices.Clone(all)
		slices.Sort(sorted)
		m = sorted[len(sorted)/2]
	}
	return m
}

// report prints the medians of a workload, and the ratios to the yardstick: of
// each round's pair, the median.
func report(w io.Writer, work workload, targets []*target, yardstick string, all map[string][]result) {
	_, _ = fmt.Fprintf(w, "\n%s: %s\n", work, work.what)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(table, "\tops/s\tp50 µs\t× %[1]s\tCPU s/1k\t× %[1]s\tkB/tunnel\t\n", yardstick)
	of := func(rs []result, what func(result) float64) float64 {
		var xs []float64
		for _, r := range rs {
			xs = append(xs, what(r))
		}
		return median(xs)
	}
	show := func(format string, x float64) string {
		if x == 0 {
			return "–"
		}
		return fmt.Sprintf(format, x)
	}
	cpu := func(r result) float64 { return r.cpu }
	p50 := func(r result) float64 { return float64(r.p50.Nanoseconds()) / 1000 }
	ratio := func(name string, what func(result) float64) float64 {
		var xs []float64
		for i, yard := range all[yardstick] {
			if i < len(all[name]) && what(yard) > 0 {
				xs = append(xs, what(all[name][i])/what(yard))
			}
		}
		return median(xs)
	}
	for _, t := range targets {
		rs := all[t.name]
		if i := slices.IndexFunc(rs, func(r result) bool { return r.note != "" }); i >= 0 {
			_, _ = fmt.Fprintf(table, "%s\tn/a: %s\t\t\t\t\t\t\n", t.name, rs[i].note)
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", t.name, show("%.0f", of(rs, func(r result) float64 { return r.perSecond })),
			show("%.0f", of(rs, p50)), show("%.2f", ratio(t.name, p50)), show("%.4f", of(rs, cpu)), show("%.2f", ratio(t.name, cpu)),
			show("%.1f", of(rs, func(r result) float64 { return r.kib })))
	}
	_ = table.Flush()
}
