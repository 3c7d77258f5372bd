package secrets

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// helper is what this test binary does as a child: it sets a secret, once or over
// and over. SECRETS_TEST_HELPER is the name, "loop" for the latter.
func helper() int {
	if os.Getenv("SECRETS_TEST_HELPER") == "scan" {
		return scan()
	}
	s, err := Open(Options{File: os.Getenv("FILE"), KeyFile: os.Getenv("KEY"), Backend: BackendEmbedded})
	if err != nil {
		return 1
	}
	name := os.Getenv("SECRETS_TEST_HELPER")
	for i := 0; ; i++ {
		if err := s.Edit(context.Background(), set(name, fmt.Sprintf("value-%d", i))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if name != "loop" {
			return 0
		}
	}
}

func (h *house) helper(name string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SECRETS_TEST_HELPER="+name, "FILE="+h.path("s.yaml"), "KEY="+h.key)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestTenProcessesSetAndAllTenAreKept(t *testing.T) {
	h := newHouse(t)
	h.init(InitOptions{File: h.path("s.yaml"), KeyFile: h.key})
	want := map[string]string{}
	var children []*exec.Cmd
	for i := range 10 {
		name := fmt.Sprintf("N%d", i)
		want[name] = "value-0"
		cmd := h.helper(name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, cmd)
	}
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	got, err := h.open("s.yaml", BackendEmbedded).values(t)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "after ten", got, want)
}

// TestKilledAtAnyPointTheFileOpens kills a process that edits without a pause.
// SECRETS_TEST_KILLS sets how often.
func TestKilledAtAnyPointTheFileOpens(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("SECRETS_TEST_KILLS"))
	if err != nil {
		rounds = 15
	}
	h := newHouse(t)
	h.init(InitOptions{File: h.path("s.yaml"), KeyFile: h.key})
	h.edit("s.yaml", BackendEmbedded, set("keep", pem))
	s := h.open("s.yaml", BackendEmbedded)
	for range rounds {
		cmd := h.helper("loop")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(20*time.Millisecond + rand.N(40*time.Millisecond))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		e, err := s.loadOnce(t.Context())
		if err != nil {
			t.Fatal(err, detailOf(err))
		}
		if string(e.values["keep"].bytes()) != pem {
			t.Fatal("a secret is lost")
		}
		e.mem.wipe()
	}
	h.edit("s.yaml", BackendEmbedded, set("after", "x"))
	if left, _ := os.ReadDir(h.dir); len(left) != 3 { // key, .sops.yaml, file
		t.Errorf("%d files are left", len(left))
	}
}
