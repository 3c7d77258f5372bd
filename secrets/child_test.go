package secrets

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
)

// fakeSops puts a shell script in the place of sops on PATH. It can write to the
// file $OUT of the house.
func (h *house) fakeSops(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	script = "#!/bin/sh\nOUT=" + h.path("out") + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "sops"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func (h *house) fakeRun(t *testing.T, timeout time.Duration) (map[string]string, error) {
	t.Helper()
	h.write("s.yaml", "x\n")
	old := time.Now().Add(-time.Hour)
	_ = os.Chtimes(h.path("s.yaml"), old, old)
	s := h.openWith(Options{File: h.path("s.yaml"), KeyFile: h.key, Backend: BackendSops, DecryptTimeout: timeout})
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	e, err := s.loadOnce(ctx)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for name, v := range e.values {
		values[name] = string(v.bytes())
	}
	return values, nil
}

func TestSopsThatMisbehavesIsContained(t *testing.T) {
	for _, test := range []struct {
		name, script string
		code         Code
		detail       string
	}{
		{"hangs", "exec sleep 100", DecryptFailed, "deadline exceeded"},
		{"ignores TERM and hangs", "trap '' TERM INT\nwhile :; do sleep 1; done", DecryptFailed, "deadline exceeded"},
		{"floods", "yes 0123456789abcdef", DecryptFailed, "too large"},
		{"floods stderr", "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1", DecryptFailed, "xxx"},
		{"half a document", `printf '{"A": "one", "B": "tw'`, SecretsUnparsable, "not closed"},
		{"rubbish", "echo hello", SecretsUnparsable, "not a JSON object"},
		{"a list", "echo '[1]'", SecretsUnparsable, "not a JSON object"},
		{"a name twice", `echo '{"A":"one","A":"two"}'`, SecretsUnparsable, "twice"},
		{"nothing", "true", SecretsUnparsable, "not a JSON object"},
		{"fails", "echo no key for you >&2; exit 128", DecryptFailed, "no key for you"},
		{"is killed", "kill -9 $$", DecryptFailed, "killed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.fakeSops(t, test.script)
			start := time.Now()
			_, err := h.fakeRun(t, 2*time.Second)
			if codeOf(err) != test.code || !strings.Contains(detailOf(err), test.detail) {
				t.Errorf("%v: %q", err, detailOf(err))
			}
			if len(detailOf(err)) > 500 || strings.Contains(err.Error(), detailOf(err)) {
				t.Errorf("%d bytes of detail, %q", len(detailOf(err)), err)
			}
			if d := time.Since(start); d > 6*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestGrandchildrenOfSopsAreKilled(t *testing.T) {
	for name, script := range map[string]string{
		"holds the pipe":      `sleep 100 & echo $! > $OUT; echo '{"A":"one"}'`,
		"closed the pipe":     `sleep 100 >/dev/null 2>&1 & echo $! > $OUT; echo '{"A":"one"}'`,
		"outlives a deadline": `sleep 100 & echo $! > $OUT; wait`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.fakeSops(t, script)
			_, _ = h.fakeRun(t, 2*time.Second)
			pid, err := strconv.Atoi(strings.TrimSpace(h.read("out")))
			if err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(5 * time.Second); running(pid); {
				if time.Now().After(deadline) {
					t.Fatalf("process %d is still there", pid)
				}
				<-time.After(5 * time.Millisecond)
			}
		})
	}
}

// TestProcessThatLeftTheGroupDoesNotHoldUsUp has sops start a daemon that keeps
// its pipes: what it printed is not waited for longer than the grace.
func TestProcessThatLeftTheGroupDoesNotHoldUsUp(t *testing.T) {
	testenv.Program(t, "setsid")
	h := newHouse(t)
	h.fakeSops(t, `setsid sleep 20 & echo $! > $OUT; echo '{"A":"one"}'`)
	start := time.Now()
	_, err := h.fakeRun(t, 2*time.Second)
	if d := time.Since(start); d > 10*time.Second || codeOf(err) != DecryptFailed {
		t.Errorf("%v after %v", err, d)
	}
}

// running reports whether a process is there and no zombie.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestSopsIsStoppedWhenEverybodyHasGivenUp(t *testing.T) {
	h := newHouse(t)
	h.fakeSops(t, "echo $$ > $OUT; exec sleep 100")
	h.encrypted0()
	var log bytes.Buffer
	s := h.openWith(Options{File: h.path("s.yaml"), KeyFile: h.key, Backend: BackendSops, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	for range 3 {
		go func() {
			_, err := s.View([]Want{{"A", true}}).Acquire(ctx)
			done <- err
		}()
	}
	var pid int
	for deadline := time.Now().Add(5 * time.Second); pid == 0 && time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		data, _ := os.ReadFile(h.path("out"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
	}
	cancel()
	for range 3 {
		if err := <-done; err != context.Canceled {
			t.Errorf("got %v", err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); pid == 0 || running(pid); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("sops (process %d) is still running", pid)
		}
	}
	_ = s.Close()
	if log.Len() > 0 {
		t.Errorf("what nobody waited for is reported: %s", log.String())
	}
}

// encrypted0 writes a file that is not encrypted; a fake sops does not mind.
func (h *house) encrypted0() { h.write("s.yaml", "x\n") }

func TestSopsGetsLittleOfOurEnvironmentAndNoShell(t *testing.T) {
	h := newHouse(t)
	h.fakeSops(t, `env > $OUT; for a in "$@"; do echo "arg $a" >> $OUT; done; echo '{}'`)
	for _, name := range []string{
		"AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_TENANT_ID", "VAULT_TOKEN", "GNUPGHOME", "SOPS_GPG_EXEC",
		"HTTPS_PROXY", "no_proxy", "XDG_CONFIG_HOME", "CLOUDSDK_CONFIG",
		"GITHUB_TOKEN", "LD_PRELOAD_X", "SECRET", "SOPS_AGE_KEY", "SOPS_AGE_KEY_CMD", "LATCHGATE_X", "AWSOME",
	} {
		t.Setenv(name, "value-of-"+name)
	}
	if _, err := h.fakeRun(t, 5*time.Second); err != nil {
		t.Fatal(err, detailOf(err))
	}
	out := h.read("out")
	for _, name := range []string{"GITHUB_TOKEN", "LD_PRELOAD_X", "SECRET", "SOPS_AGE_KEY", "SOPS_AGE_KEY_CMD", "LATCHGATE_X", "AWSOME"} {
		if strings.Contains(out, "value-of-"+name+"\n") {
			t.Errorf("%s was passed", name)
		}
	}
	for _, name := range []string{"AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_TENANT_ID", "VAULT_TOKEN", "GNUPGHOME", "SOPS_GPG_EXEC", "HTTPS_PROXY", "no_proxy", "XDG_CONFIG_HOME", "CLOUDSDK_CONFIG"} {
		if !strings.Contains(out, name+"=value-of-"+name+"\n") {
			t.Errorf("%s was not passed", name)
		}
	}
	if !strings.Contains(out, "SOPS_AGE_KEY_FILE="+h.key+"\n") {
		t.Error("SOPS_AGE_KEY_FILE is not set")
	}
	var args []string
	for line := range strings.Lines(out) {
		if a, ok := strings.CutPrefix(line, "arg "); ok {
			args = append(args, strings.TrimSpace(a))
		}
	}
	if !slices.Equal(args, []string{"--decrypt", "--input-type", "yaml", "--output-type", "json", h.path("s.yaml")}) {
		t.Errorf("arguments: %q", args)
	}
}

func TestOutputOverwritesWhatItOutgrows(t *testing.T) {
	o := output{limit: 100 << 10}
	var views [][]byte
	for range 10 {
		_, _ = o.Write(bytes.Repeat([]byte("secret"), 1000))
		views = append(views, o.buf)
	}
	n, err := o.ReadFrom(bytes.NewReader(bytes.Repeat([]byte("secret"), 10000)))
	if err != nil || n != 60000 || len(o.buf) != 100<<10 {
		t.Errorf("%d, %v, %d", n, err, len(o.buf))
	}
	for i, v := range views[:len(views)-1] {
		if &v[0] != &o.buf[0] && bytes.Contains(v, []byte("secret")) {
			t.Errorf("buffer %d still holds what was printed", i)
		}
	}
}

func TestSopsVersion(t *testing.T) {
	h := newHouse(t)
	h.fakeSops(t, `echo "sops 3.8.1"; echo "[warning] this is old" >&2`)
	path, version, err := SopsVersion(context.Background())
	if err != nil || version != "3.8.1" || filepath.Base(path) != "sops" {
		t.Errorf("%q %q %v", path, version, err)
	}
	err = h.open("s.yaml", "").Edit(context.Background(), set("A", "x"))
	if codeOf(err) != SecretsFileNotFound {
		t.Errorf("got %v", err)
	}
	if err := sopsCanSet(context.Background()); err == nil || !strings.Contains(err.Error(), "3.11") {
		t.Errorf("got %v", err)
	}
}
