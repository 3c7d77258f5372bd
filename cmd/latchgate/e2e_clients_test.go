package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

// client is a real program that makes one request, GET /NAME on the API, and
// tells on standard error what it sent.
type client struct {
	name    string
	program string
	command func(url string) []string
}

var clients = []client{
	{"curl", "curl", func(u string) []string { return []string{"curl", "-sS", "-v", "-D-", u} }},
	{"curl-http1", "curl", func(u string) []string { return []string{"curl", "-sS", "-v", "-D-", "--http1.1", u} }},
	{"wget", "wget", func(u string) []string { return []string{"wget", "-d", "-S", "-O-", u} }},
	{"urllib", "python3", func(u string) []string { return []string{"python3", "testdata/clients/urllib_get.py", u} }},
	{"requests", "python3", func(u string) []string { return []string{"python3", "testdata/clients/requests_get.py", u} }},
	{"node", "node", func(u string) []string { return []string{"node", "testdata/clients/node_get.js", u} }},
}

// modes are the two ways in which exec serves: by itself, and by the daemon.
var modes = []struct {
	name   string
	daemon bool
}{{"without a daemon", false}, {"with a daemon", true}}

// serving starts a daemon where the mode has one. The function that it returns
// checks that it was the daemon that served, or that there was none.
func (h *home) serving(daemon bool) func() {
	h.t.Helper()
	if !daemon {
		return func() {
			if _, err := os.Stat(h.path("gate.sock")); err == nil {
				h.t.Error("exec left a control socket behind")
			}
		}
	}
	d := h.start()
	return func() { d.wait("run opened") }
}

// ownCredential finds an Authorization that the client itself sent; the
// Proxy-Authorization of its CONNECT, and what the origin echoes, are others.
var ownCredential = regexp.MustCompile(`(?i)(^|[^-\w])authorization: `)

func TestRealClientsArriveAuthenticatedAndNeverSeeTheSecret(t *testing.T) {
	t.Parallel()
	need(t, "curl", "wget", "python3", "node")
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			served := h.serving(mode.daemon)
			for _, c := range clients {
				t.Run(c.name, func(t *testing.T) {
					h := h.in(t)
					if c.name == "requests" && exec.Command("python3", "-c", "import requests").Run() != nil {
						t.Skip("the Python module requests is not here; urllib stands for Python")
					}
					o := h.run(append([]string{"exec", "--action", "api", "--"}, absolute(t, c.command("https://"+apiHost+"/"+c.name))...)...)
					if o.status != 0 {
						t.Fatalf("status %d\n%s%s", o.status, o.stdout, o.stderr)
					}
					if !strings.Contains(o.stderr, "/"+c.name) {
						t.Fatalf("the client did not tell what it sent:\n%s", o.stderr)
					}
					if ownCredential.MatchString(o.stderr) {
						t.Errorf("the client sent a credential:\n%s", o.stderr)
					}
					h.authenticatedOnce(apiHost, "/"+c.name)
					if n := strings.Count(o.stdout, "***REDACTED***"); n < 2 {
						t.Errorf("the echoed secret came back as ***REDACTED*** %d times, in body and base64 at least it should:\n%s", n, o.stdout)
					}
					noSecret(t, "what the client printed", o.stdout+o.stderr)
				})
			}
			served()
			h.onlyChainCredentials()
			h.noSecretOnDisk()
		})
	}
}

func TestGitClonesAndPushesWithBasic(t *testing.T) {
	t.Parallel()
	need(t, "git")
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			repo := h.serveRepository()
			served := h.serving(mode.daemon)
			o := h.runWith(`set -e
git clone https://git.example.com/team/private.git work
cd work
test "$(cat hello.txt)" = hello
head -c 3000000 /dev/urandom > large.bin
git add large.bin
git commit -m "From the agent"
git push origin HEAD:main
`, []string{"GIT_TRACE_CURL=1", "GIT_TRACE_REDACT=0", "GIT_TRACE_CURL_NO_DATA=1"}, "exec", "--action", "git", "--", "sh")
			if o.status != 0 {
				t.Fatalf("status %d\n%s%s", o.status, o.stdout, o.stderr)
			}
			if got := h.git("-C", repo, "log", "-1", "--format=%s", "main"); got != "From the agent" {
				t.Errorf("the repository's last commit is %q", got)
			}
			if !strings.Contains(o.stderr, "/team/private.git/git-receive-pack") {
				t.Fatalf("git did not tell what it sent:\n%s", o.stderr)
			}
			if ownCredential.MatchString(o.stderr) {
				t.Error("git sent a credential of its own")
			}
			for _, path := range []string{"/team/private.git/info/refs", "/team/private.git/git-upload-pack", "/team/private.git/git-receive-pack"} {
				h.authenticated(gitHost, path)
			}
			noSecret(t, "what git printed", o.stdout+o.stderr)
			served()
			h.onlyChainCredentials()
			h.noSecretOnDisk()
		})
	}
}

// serveRepository makes a private bare repository with one commit, outside the
// home, and lets the origin serve it as /team/private.git.
func (h *home) serveRepository() string {
	h.t.Helper()
	root := h.t.TempDir()
	repo := filepath.Join(root, "team", "private.git")
	h.git("init", "-q", "--bare", "-b", "main", repo)
	seed := filepath.Join(root, "seed")
	h.git("init", "-q", "-b", "main", seed)
	if err := os.WriteFile(filepath.Join(seed, "hello.txt"), []byte("hello\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.git("-C", seed, "add", "hello.txt")
	h.git("-C", seed, "commit", "-q", "-m", "First")
	h.git("-C", seed, "push", "-q", repo, "main")
	backend := filepath.Join(h.git("--exec-path"), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		h.t.Fatalf("component missing: git http-backend: %v", err)
	}
	h.origin.serveGit(backend, root, []string{"HOME=" + root, "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1"})
	return repo
}

// gitIdentity keeps git away from the configuration of whoever runs the tests.
var gitIdentity = []string{"GIT_AUTHOR_NAME=Agent", "GIT_AUTHOR_EMAIL=agent@example.com", "GIT_COMMITTER_NAME=Agent",
	"GIT_COMMITTER_EMAIL=agent@example.com", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}

// git runs git on the origin's side, and makes sure that the agent's git has a
// name to commit under.
func (h *home) git(args ...string) string {
	h.t.Helper()
	for _, v := range gitIdentity {
		if !slices.Contains(h.environ, v) {
			h.environ = append(h.environ, v)
		}
	}
	c := exec.Command(testenv.Program(h.t, "git"), args...)
	c.Env = h.environ
	out, err := c.CombinedOutput()
	if err != nil {
		h.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// authenticated checks that requests arrived at the path, and that each had
// exactly one Authorization, the right one. The origin refuses any other; this
// is the record's word for it.
func (h *home) authenticated(host, path string) []arrival {
	h.t.Helper()
	got := h.origin.at(host, path)
	if len(got) == 0 {
		h.t.Fatalf("nothing arrived at %s%s", host, path)
	}
	for _, a := range got {
		if values := a.Header["Authorization"]; !slices.Equal(values, []string{h.origin.wants(host)}) {
			h.t.Errorf("%s %s%s arrived with %d Authorization fields, or a wrong one", a.Method, host, path, len(values))
		}
	}
	return got
}

// authenticatedOnce is authenticated for a single request.
func (h *home) authenticatedOnce(host, path string) http.Header {
	h.t.Helper()
	got := h.authenticated(host, path)
	if len(got) != 1 {
		h.t.Fatalf("%d requests arrived at %s%s", len(got), host, path)
	}
	return got[0].Header
}

// absolute makes the paths into testdata good for another working directory.
func absolute(t *testing.T, args []string) []string {
	t.Helper()
	for i, a := range args {
		if strings.HasPrefix(a, "testdata/") {
			full, err := filepath.Abs(a)
			if err != nil {
				t.Fatal(err)
			}
			args[i] = full
		}
	}
	return args
}
