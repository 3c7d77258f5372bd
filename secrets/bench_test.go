package secrets

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func benchHouse(b *testing.B) (*house, []Want) {
	h := newHouse(b)
	h.init(InitOptions{File: h.path("s.yaml"), KeyFile: h.key})
	values := map[string][]byte{}
	var wants []Want
	for i := range 20 {
		name := fmt.Sprintf("SECRET_%02d", i)
		values[name] = []byte(strings.Repeat("x", 40))
		wants = append(wants, Want{name, true})
	}
	h.edit("s.yaml", BackendEmbedded, func(d *Document) error { return d.Import(values) })
	settled(b, h.path("s.yaml"))
	return h, wants
}

func BenchmarkAcquireHit(b *testing.B) {
	h, wants := benchHouse(b)
	v := h.open("s.yaml", "").View(wants)
	b.ReportAllocs()
	for b.Loop() {
		set, err := v.Acquire(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := set.Get("SECRET_07"); !ok {
			b.Fatal("missing")
		}
		set.Release()
	}
}

func benchmarkCold(b *testing.B, backend string) {
	h, _ := benchHouse(b)
	s := h.open("s.yaml", backend)
	b.ReportAllocs()
	for b.Loop() {
		e, _, err := s.load(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		e.mem.wipe()
	}
}

func BenchmarkDecryptEmbedded20(b *testing.B) { benchmarkCold(b, BackendEmbedded) }
func BenchmarkDecryptSops20(b *testing.B)     { benchmarkCold(b, BackendSops) }
