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
