package configs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/latchgate/latchgate/internal/testenv"
)

// engine is Podman with a store of its own.
type engine struct {
	t    *testing.T
	args []string
}

func (e *engine) try(args ...string) (string, error) {
	e.t.Helper()
	out, err := exec.Command("podman", append(e.args, args...)...).CombinedOutput()
	return string(out), err
}

func (e *engine) must(args ...string) string {
	e.t.Helper()
	out, err := e.try(args...)
	if err != nil {
		e.t.Fatalf("podman %v: %v\n%s", args, err, out)
	}
	return out
}

// The Dockerfile's last stage, built by a real engine, runs as the compose file
// says. The build stage is replaced by what it would make, but for a static sops: no
// image can be pulled in a test.
func TestImageRunsInARealContainer(t *testing.T) {
	testenv.Engine(t)
	testenv.Program(t, "podman")
	testenv.Program(t, "runc")
	dir, err := os.MkdirTemp("", "lgpod") // Podman takes no long path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &engine{t, []string{"--root", dir + "/store", "--runroot", dir + "/run", "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"}}
	containerContext(t, dir+"/context")
	e.must("build", "--format", "docker", "--pull=never", "--isolation", "chroot", "-t", "latchgate", dir+"/context")

	home := dir + "/home"
	run := append([]string{"run", "-d", "--name", "latchgate", "--network", "none"}, composeFlags(t, home)...)
	var limit syscall.Rlimit // what the engine wants by default may be more than it may give
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	files := strconv.FormatUint(limit.Max, 10)
	t.Cleanup(func() { _, _ = e.try("rm", "--force", "--time", "0", "latchgate") })
	if out, err := e.try(append(run, "--ulimit", "nofile="+files+":"+files, "--ulimit", "nproc=1024:1024", "latchgate")...); err != nil {
		t.Logf("%v\n%s", err, out)
		testenv.Missing(t, "podman that can start a container")
	}
	e.must("exec", "latchgate", "latchgate", "actions", "list", "github") // it has started
	waitHealthy(e)
	if vars := e.must("exec", "latchgate", "latchgate", "env", "--action", "github", "--format", "docker"); !strings.Contains(vars, "HTTPS_PROXY=http://run-") {
		t.Errorf("env: %s", vars)
	}
	for name, want := range map[string]string{"{{.Config.User}}": "65532:65532", "{{.HostConfig.ReadonlyRootfs}}": "true", "{{.EffectiveCaps}}": "[]"} {
		if got := strings.TrimSpace(e.must("inspect", "--format", name, "latchgate")); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
	status, err := os.ReadFile("/proc/" + strings.TrimSpace(e.must("inspect", "--format", "{{.State.Pid}}", "latchgate")) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("not so: %s", want)
		}
	}
	if out, err := e.try("exec", "latchgate", "latchgate", "man", "/etc/latchgate/man"); err == nil {
		t.Errorf("the root can be written:\n%s", out)
	}
	if out, _ := e.try("exec", "latchgate", "latchgate", "doctor"); strings.Contains(out, "\n  error ") {
		t.Errorf("doctor:\n%s", out)
	}
	e.must("stop", "--time", "35", "latchgate")
	if code := strings.TrimSpace(e.must("inspect", "--format", "{{.State.ExitCode}}", "latchgate")); code != "0" {
		t.Errorf("it ended with %s:\n%s", code, e.must("logs", "latchgate"))
	}
}

// waitHealthy asks until the image's health check says yes; each question
// starts a process and waits for it.
func waitHealthy(e *engine) {
	e.t.Helper()
	out, err := "", error(nil)
	for range 60 {
		if out, err = e.try("healthcheck", "run", "latchgate"); err == nil {
			return
		}
	}
	e.t.Fatalf("not healthy: %v\n%s%s", err, out, e.must("logs", "latchgate"))
}

// containerContext makes the folder that the image is built in.
func containerContext(t *testing.T, dir string) {
	t.Helper()
	raw, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(raw), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the last stage is not from scratch")
	}
	for _, d := range []string{"out/etc/latchgate/actions", "out/var/lib/latchgate", "out/tmp", "certs", "configs"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir+"/out/var/lib/latchgate", 0o700); err != nil {
		t.Fatal(err)
	}
	buildStatic(t, dir+"/out/latchgate")
	for to, from := range map[string]string{"out/sops": testenv.Program(t, "sops"), "configs/container.toml": "container.toml",
		"certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt"} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := "FROM scratch AS build\nCOPY out /out\nCOPY certs /etc/ssl/certs\n\nFROM scratch\n" + last
	if err := os.WriteFile(dir+"/Dockerfile", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// composeFlags are the compose file's words on latchgate as Podman's flags, with the
// files that the page has an operator put beside it. Its networks are left out.
func composeFlags(t *testing.T, home string) []string {
	t.Helper()
	program := filepath.Join(filepath.Dir(home), "context/out/latchgate")
	for _, d := range []string{"actions", "secrets", "key", "state"} {
		if err := os.MkdirAll(filepath.Join(home, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init"}, {"set", "GITHUB_TOKEN", "--stdin"}} {
		c := exec.Command(program, append([]string{"secrets"}, args...)...)
		c.Dir, c.Env, c.Stdin = home, []string{"HOME=" + home}, strings.NewReader("sentinel-of-the-container")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("secrets %v: %v\n%s", args, err, out)
		}
	}
	for _, args := range [][]string{
		{"-m", "0644", "secrets.enc.yaml", "secrets/"}, {"-m", "0400", "-o", "65532", "-g", "65532", ".latchgate/sops-age.key", "key/age.key"},
		{"-d", "-m", "0700", "-o", "65532", "-g", "65532", "key", "state"},
	} {
		c := exec.Command("install", args...)
		c.Dir = home
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("install %v: %s", args, out)
		}
	}
	raw, err := os.ReadFile("compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			ReadOnly    bool     `yaml:"read_only"`
			CapDrop     []string `yaml:"cap_drop"`
			SecurityOpt []string `yaml:"security_opt"`
			Tmpfs       []string
			MemLimit    string `yaml:"mem_limit"`
			PidsLimit   string `yaml:"pids_limit"`
			Volumes     []struct {
				Source, Target string
				ReadOnly       bool `yaml:"read_only"`
			}
		}
	}
	if err := yaml.Unmarshal(raw, &compose); err != nil {
		t.Fatal(err)
	}
	s := compose.Services["latchgate"]
	flags := []string{"--read-only=" + strconv.FormatBool(s.ReadOnly), "--read-only-tmpfs=false", "--memory", s.MemLimit, "--pids-limit", s.PidsLimit}
	for _, c := range s.CapDrop {
		flags = append(flags, "--cap-drop", c)
	}
	for _, o := range s.SecurityOpt {
		flags = append(flags, "--security-opt", strings.Replace(o, ":true", "", 1))
	}
	for _, m := range s.Tmpfs {
		flags = append(flags, "--tmpfs", m)
	}
	for _, v := range s.Volumes {
		mount := filepath.Join(home, v.Source) + ":" + v.Target
		if v.ReadOnly {
			mount += ":ro"
		}
		flags = append(flags, "--volume", mount)
	}
	return flags
}
