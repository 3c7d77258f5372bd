package secrets

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"go.uber.org/goleak"

	"github.com/latchgate/latchgate/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv("SECRETS_TEST_HELPER") != "" {
		os.Exit(helper())
	}
	goleak.VerifyTestMain(m)
}

// house is a folder with an age key and room for secrets files.
type house struct {
	t         testing.TB
	dir       string
	key       string // age key file
	recipient string
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	h.key, h.recipient = h.newKey("key.txt")
	return h
}

// newKey writes another age key file.
func (h *house) newKey(name string) (path, recipient string) {
	h.t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		h.t.Fatal(err)
	}
	path = h.path(name)
	h.write(name, "# a comment\n"+id.String()+"\n")
	return path, id.Recipient().String()
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) write(name, text string) string {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return h.path(name)
}

func (h *house) read(name string) string {
	h.t.Helper()
	data, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

// sops runs the real program in the house, with its key, and returns its output.
func (h *house) sops(args ...string) string {
	h.t.Helper()
	out, err := h.trySops(h.key, "", args...)
	if err != nil {
		h.t.Fatalf("sops %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (h *house) trySops(key, stdin string, args ...string) (string, error) {
	h.t.Helper()
	cmd := exec.Command(testenv.Program(h.t, "sops"), args...)
	cmd.Dir = h.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "SOPS_AGE_KEY_FILE=" + key, "GNUPGHOME=" + os.Getenv("GNUPGHOME")}
	cmd.Stdin = strings.NewReader(stdin)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if err != nil {
		err = errors.New(err.Error() + ": " + stderr.String())
	}
	return out.String(), err
}

// encrypted writes plain through `sops -e` with these further arguments.
func (h *house) encrypted(name, plain string, args ...string) string {
	h.t.Helper()
	in := h.write("plain-"+name, plain)
	f := string(formatOf(name))
	args = append([]string{"--encrypt", "--age", h.recipient, "--input-type", f, "--output-type", f}, args...)
	out := h.sops(append(args, in)...)
	if err := os.Remove(in); err != nil {
		h.t.Fatal(err)
	}
	return h.write(name, out)
}

// open returns a store on the file with this backend.
func (h *house) open(name, backend string) *Store {
	h.t.Helper()
	return h.openWith(Options{File: h.path(name), KeyFile: h.key, Backend: backend})
}

func (h *house) openWith(o Options) *Store {
	h.t.Helper()
	s, err := Open(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = s.Close() })
	return s
}

// values decrypts everything, past the cache.
func (s *Store) values(t testing.TB) (map[string]string, error) {
	t.Helper()
	e, _, err := s.load(context.Background())
	if err != nil {
		return nil, err
	}
	defer e.mem.wipe()
	values := map[string]string{}
	for name, v := range e.values {
		values[name] = string(v.Reveal())
	}
	return values, nil
}

// codeOf returns the code of an *Error, "" for any other error.
func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func detailOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return ""
}
