package configs

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

// Users of the test: numbers that need not have names.
const (
	daemonUser = 65532
	agentUser  = 65533
)

// server is a machine set up as docs/deployment.md says for systemd, below a
// folder of its own, with what the unit tells systemd to do done here.
type server struct {
	t       *testing.T
	root    string
	program string
}

func newServer(t *testing.T) *server {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can be several users")
	}
	root, err := os.MkdirTemp("", "lgserver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	s := &server{t, root, filepath.Join(root, "latchgate")}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	buildStatic(t, s.program)
	raw, err := os.ReadFile("systemd/latchgate.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []struct {
		name  string
		mode  fs.FileMode
		owner int
	}{{"etc/latchgate/actions", 0o755, 0}, {"run/latchgate", s.unitMode("RuntimeDirectoryMode=(.*)"), daemonUser},
		{"var/lib/latchgate", s.unitMode("StateDirectoryMode=(.*)"), daemonUser},
		{"var/lib/latchgate/ca", s.unitMode("ExecStartPre=install -d -m ([0-7]+) /var/lib/latchgate/ca"), daemonUser},
		{"credentials", 0o700, daemonUser}} {
		path := filepath.Join(root, dir.name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		s.give(path, dir.owner, dir.owner, dir.mode)
	}
	text := strings.NewReplacer("/etc/", root+"/etc/", "/var/", root+"/var/", "/run/", root+"/run/").Replace(string(raw)) +
		"\n[proxy]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n"
	if err := os.WriteFile(s.config(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) config() string { return filepath.Join(s.root, "etc/latchgate/latchgate.toml") }

// unitMode is a mode that the unit names.
func (s *server) unitMode(pattern string) fs.FileMode {
	s.t.Helper()
	unit, err := os.ReadFile("systemd/latchgate.service")
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + pattern + `$`).FindSubmatch(unit)
	if found == nil {
		s.t.Fatalf("the unit has no %s", pattern)
	}
	mode, err := strconv.ParseUint(string(found[1]), 8, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return fs.FileMode(mode)
}

func (s *server) give(path string, uid, gid int, mode fs.FileMode) {
	s.t.Helper()
	if err := os.Chown(path, uid, gid); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		s.t.Fatal(err)
	}
}

// as is a program as that user.
func (s *server) as(uid uint32, program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Dir, c.Env = "/", []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.root}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return c
}

func (s *server) must(c *exec.Cmd) string {
	s.t.Helper()
	var remarks bytes.Buffer
	c.Stderr = &remarks
	out, err := c.Output()
	if err != nil {
		s.t.Fatalf("%v: %v\n%s%s", c.Args, err, out, remarks.String())
	}
	return string(out)
}

// An agent of another user has its run and the certificates, and neither the
// keys nor the socket that opens runs.
func TestAgentOfAnotherUserHasTheRunAndNoKey(t *testing.T) {
	s := newServer(t)
	config := "--config=" + s.config()
	s.must(s.as(0, s.program, "secrets", "init", config))
	set := s.as(0, s.program, "secrets", "set", "GITHUB_TOKEN", "--stdin", config)
	set.Stdin = strings.NewReader("sentinel-of-the-other-user")
	s.must(set)
	file, key := filepath.Join(s.root, "etc/latchgate/secrets.enc.yaml"), filepath.Join(s.root, "etc/latchgate/key/age.key")
	s.give(file, 0, daemonUser, 0o640)
	raw, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	credential := filepath.Join(s.root, "credentials/age.key") // LoadCredential
	if err := os.WriteFile(credential, raw, 0o400); err != nil {
		t.Fatal(err)
	}
	s.give(credential, daemonUser, daemonUser, 0o400)

	d := s.as(daemonUser, s.program, "proxy", config)
	d.Env = append(d.Env, "LATCHGATE_SECRETS__SOPS_KEY_FILE="+credential)
	ready, stop := startDaemon(t, d)
	defer stop()

	var vars map[string]string
	if err := json.Unmarshal([]byte(s.must(s.as(daemonUser, s.program, "env", config, "--action", "github", "--format", "json"))), &vars); err != nil {
		t.Fatal(err)
	}
	// A CONNECT with the run's credentials is taken, one without is not; the
	// host is one that the action has not, so that nothing leaves the machine.
	curl := testenv.Program(t, "curl")
	for _, want := range []struct{ proxy, status string }{{vars["HTTPS_PROXY"], "403"}, {"http://" + ready.Proxy, "407"}} {
		c := s.as(agentUser, curl, "-s", "-o", "/dev/null", "-w", "%{http_connect}", "--proxy", want.proxy, "--cacert", vars["CURL_CA_BUNDLE"], "https://other.example.com/")
		if out, _ := c.Output(); string(out) != want.status {
			t.Errorf("CONNECT: %s, want %s", out, want.status)
		}
	}
	for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "WGETRC"} {
		if out, err := s.as(agentUser, "cat", vars[name]).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	ca := filepath.Dir(vars["SSL_CERT_FILE"])
	if _, err := tls.LoadX509KeyPair(filepath.Join(ca, "ca.pem"), filepath.Join(ca, "ca.key")); err != nil {
		t.Errorf("the authority's key is elsewhere: %v", err)
	}
	for _, path := range []string{key, credential, file, filepath.Join(ca, "ca.key"), filepath.Join(s.root, "var/lib/latchgate/audit.jsonl")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if err := s.as(agentUser, "cat", path).Run(); err == nil {
			t.Errorf("the agent reads %s", path)
		}
	}
	if out, err := s.as(agentUser, s.program, "env", config, "--action", "github").CombinedOutput(); err == nil {
		t.Errorf("the agent opens a run of its own:\n%s", out)
	}
	for _, command := range [][]string{{"runs", "list"}, {"env", "--action", "github"}, {"approvals", "list"}} {
		out, err := s.as(agentUser, s.program, append(command, config)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "permission denied") || !strings.Contains(string(out), "the user who runs the daemon") || strings.Contains(string(out), "no latchgate proxy") {
			t.Errorf("%v of another user: %v\n%s", command, err, out)
		}
	}
	// Its warnings are about this machine; nothing is wrong. Root is not asked about memory.
	look := s.as(daemonUser, s.program, "doctor", config)
	look.Env = d.Env
	if out, err := look.CombinedOutput(); strings.Contains(string(out), "\n  error ") || !strings.Contains(string(out), "other processes of this user can't read it") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	// What root edits, the daemon can still read.
	set = s.as(0, s.program, "secrets", "set", "GITHUB_TOKEN", "--stdin", config)
	set.Stdin = strings.NewReader("another-sentinel-of-the-other-user")
	s.must(set)
	if out, err := s.as(daemonUser, "cat", file).CombinedOutput(); err != nil {
		t.Errorf("after an edit: %s", out)
	}
}
