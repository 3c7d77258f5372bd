package secrets

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestViewShowsDeclaredNamesOnly(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.yaml", "A: one\nB: two\nC: null\nD: \"\"\n")
	v := h.open("s.yaml", "").View([]Want{{"A", false}, {"C", true}, {"Z", false}, {"D", true}, {"Y", true}, {"Z", true}})
	set := acquire(t, v)
	defer set.Release()
	get(t, set, "A", "one")
	get(t, set, "D", "")
	for _, name := range []string{"B", "C", "Z"} {
		if _, ok := set.Get(name); ok {
			t.Errorf("%s is there", name)
		}
	}
	err := set.RequireAll()
	if codeOf(err) != RequiredSecretMissing || err.Error() != "required secret 'C' not found in sops file (also missing: 'Y', 'Z')" {
		t.Errorf("got %v", err)
	}
}

func TestNoFileConfiguredGivesAnEmptySet(t *testing.T) {
	s, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set := acquire(t, s.View([]Want{{"A", true}}))
	defer set.Release()
	if _, ok := set.Get("A"); ok || set.RequireAll() != nil || s.Configured() || set.Generation() != 0 {
		t.Error("the empty Set is not empty")
	}
}

func TestViewThatWantsNothingReadsNothing(t *testing.T) {
	s, err := Open(Options{File: "/nowhere/s.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	acquire(t, s.View(nil)).Release()
}

func TestWhatIsDerivedGoesWithTheDecryption(t *testing.T) {
	h := newHouse(t)
	settled(t, h.encrypted("s.yaml", "A: one\n"))
	s := h.open("s.yaml", "")
	want := []Want{{"A", true}}
	set, other := acquire(t, s.View(want)), acquire(t, s.View(want))
	made, dropped := 0, 0
	derive := func(set *Set, key string) bool {
		_, kept := set.Derive(key, func() (any, func()) { made++; return made, func() { dropped++ } })
		return kept
	}
	if !derive(set, "a") || !derive(other, "a") || made != 1 || !derive(set, "b") || made != 2 {
		t.Errorf("made %d times, want once for each key", made)
	}
	for i := range maxDerived {
		derive(set, fmt.Sprint(i))
	}
	if derive(set, "too many") {
		t.Error("what is kept has no bound")
	}
	set.Release()
	_ = s.Close()
	if dropped != 0 {
		t.Error("dropped while a Set is held")
	}
	other.Release()
	if dropped != maxDerived {
		t.Errorf("dropped %d times, want %d", dropped, maxDerived)
	}
	if derive(&Set{}, "a") {
		t.Error("the empty Set keeps something")
	}
}

func TestReleasingTooOftenPanics(t *testing.T) {
	h := newHouse(t)
	settled(t, h.encrypted("s.yaml", "A: one\n"))
	s := h.open("s.yaml", "")
	set := acquire(t, s.View([]Want{{"A", true}}))
	set.Release()
	_ = s.Close()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	set.Release()
}

func TestHitHandsOutTheSameSet(t *testing.T) {
	h := newHouse(t)
	settled(t, h.encrypted("s.yaml", "A: one\n"))
	s := h.open("s.yaml", "")
	v := s.View([]Want{{"A", true}})
	first, second := acquire(t, v), acquire(t, v)
	if first != second || first.Generation() != second.Generation() {
		t.Error("a hit made another Set")
	}
	first.Release()
	get(t, second, "A", "one")
	second.Release()
	if testutil.ToFloat64(s.metrics.hits) != 1 || misses(s, missCold) != 1 || decrypts(t, s) != 1 {
		t.Error("hits and misses are counted wrongly")
	}
}
