package configs

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
)

// image is the file system that the Dockerfile's last stage describes, and what
// it says about the process in it.
type image struct {
	root          string
	env           []string
	dir           string
	entry, health []string
	uid, gid      uint32
}

// shippedImage builds the image without a container engine: the files that the
// build stage makes are made here the same way, and COPY puts them where it says.
// sops is left out; it has a build of its own.
func shippedImage(t *testing.T) *image {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can change the root")
	}
	raw, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	built := t.TempDir() // the build stage's /out
	buildStatic(t, filepath.Join(built, "latchgate"))
	for _, dir := range []struct {
		name  string
		mode  fs.FileMode
		owner int
	}{{"etc/latchgate/actions", 0o755, 0}, {"var/lib/latchgate", 0o700, 65532}, {"tmp", 0o777 | fs.ModeSticky, 0}} {
		path := filepath.Join(built, dir.name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, dir.owner, dir.owner); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, dir.mode); err != nil {
			t.Fatal(err)
		}
	}
	// A folder of its own, which the image's user can reach.
	root, err := os.MkdirTemp("", "lgimage")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	i := &image{root: root}
	text := strings.ReplaceAll(string(raw), "\\\n", " ")
	_, last, ok := strings.Cut(text, "\nFROM scratch\n")
	if !ok {
		t.Fatal("the last stage is not from scratch")
	}
	for line := range strings.Lines(last) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "COPY":
			i.copy(t, built, strings.Fields(rest))
		case "USER":
			if rest != "65532:65532" {
				t.Errorf("USER %s", rest)
			}
			i.uid, i.gid = 65532, 65532
		case "ENV":
			i.env = append(i.env, strings.Fields(rest)...)
		case "WORKDIR":
			i.dir = rest
		case "ENTRYPOINT", "CMD":
			i.entry = append(i.entry, words(t, rest)...)
		case "HEALTHCHECK":
			i.health = words(t, rest[strings.Index(rest, "CMD ")+len("CMD "):])
		}
	}
	return i
}

// buildStatic makes the program with the Dockerfile's and the Makefile's flags.
func buildStatic(t *testing.T, path string) {
	t.Helper()
	build := exec.Command(testenv.Program(t, "go"), "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../cmd/latchgate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}

// readiness is what a daemon says when it can serve.
type readiness struct{ Msg, Proxy, Metrics, Config string }

// startDaemon starts it and waits until it is ready. stop ends it as an init
// system does, and fails the test if it minds.
func startDaemon(t *testing.T, d *exec.Cmd) (ready readiness, stop func()) {
	t.Helper()
	log, err := d.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(log); ready.Msg != "ready" && lines.Scan(); {
		said += lines.Text() + "\n"
		_ = json.Unmarshal(lines.Bytes(), &ready)
	}
	if ready.Msg != "ready" {
		_ = d.Wait()
		t.Fatalf("the daemon ended:\n%s", said)
	}
	rest := make(chan struct{})
	go func() { defer close(rest); _, _ = io.Copy(io.Discard, log) }()
	return ready, func() {
		t.Helper()
		if err := d.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-rest
		if err := d.Wait(); err != nil {
			t.Errorf("at its end: %v", err)
		}
	}
}

func words(t *testing.T, list string) []string {
	t.Helper()
	var w []string
	if err := json.Unmarshal([]byte(list), &w); err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	return w
}

// copy is COPY: from /out of the build stage, from its Debian, or from the
// context.
func (i *image) copy(t *testing.T, built string, args []string) {
	t.Helper()
	args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, "--") })
	to := filepath.Join(i.root, args[len(args)-1])
	for _, from := range args[:len(args)-1] {
		switch {
		case from == "/out/sops":
			continue
		case strings.HasPrefix(from, "/out/"):
			from = filepath.Join(built, strings.TrimPrefix(from, "/out"))
		case !strings.HasPrefix(from, "/"):
			from = filepath.Join("..", from)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(args[len(args)-1], "/") {
			if err := os.MkdirAll(to, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if info, err := os.Stat(to); err == nil && info.IsDir() {
			from += "/." // COPY of a folder is of what is in it
		}
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
}

// command is a process in the image, as its user.
func (i *image) command(t *testing.T, args []string, env ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, "/usr/local/bin/"+args[0], args[1:]...)
	c.Dir, c.Env = i.dir, append(slices.Clone(i.env), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: i.uid, Gid: i.gid}}
	return c
}

func TestImageServesAsNobodyWithNothingBesideIt(t *testing.T) {
	i := shippedImage(t)
	before := i.writable(t)
	if !slices.Equal(before, []string{"/tmp", "/var/lib/latchgate"}) {
		t.Errorf("what the image's user may write: %v", before)
	}
	// The ports are the test's own; all else is as it ships.
	d := i.command(t, i.entry, "LATCHGATE_PROXY__LISTEN=127.0.0.1:0", "LATCHGATE_METRICS__LISTEN=127.0.0.1:0")
	ready, stop := startDaemon(t, d)
	if ready.Config != "/etc/latchgate/latchgate.toml" {
		t.Errorf("%+v", ready)
	}
	at := "LATCHGATE_METRICS__LISTEN=" + ready.Metrics
	if out, err := i.command(t, i.health, at).CombinedOutput(); err != nil {
		t.Errorf("the health check of one that runs: %v\n%s", err, out)
	}
	if out, err := i.command(t, []string{"latchgate", "runs", "list"}).CombinedOutput(); err != nil {
		t.Errorf("through the control socket: %v\n%s", err, out)
	}
	if out, err := i.command(t, []string{"latchgate", "ca", "bundle"}).Output(); err != nil || strings.Count(string(out), "BEGIN CERTIFICATE") < 50 {
		t.Errorf("the system's roots are not in the image: %v", err)
	}
	stop()
	if out, err := i.command(t, i.health, at).CombinedOutput(); err == nil {
		t.Errorf("the health check of one that has ended:\n%s", out)
	}
	for _, path := range i.writable(t) {
		if path != "/tmp" && !strings.HasPrefix(path, "/var/lib/latchgate") {
			t.Errorf("it wrote %s", path)
		}
	}
	for name, mode := range map[string]fs.FileMode{"ca/ca.key": 0o600, "audit.jsonl": 0o600} {
		if info, err := os.Stat(filepath.Join(i.root, "var/lib/latchgate", name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

// writable is what the image's user may write.
func (i *image) writable(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(i.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type() == fs.ModeSymlink {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid == i.uid || st.Gid == i.gid || info.Mode().Perm()&0o002 != 0 {
			found = append(found, strings.TrimPrefix(path, i.root))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}
