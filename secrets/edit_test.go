package secrets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func set(name, value string) func(*Document) error {
	return func(d *Document) error { return d.Set(name, []byte(value)) }
}

func (h *house) edit(name, backend string, change func(*Document) error) {
	h.t.Helper()
	if err := h.open(name, backend).Edit(context.Background(), change); err != nil {
		h.t.Fatalf("edit: %v: %s", err, detailOf(err))
	}
}

// both reads the file with both backends, which must agree, and returns the values.
func (h *house) both(t *testing.T, name string) map[string]string {
	t.Helper()
	want, err := h.open(name, BackendSops).values(t)
	if err != nil {
		t.Fatalf("sops: %v: %s", err, detailOf(err))
	}
	got, err := h.open(name, BackendEmbedded).values(t)
	if err != nil {
		t.Fatalf("embedded: %v: %s", err, detailOf(err))
	}
	diff(t, "embedded", got, want)
	return got
}

// TestEditedFilesOpenWithSops edits what sops made, by both backends, and lets
// sops work on the result.
func TestEditedFilesOpenWithSops(t *testing.T) {
	for _, test := range []struct {
		file, plain string
		args        []string
		want        map[string]string
	}{
		{"s.enc.yaml", richYAML, nil, richValues},
		{"s.yaml", richYAML, []string{"--mac-only-encrypted", "--unencrypted-regex", "^(INT|BOOL|LIST|x)$"}, richValues},
		{"s.enc.json", richJSON, nil, richJSONValues},
		{"s.env", richDotenv, nil, richDotenvValues},
	} {
		for _, backend := range []string{BackendEmbedded, BackendSops} {
			t.Run(test.file+" "+backend+" "+strings.Join(test.args, " "), func(t *testing.T) {
				h := newHouse(t)
				h.encrypted(test.file, test.plain, test.args...)
				first := slices.Sorted(maps.Keys(test.want))[0]
				want := maps.Clone(test.want)
				want["PEM2"], want["BLANK"], want[first] = pem, "", "changed: \"q\" \\n # not a comment 🐎"
				h.edit(test.file, backend, func(d *Document) error {
					return errors.Join(d.Set("PEM2", []byte(pem)), d.Set("BLANK", nil), d.Set(first, []byte(want[first])))
				})
				diff(t, "after set", h.both(t, test.file), want)

				h.edit(test.file, backend, func(d *Document) error { return errors.Join(d.Remove(first), d.Remove("BLANK")) })
				delete(want, first)
				delete(want, "BLANK")
				diff(t, "after remove", h.both(t, test.file), want)

				h.sops("set", h.path(test.file), `["PEM2"]`, `"by sops"`)
				h.sops("rotate", "-i", h.path(test.file))
				want["PEM2"] = "by sops"
				diff(t, "after sops", h.both(t, test.file), want)
			})
		}
	}
}

func TestEditKeepsCommentsOrderIndentationAndCiphertext(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.yaml", "# top\nB: one\n# before A\nA: two # behind\nM:\n    # inside\n    x: y\n# last\n", "--indent", "2")
	before := strings.Split(h.read("s.yaml"), "\n")
	h.edit("s.yaml", BackendEmbedded, set("A", "three"))
	h.edit("s.yaml", BackendEmbedded, set("NEW", "four"))
	after := strings.Split(h.read("s.yaml"), "\n")
	changed := 0
	for _, line := range before {
		if !slices.Contains(after, line) {
			changed++
		}
	}
	if changed != 2 && changed != 3 { // A, mac, and lastmodified unless it is the same second
		t.Errorf("%d lines were changed:\n%s\n%s", changed, strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	got := h.sops("decrypt", h.path("s.yaml"))
	for _, line := range []string{"# top", "# before A", "# behind", "A: three", "# inside", "# last", "NEW: four"} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is lost:\n%s", line, got)
		}
	}
	h.edit("s.yaml", BackendEmbedded, func(d *Document) error { return d.Remove("A") })
	if got := h.sops("decrypt", h.path("s.yaml")); !strings.Contains(got, "# before A") || !strings.Contains(got, "# top") {
		t.Errorf("removing lost a comment:\n%s", got)
	}
}

func TestEditKeepsModeAndFollowsSymlink(t *testing.T) {
	h := newHouse(t)
	h.encrypted("real.yaml", "A: one\n")
	if err := os.Chmod(h.path("real.yaml"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.yaml", h.path("link.yaml")); err != nil {
		t.Fatal(err)
	}
	h.edit("link.yaml", BackendEmbedded, set("A", "two"))
	st, err := os.Lstat(h.path("link.yaml"))
	if err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced by a file")
	}
	if st, err = os.Stat(h.path("real.yaml")); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v, %v", st.Mode(), err)
	}
	diff(t, "real", h.both(t, "real.yaml"), map[string]string{"A": "two"})
}

func TestEditRefusesWhatTheFileCannotKeepSecret(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.yaml", "A: one\n", "--encrypted-regex", "^A")
	h.encrypted("s.env", "A=one\n")
	for _, test := range []struct{ file, name, value, want string }{
		{"s.yaml", "B", "x", "would not be encrypted"},
		{"s.yaml", "A\nB", "x", "not a name"},
		{"s.yaml", "1A", "x", "not a name"},
		{"s.yaml", "A", "\xff\xfe", "not UTF-8"},
		{"s.yaml", "sops", "x", "keeps for itself"},
		{"s.env", "sops_x", "x", "keeps for itself"},
		{"s.env", "A_unencrypted", "x", "would not be encrypted"},
	} {
		before := h.read(test.file)
		err := h.open(test.file, BackendEmbedded).Edit(context.Background(), set(test.name, test.value))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %q: %v", test.file, test.name, err)
		}
		if h.read(test.file) != before {
			t.Errorf("%s %q: the file was changed", test.file, test.name)
		}
	}
}

func TestEditIsAllOrNothing(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.yaml", "A: one\n")
	before := h.read("s.yaml")
	s := h.open("s.yaml", BackendEmbedded)
	for name, change := range map[string]func(*Document) error{
		"an error":        func(d *Document) error { return errors.Join(d.Set("B", nil), errors.New("no")) },
		"a bad name":      func(d *Document) error { return d.Import(map[string][]byte{"B": nil, "c d": nil}) },
		"missing":         func(d *Document) error { return errors.Join(d.Set("B", nil), d.Remove("C")) },
		"nothing changed": func(d *Document) error { return errors.Join(d.Set("A", []byte("one")), d.Set("X", nil), d.Remove("X")) },
	} {
		err := s.Edit(context.Background(), change)
		if (err == nil) != (name == "nothing changed") {
			t.Errorf("%s: %v", name, err)
		}
		if h.read("s.yaml") != before {
			t.Errorf("%s: the file was written", name)
		}
	}
	if err := s.Edit(context.Background(), func(d *Document) error { return d.Remove("C") }); !errors.Is(err, ErrNoSecret) {
		t.Errorf("removing what is not there: %v", err)
	}
}

func TestConcurrentEditsAllSurvive(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.yaml", "A: one\n")
	var wg sync.WaitGroup
	want := map[string]string{"A": "one"}
	for i := range 10 {
		name := fmt.Sprintf("N%d", i)
		want[name] = name
		s := h.open("s.yaml", BackendEmbedded) // as another process would
		wg.Go(func() {
			if err := s.Edit(context.Background(), set(name, name)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	diff(t, "after ten", h.both(t, "s.yaml"), want)
}

// TestLockExcludesWhileTheFileIsReplaced counts up in a file that every holder of
// the lock replaces.
func TestLockExcludesWhileTheFileIsReplaced(t *testing.T) {
	h := newHouse(t)
	path := h.write("n", "0")
	const workers, rounds = 8, 10
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				unlock, err := lockFile(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(h.read("n"))
				if err := replaceFile(path, []byte(strconv.Itoa(n+1))); err != nil {
					t.Error(err)
				}
				unlock()
			}
		})
	}
	wg.Wait()
	if got := h.read("n"); got != strconv.Itoa(workers*rounds) {
		t.Errorf("%s of %d were counted", got, workers*rounds)
	}
}

func TestLockOfAReplacedFileDoesNotCount(t *testing.T) {
	h := newHouse(t)
	path := h.write("n", "0")
	f, err := openForLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := replaceFile(path, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if locked, err := lockOpened(f, path); locked || err != nil {
		t.Errorf("locked %v, %v", locked, err)
	}
}

// TestEditRefusesToWriteWhatItDoesNotReadBack gives the last check another result
// than was asked for.
func TestEditRefusesToWriteWhatItDoesNotReadBack(t *testing.T) {
	h := newHouse(t)
	path := h.encrypted("s.yaml", "A: one\n")
	e := editing{store: h.open("s.yaml", BackendEmbedded), mem: &memory{}, path: path}
	doc, err := e.decrypt(t.Context(), []byte(h.read("s.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCrypter(e.key, e.mem)
	if err != nil {
		t.Fatal(err)
	}
	out := []byte(h.read("s.yaml"))
	if err := e.check(c, doc, out); err != nil {
		t.Error(err)
	}
	if err := doc.Set("A", []byte("two")); err != nil {
		t.Fatal(err)
	}
	if err := e.check(c, doc, out); err == nil {
		t.Error("another value passed")
	}
	if err := e.check(c, doc, []byte(strings.Replace(string(out), "mac: ENC[AES256_GCM,data:", "mac: ENC[AES256_GCM,data:AAAA", 1))); err == nil {
		t.Error("a wrong MAC passed")
	}
}

func TestEditWaitsForTheLockNoLongerThanTheContext(t *testing.T) {
	h := newHouse(t)
	path := h.encrypted("s.yaml", "A: one\n")
	unlock, err := lockFile(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.open("s.yaml", "").Edit(ctx, set("A", "two")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestEditKeepsKeysThatItCannotUse(t *testing.T) {
	h := newHouse(t)
	_, second := h.newKey("other.txt")
	h.encrypted("s.yaml", "A: one\n", "--age", h.recipient+","+second)
	// A KMS entry as sops writes it; nobody here can open it, and nobody must drop it.
	text := strings.Replace(h.read("s.yaml"), "sops:\n", "sops:\n    kms:\n        - arn: arn:aws:kms:eu-west-1:1:key/x\n          created_at: \"2024-01-01T00:00:00Z\"\n          enc: AQICAHh\n          aws_profile: \"\"\n    pgp:\n        - created_at: \"2024-01-01T00:00:00Z\"\n          enc: |-\n            -----BEGIN PGP MESSAGE-----\n\n            hQ==\n            -----END PGP MESSAGE-----\n          fp: 85D77543B3D624B63CEA9E6DBC17301B491B3F21\n", 1)
	h.write("s.yaml", text)
	h.edit("s.yaml", BackendAuto, set("B", "two"))
	got := h.read("s.yaml")
	for _, want := range []string{"arn:aws:kms:eu-west-1:1:key/x", "enc: AQICAHh", "hQ==", "85D77543B3D624B63CEA9E6DBC17301B491B3F21", h.recipient, second} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is lost", want)
		}
	}
	diff(t, "both", h.both(t, "s.yaml"), map[string]string{"A": "one", "B": "two"})
	h.key = h.path("other.txt")
	diff(t, "second recipient", h.both(t, "s.yaml"), map[string]string{"A": "one", "B": "two"})
	wrong, _ := h.newKey("wrong.txt")
	for _, key := range []string{h.path("none"), wrong} {
		h.key = key
		if _, err := h.open("s.yaml", BackendAuto).loadOnce(t.Context()); !strings.Contains(detailOf(err), `secrets.backend = "sops" sops would try the file's other keys, pgp 85D77543B3D624B63CEA9E6DBC17301B491B3F21, kms arn:aws:`) {
			t.Errorf("nothing is said of the other keys: %v: %s", err, detailOf(err))
		}
	}
}

func TestEditLeavesNoPlaintextAndNoTemporaryFiles(t *testing.T) {
	h := newHouse(t)
	h.dir = h.path("[a-b]*") // what would be a pattern
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h.encrypted("s.yaml", "A: one\n")
	h.write(".s.yaml.tmp-123", "left by a kill")
	h.edit("s.yaml", BackendEmbedded, set("B", "sentinel-value"))
	h.edit("s.yaml", BackendSops, set("C", "sentinel-value"))
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "key.txt" && e.Name() != "s.yaml" && !e.IsDir() {
			t.Errorf("%s is left", e.Name())
		}
		if !e.IsDir() && strings.Contains(h.read(e.Name()), "sentinel-value") {
			t.Errorf("%s has plaintext", e.Name())
		}
	}
}
