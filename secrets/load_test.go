package secrets

import (
	"context"
	"os"
	"testing"
	"time"
)

func TestRewrittenDuringDecryptIsNeverCachedAsNew(t *testing.T) {
	h := newHouse(t)
	texts := map[string]string{}
	for _, value := range []string{"aaa", "bbb", "ccc"} {
		h.encrypted("s-"+value+".yaml", "A: "+value+"\n")
		texts[value] = h.read("s-" + value + ".yaml")
	}
	h.write("s.yaml", texts["aaa"])
	v := h.open("s.yaml", "").View([]Want{{"A", true}})
	for range 30 {
		for _, value := range []string{"bbb", "ccc", "aaa"} {
			done := make(chan struct{})
			go func() { // a request in flight while the file changes
				defer close(done)
				if set, err := v.Acquire(context.Background()); err == nil {
					set.Release()
				} else {
					t.Error(err, detailOf(err))
				}
			}()
			h.write("s.yaml", texts[value]) // truncates in place, as sops does
			<-done
			set := acquire(t, v)
			get(t, set, "A", value)
			set.Release()
		}
	}
}

func TestFreshFileIsReadAndNotCached(t *testing.T) {
	h := newHouse(t)
	path := h.encrypted("s.yaml", "A: one\n")
	s := h.open("s.yaml", BackendEmbedded)
	h.write("s.yaml", h.read("s.yaml"))
	_, fresh, err1 := s.load(t.Context())
	settled(t, path)
	_, rested, err2 := s.load(t.Context())
	if err1 != nil || err2 != nil || fresh || !rested {
		t.Errorf("cacheable: %v when just written, %v later; %v, %v", fresh, rested, err1, err2)
	}
}

func TestHalfWrittenFileIsTriedAgain(t *testing.T) {
	h := newHouse(t)
	settled(t, h.encrypted("s.yaml", "A: one\n"))
	good := h.read("s.yaml")
	h.write("s.yaml", "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-time.After(100 * time.Millisecond)
		h.write("s.yaml", good)
	}()
	set := acquire(t, h.open("s.yaml", "").View([]Want{{"A", true}}))
	get(t, set, "A", "one")
	set.Release()
	<-done
}

func TestFileThatWasRemovedIsWaitedFor(t *testing.T) {
	h := newHouse(t)
	path := h.encrypted("s.yaml", "A: one\n")
	settled(t, path)
	good := h.read("s.yaml")
	s := h.open("s.yaml", "")
	v := s.View([]Want{{"A", true}})
	acquire(t, v).Release()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-time.After(100 * time.Millisecond)
		if s.current.Load() != nil {
			t.Error("what the removed file held is kept meanwhile")
		}
		h.write("s.yaml", good)
	}()
	set := acquire(t, v)
	get(t, set, "A", "one")
	set.Release()
	<-done
}

func TestFileThatNeverWasFailsAtOnce(t *testing.T) {
	h := newHouse(t)
	for id, _ := identify(h.dir); id.youngerThan(rewriteGrace, time.Now()); {
		<-time.After(10 * time.Millisecond)
	}
	start := time.Now()
	_, err := h.open("s.yaml", "").View([]Want{{"A", true}}).Acquire(context.Background())
	if codeOf(err) != SecretsFileNotFound || time.Since(start) > rewriteGrace/2 {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestCorruptFileThatRestsFailsAtOnce(t *testing.T) {
	h := newHouse(t)
	path := h.write("s.yaml", "A: plain\n")
	for id, _ := identify(path); id.youngerThan(rewriteGrace, time.Now()); {
		<-time.After(10 * time.Millisecond)
	}
	start := time.Now()
	_, err := h.open("s.yaml", "").View([]Want{{"A", true}}).Acquire(context.Background())
	if codeOf(err) != DecryptFailed || time.Since(start) > rewriteGrace/2 {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
