//go:build linux

package secrets

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// masked is a sentinel that stands nowhere in this program in the clear.
func masked(s string) []byte {
	m := []byte(s)
	for i := range m {
		m[i] ^= 0x5a
	}
	return m
}

// copiesInMemory counts how often the masked sentinel stands in this process's
// memory.
func copiesInMemory(sentinel []byte) (int, error) {
	const window = 1 << 20
	buf, err := unix.Mmap(-1, 0, window, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(buf) //nolint:errcheck // nothing to do about it
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	n := 0
	own := fmt.Sprintf("%x", addressOf(buf))
	for lines := bufio.NewScanner(strings.NewReader(string(maps))); lines.Scan(); {
		var from, to int64
		var perm string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &perm); err != nil ||
			!strings.HasPrefix(perm, "rw") || strings.HasPrefix(lines.Text(), own) {
			continue
		}
		for at := from; at < to; at += window - int64(len(sentinel)) + 1 {
			got, _ := mem.ReadAt(buf[:min(window, to-at)], at)
			n += count(buf[:got], sentinel)
		}
	}
	clear(buf)
	return n, nil
}

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// count looks for the first byte, which most of memory is not, and compares there.
func count(b, sentinel []byte) int {
	n := 0
	for {
		i := bytes.IndexByte(b, sentinel[0]^0x5a)
		if i < 0 || i+len(sentinel) > len(b) {
			return n
		}
		b = b[i:]
		j := 1
		for j < len(sentinel) && b[j] == sentinel[j]^0x5a {
			j++
		}
		if j == len(sentinel) {
			n++
		}
		b = b[1:]
	}
}

// scan is a child that uses a secret and counts its copies; it prints the counts
// while the secret is in use and after the store is closed.
func scan() int {
	sentinel := []byte(os.Getenv("MASKED"))
	s, err := Open(Options{File: os.Getenv("FILE"), KeyFile: os.Getenv("KEY"), Backend: os.Getenv("BACKEND")})
	if err != nil {
		return 1
	}
	set, err := s.View([]Want{{"A", true}}).Acquire(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err, detailOf(err))
		return 1
	}
	during, err := copiesInMemory(sentinel)
	if err != nil {
		return 1
	}
	set.Release()
	_ = s.Close()
	after, _ := copiesInMemory(sentinel)
	runtime.GC()
	collected, _ := copiesInMemory(sentinel)
	fmt.Printf("%d %d %d", during, after, collected)
	return 0
}

// TestNoCopyOfASecretOutlivesItsUse counts copies of a secret in the memory of a
// process while it uses the secret and after. A map or a list is there twice in use:
// its leaf, and the JSON text that is the value.
func TestNoCopyOfASecretOutlivesItsUse(t *testing.T) {
	const text, number = "sentinel-0123456789-abcdefghijklmnopqrstuvwxyz-sentinel", "908172635481726354"
	for _, test := range []struct {
		kind, plain, sentinel string
		during                int
	}{
		{"text", "A: " + text + "\nB: x\n", text, 1},
		{"map", "A:\n    user: x\n    pass: " + text + "\n    more: [1, 2]\n", text, 2},
		{"list", "A:\n    - x\n    - " + text + "\n", text, 2},
		{"number", "A: " + number + "\n", number, 1},
		{"number in a map", "A:\n    pin: " + number + "\n", number, 2},
	} {
		h := newHouse(t)
		h.encrypted("s.yaml", test.plain)
		for _, backend := range []string{BackendEmbedded, BackendSops} {
			cmd := h.helper("scan")
			cmd.Env = append(cmd.Env, "MASKED="+string(masked(test.sentinel)), "BACKEND="+backend)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var during, after, collected int
			if _, err := fmt.Sscan(string(out), &during, &after, &collected); err != nil {
				t.Fatalf("%q: %v", out, err)
			}
			t.Logf("%s, %s: %d copies during use, %d after, %d after a collection", test.kind, backend, during, after, collected)
			if during != test.during || after != 0 || collected != 0 {
				t.Errorf("%s, %s: %d copies during use, %d after, %d after a collection; want %d, 0, 0", test.kind, backend, during, after, collected, test.during)
			}
		}
	}
}
