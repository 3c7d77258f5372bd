//go:build unix

package manifests

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A pipe blocks whoever reads it; a link to a file, as Kubernetes makes them, is a file.
func TestAPipeAmongTheManifestsIsAnError(t *testing.T) {
	dir := write(t, map[string]string{"a.yaml": "action_id: a\negress: {profile: proxy_allowlist, allowed_domains: [a.example.com]}\n"})
	if err := unix.Mkfifo(filepath.Join(dir, "b.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := Load(LoadOptions{Dirs: []string{dir}})
	if len(problems) != 1 || !strings.HasSuffix(problems[0].File, "b.yaml") || !strings.Contains(problems[0].Message, "not a file") || ids(c) != "a" {
		t.Errorf("%v, actions %s", problems, ids(c))
	}
	other := t.TempDir()
	if err := unix.Symlink(filepath.Join(dir, "a.yaml"), filepath.Join(other, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	if c, problems := Load(LoadOptions{Dirs: []string{other}}); len(problems) != 0 || ids(c) != "a" {
		t.Errorf("%v, actions %s", problems, ids(c))
	}
}
