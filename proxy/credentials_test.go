package proxy

import (
	"context"
	"errors"
	"testing"

	"github.com/latchgate/latchgate/secrets"
)

func TestCredentialsAreWipedWhenTheRunAndTheLastExchangeLetGo(t *testing.T) {
	h := newHouse(t)
	run, _ := h.open(bearerManifest)
	acquire := func() (*secrets.Set, *credentials) {
		set, err := run.view.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return set, run.credentialsFor(set)
	}
	// A file that was only just written is decrypted anew each time.
	eventually(t, func() error {
		a, sa := acquire()
		b, sb := acquire()
		defer func() { a.Release(); b.Release(); sa.release(); sb.release() }()
		if a.Generation() != b.Generation() {
			return errors.New("not cached yet")
		}
		return nil
	})
	set1, s1 := acquire()
	set2, s2 := acquire()
	if s1 != s2 || !s1.scrub.Contains([]byte(token)) {
		t.Fatal("one generation has one set of credentials, with the value in it")
	}
	setSecrets(t, h.store, map[string]string{"TOKEN": "rotated-value"})
	set3, s3 := acquire()
	if s3 == s1 || !s3.scrub.Contains([]byte(token)) || !s3.scrub.Contains([]byte("rotated-value")) {
		t.Fatal("after a rotation both values are searched for")
	}
	s1.release()
	set1.Release()
	if !s2.scrub.Contains([]byte(token)) {
		t.Fatal("wiped while an exchange still uses it")
	}
	s2.release()
	set2.Release()
	if s2.scrub.Contains([]byte(token)) {
		t.Fatal("not wiped when the last let go")
	}
	h.runs.Close(run.ID, ErrRunClosed)
	if !s3.scrub.Contains([]byte(token)) {
		t.Fatal("the end of the run wiped what an exchange still uses")
	}
	s3.release()
	set3.Release()
	if s3.scrub.Contains([]byte(token)) || s3.scrub.Contains([]byte("rotated-value")) {
		t.Fatal("not wiped after the run")
	}
}

func TestRunsOfOneDecryptionShareWhatIsSearchedFor(t *testing.T) {
	h := newHouse(t)
	first, _ := h.open(bearerManifest)
	second, _ := h.open(bearerManifest)
	acquire := func(r *Run) (*secrets.Set, *credentials) {
		set, err := r.view.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return set, r.credentialsFor(set)
	}
	var seen *sought
	eventually(t, func() error { // a file that was only just written is decrypted anew each time
		set1, c1 := acquire(first)
		set2, c2 := acquire(second)
		defer func() { set1.Release(); set2.Release(); c1.release(); c2.release() }()
		if seen = c1.sought; seen != c2.sought {
			return errors.New("not shared yet")
		}
		return nil
	})
	h.runs.Close(first.ID, ErrRunClosed)
	if !seen.scrub.Contains([]byte(token)) {
		t.Fatal("wiped while another run uses it")
	}
	h.runs.Close(second.ID, ErrRunClosed)
	third, _ := h.open(bearerManifest)
	set, c := acquire(third)
	set.Release()
	if c.sought != seen {
		t.Fatal("compiled again although the decryption is in memory")
	}
	// Whoever rotates a value is not to change what others search for.
	setSecrets(t, h.store, map[string]string{"TOKEN": "rotated-value"})
	set, after := acquire(third)
	set.Release()
	if seen.scrub.Contains([]byte("rotated-value")) || !after.scrub.Contains([]byte(token)) {
		t.Fatal("the values of before and after are not searched for by the run that had both, and by it alone")
	}
	if !seen.scrub.Contains([]byte(token)) {
		t.Fatal("wiped while an exchange uses it")
	}
	c.release()
	if seen.scrub.Contains([]byte(token)) || seen.values[0].Value[0] != 0 {
		t.Fatal("not wiped when the decryption and the last exchange had let go")
	}
	h.runs.Close(third.ID, ErrRunClosed)
	after.release()
	if after.scrub.Contains([]byte(token)) {
		t.Fatal("what one run alone searches for is not wiped with it")
	}
}
