package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// comparison is targets that do the same workloads, one after the other in each
// round.
type comparison struct {
	targets   []string
	workloads string
}

// dimension is something of which there may be few or many.
type dimension struct {
	name      string
	sizes     []int
	workloads string // with as many clients for few as for many
}

var growing = []dimension{
	{"runs", []int{1, 16, 256}, "ka-256,tunnel-8"},
	{"hosts", []int{1, 16, 256, 1000}, "ka-1000,tunnel-8"},
	{"secrets", []int{1, 8, 32, 128}, "ka-16,tunnel-8,down-4"},
	{"bindings", []int{1, 8, 32, 128}, "ka-16,tunnel-8"},
	{"actions", []int{1, 8, 32, 128}, "ka-16,tunnel-8"},
}

func dimensions() string {
	var names []string
	for _, d := range growing {
		names = append(names, d.name)
	}
	return strings.Join(names, ", ")
}

// growth compares latchgate with itself, along the dimensions named.
func growth(names string) (all []comparison, err error) {
	if names == "all" {
		names = strings.ReplaceAll(dimensions(), " ", "")
	}
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(growing, func(d dimension) bool { return d.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is no dimension; one is %s", name, dimensions())
		}
		c := comparison{workloads: growing[i].workloads}
		for _, n := range growing[i].sizes {
			c.targets = append(c.targets, fmt.Sprintf("latchgate:%s=%d", name, n))
		}
		all = append(all, c)
	}
	return all, nil
}

// compare starts the targets, measures and reports, and stops them.
func (b *bench) compare(ctx context.Context, c comparison, rounds int) error {
	works, err := parseWorkloads(c.workloads)
	if err != nil {
		return err
	}
	before := len(b.processes)
	defer func() { b.stopFrom(before) }()
	var started []*target
	for _, name := range c.targets {
		t, err := b.start(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "load: %s is left out: %v\n", name, err)
			continue
		}
		started = append(started, t)
	}
	if len(started) == 0 {
		return nil
	}
	yardstick := started[0].name
	if slices.ContainsFunc(started, func(t *target) bool { return t.name == "goproxy" }) {
		yardstick = "goproxy"
	}
	for _, w := range works {
		results := map[string][]result{} // by target
		for round := range rounds {
			for i := range started {
				t := started[(i+round)%len(started)]
				r, err := b.measure(ctx, t, w)
				if err != nil {
					r.note = err.Error()
				}
				results[t.name] = append(results[t.name], r)
			}
		}
		report(os.Stdout, w, started, yardstick, results)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
