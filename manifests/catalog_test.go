package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/secrets"
)

// write makes a folder with the files and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func ids(c *Catalog) string {
	var ids []string
	for _, m := range c.All() {
		ids = append(ids, m.ActionID)
	}
	return strings.Join(ids, " ")
}

func TestAFileOfTheOperatorWinsOverABundledOne(t *testing.T) {
	dir := write(t, map[string]string{"mine.yml": "action_id: github\nrisk_level: critical\n"})
	c, problems := Load(LoadOptions{Dirs: []string{dir}, Bundled: true})
	wantProblems(t, problems)
	if m, _ := c.Get("github"); m.RiskLevel != RiskCritical || m.File != filepath.Join(dir, "mine.yml") {
		t.Errorf("github is %s:%d", m.File, m.Line)
	}
	if _, ok := c.Get("openai"); !ok {
		t.Error("openai is gone")
	}
}

func TestABundledActionDoesNotStandInForABrokenFile(t *testing.T) {
	for name, text := range map[string]string{
		"a wrong key": "action_id: github\negress: {allow: []}\n",
		"not YAML":    "action_id: \"github\"\negress: {allowed_domains: [api.github.com\n",
		"a tab":       "action_id: github\n\tegress: {}\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, problems := Load(LoadOptions{Dirs: []string{write(t, map[string]string{"mine.yaml": text})}, Bundled: true})
			if !HasErrors(problems) {
				t.Error("no error")
			}
			if m, ok := c.Get("github"); ok {
				t.Errorf("github is %s:%d", m.File, m.Line)
			}
			if _, ok := c.Get("openai"); !ok {
				t.Error("openai is gone")
			}
		})
	}
}

func TestTwoFilesWithOneIDAreAnError(t *testing.T) {
	one := write(t, map[string]string{"a.yaml": "action_id: x\nversion: a\n", "b.yaml": "action_id: x\nversion: b\n"})
	two := write(t, map[string]string{"c.yaml": "# x\naction_id: x\nversion: c\n"})
	c, problems := Load(LoadOptions{Dirs: []string{one, two}})
	first := filepath.Join(one, "a.yaml")
	wantProblems(t, problems,
		filepath.Join(one, "b.yaml")+`:1: action "x" is in `+first+`:1 already; remove one of them, or give it another action_id`,
		filepath.Join(two, "c.yaml")+`:2: action "x" is in `+first+`:1 already; remove one of them, or give it another action_id`)
	if m, ok := c.Get("x"); !ok || m.Version != "a" {
		t.Errorf("x is %+v", m)
	}
}

func TestABrokenFileDoesNotTakeTheOthersAlong(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": "action_id: [\n", "b.yaml": "action_id: b\n", "c.txt": "no", ".hidden.yaml": "no", "below/d.yaml": "no", "e.yaml/f": "",
	})
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	c, problems := Load(LoadOptions{Dirs: []string{dir, filepath.Join(dir, "missing")}})
	wantProblems(t, problems,
		filepath.Join(dir, "a.yaml")+":2: not YAML: did not find expected node content",
		filepath.Join(dir, "link.yaml")+": cannot read: no such file or directory",
		filepath.Join(dir, "missing")+": cannot read the folder: no such file or directory; create it, or remove it from manifests.dirs")
	if ids(c) != "b" {
		t.Errorf("catalogue is %s", ids(c))
	}
}

func TestAWrongIDGetsASuggestion(t *testing.T) {
	c, _ := Load(LoadOptions{Bundled: true})
	for id, want := range map[string]string{
		"gihub": "github", "github-create-issue": "github_create_issue", "OpenAI": "openai", "kubernetes": "", strings.Repeat("x", 1000): "",
	} {
		if got := c.Suggest(id); got != want {
			t.Errorf("for %s: %q, want %q", id, got, want)
		}
	}
	if _, ok := c.Get("nothing"); ok {
		t.Error("nothing is there")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	for _, m := range mistakes {
		f.Add([]byte("action_id: a\n" + m.text))
	}
	found, _ := bundled.ReadDir("catalog")
	for _, e := range found {
		data, err := bundled.ReadFile("catalog/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ms, problems := Parse("f.yaml", data)
		if len(ms) == 0 && !HasErrors(problems) {
			t.Error("nothing and no error")
		}
		for _, p := range problems {
			if p.Message == "" || strings.ContainsAny(p.Message, "\n") {
				t.Errorf("message %q", p.Message)
			}
		}
		for _, m := range ms {
			checkInvariants(t, m)
		}
	})
}

// checkInvariants states what the wire relies on.
func checkInvariants(t *testing.T, m *Manifest) {
	if !actionIDForm.MatchString(m.ActionID) || m.Line == 0 {
		t.Errorf("action %q at %d", m.ActionID, m.Line)
	}
	if m.Egress.Profile == ProfileNone && len(m.Egress.AllowedDomains) > 0 {
		t.Error("hosts without egress")
	}
	for _, s := range m.Secrets {
		if !secrets.ValidName(s.Name) || !envForm.MatchString(s.Env) || s.Placeholder == "" || s.Required && len(s.Inject) == 0 {
			t.Errorf("secret %+v", s)
		}
		for _, b := range s.Inject {
			if len(b.Hosts) == 0 || !covered(b.Hosts, m.Egress.AllowedDomains) {
				t.Errorf("%s goes to %v, allowed are %v", s.Name, b.Hosts, m.Egress.AllowedDomains)
			}
			if b.As == Header && (!isToken(b.Header) || strings.Count(b.Format, "{value}") != 1 || hasControl(b.Format)) {
				t.Errorf("binding %+v", b)
			}
		}
	}
}
