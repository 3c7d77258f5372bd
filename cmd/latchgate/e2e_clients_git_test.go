package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

// ownCredential finds an Authorization that the client itself sent; the
// Proxy-Authorization of its CONNECT, and what the origin echoes, are others.
var ownCredential = regexp.MustCompile(`(?i)(^|[^-\w])authorization: `)

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

const gitPlaceholderManifest = `action_id: git
description: A git host, for agents that put the token into the URL or a header themselves.
egress: {profile: proxy_allowlist, allowed_domains: [git.example.com]}
secrets:
  - name: GIT_TOKEN
    required: true
    inject: [{as: placeholder, in: [header]}]
`

// The token in a URL's user part reaches the wire inside base64, and so does
// the one in the header that CI systems write.
func TestGitAuthenticatesWithThePlaceholderInsideBasic(t *testing.T) {
	t.Parallel()
	need(t, "git")
	for way, clone := range map[string]string{
		"in the URL":           `git clone "https://x-access-token:$GIT_TOKEN@git.example.com/team/private.git" work`,
		"in a header":          `git clone -c http.extraHeader="Authorization: Basic $(printf %s "x-access-token:$GIT_TOKEN" | base64 -w0)" https://git.example.com/team/private.git work`,
		"in a credential file": `printf 'https://x-access-token:%s@git.example.com\n' "$GIT_TOKEN" > "$HOME/.git-credentials"; git config --global credential.helper store; git clone https://git.example.com/team/private.git work`,
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/git.yaml", gitPlaceholderManifest)
			repo := h.serveRepository()
			o := h.runWith("set -e\n"+clone+`
cd work
test "$(cat hello.txt)" = hello
git commit --allow-empty -m "From the agent"
git push origin HEAD:main
`, nil, "exec", "--action", "git", "--", "sh")
			if o.status != 0 {
				t.Fatalf("status %d\n%s%s", o.status, o.stdout, o.stderr)
			}
			if got := h.git("-C", repo, "log", "-1", "--format=%s", "main"); got != "From the agent" {
				t.Errorf("the repository's last commit is %q", got)
			}
			authenticated := 0
			for _, a := range h.origin.at(gitHost, "") {
				switch values := a.Header["Authorization"]; {
				case len(values) == 0: // git asks without first, where the URL has credentials
				case slices.Equal(values, []string{h.origin.wants(gitHost)}):
					authenticated++
				default:
					t.Errorf("%s %s arrived with %d Authorization fields, or a wrong one", a.Method, a.Path, len(values))
				}
			}
			if authenticated < 4 { // the refs and a pack, each way
				t.Errorf("%d requests arrived authenticated", authenticated)
			}
			noSecret(t, "what git printed", o.stdout+o.stderr)
			h.noSecretOnDisk() // what git wrote down is the placeholder
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
