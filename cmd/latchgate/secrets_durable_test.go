package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// moveSecretsTo puts the home's secrets into another folder.
func (h *home) moveSecretsTo(dir string) {
	h.t.Helper()
	for _, name := range []string{"secrets.enc.yaml", ".sops.yaml", "keys/age.key"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(h.read(name)), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	h.environ = append(h.environ, "LATCHGATE_SECRETS__SOPS_SECRETS_FILE="+filepath.Join(dir, "secrets.enc.yaml"),
		"LATCHGATE_SECRETS__SOPS_KEY_FILE="+filepath.Join(dir, "keys/age.key"))
}

// keepsTheOldFile checks that each command that writes fails, says why, and
// leaves the folder as it was.
func (h *home) keepsTheOldFile(dir, why string, run func(stdin string, args ...string) outcome) {
	h.t.Helper()
	before := folder(h.t, dir)
	big := strings.Repeat("0123456789abcdef", 32<<10)
	h.write("big.json", `{"BIG": "`+big+`", "BIG2": "x"}`)
	for _, args := range [][]string{{"secrets", "set", "BIG", "--stdin"}, {"secrets", "import", h.path("big.json")}} {
		o := run(big, args...)
		if o.status != 1 || !strings.Contains(o.stderr, why) {
			h.t.Errorf("%v: status %d, %q does not say %q", args, o.status, o.stderr, why)
		}
	}
	if after := folder(h.t, dir); after != before {
		h.t.Errorf("the folder was\n%s\nand is\n%s", before, after)
	}
	if o := h.must("secrets", "list"); !strings.Contains(o.stdout, "API_TOKEN") {
		h.t.Errorf("the old file does not open: %s", o.stdout)
	}
}

// folder is what is in a folder, by name and content.
func folder(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	for _, e := range entries {
		data, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		fmt.Fprintf(&s, "%s %x\n", e.Name(), data)
	}
	return s.String()
}

// A limit on the size of files stands for a full disk where nobody may mount one.
func TestAFileSizeLimitKeepsTheOldFile(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := t.TempDir()
	h.moveSecretsTo(dir)
	h.keepsTheOldFile(dir, "file too large", func(stdin string, args ...string) outcome {
		c := h.command(args...)
		c.Args = append([]string{"sh", "-c", `trap '' XFSZ; ulimit -f 64; exec "$@"`, "sh", h.program}, args...)
		c.Path, _ = exec.LookPath("sh")
		return h.finish(c, stdin)
	})
}

func TestAReadOnlyFolderKeepsTheOldFile(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := h.path("store")
	h.moveSecretsTo(dir)
	asNobody(t, h)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	h.keepsTheOldFile(dir, "permission denied", func(stdin string, args ...string) outcome {
		c := h.command(args...)
		if os.Getuid() == 0 {
			c.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		}
		return h.finish(c, stdin)
	})
}

const nobody = 65534

// asNobody opens the home for a user without rights: root may write anywhere.
func asNobody(t *testing.T, h *home) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(h.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Chown(path, nobody, nobody)
		}
		return err
	})
	for dir := filepath.Dir(h.program); err == nil && dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// finish runs a command to its end.
func (h *home) finish(c *exec.Cmd, stdin string) outcome {
	h.t.Helper()
	var out, errOut bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := c.Run(); c.ProcessState == nil {
		h.t.Fatal(err)
	}
	return outcome{out.String(), errOut.String(), c.ProcessState.ExitCode()}
}

func TestTenCommandsSetAtOnceAndAllTenAreKept(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if o := h.runWith(fmt.Sprint("value-", i), nil, "secrets", "set", fmt.Sprint("N", i), "--stdin"); o.status != 0 {
				t.Errorf("%d: status %d: %s", i, o.status, o.stderr)
			}
		})
	}
	wg.Wait()
	list := h.must("secrets", "list").stdout
	for _, name := range []string{"N0", "N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8", "N9", "API_TOKEN"} {
		if !strings.Contains(list, name+" ") {
			t.Errorf("%s is lost:\n%s", name, list)
		}
	}
	h.noSecretOnDisk()
}
