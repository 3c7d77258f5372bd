package manifests

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func bundledFiles(t *testing.T) map[string][]byte {
	t.Helper()
	entries, err := bundled.ReadDir("catalog")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = bundled.ReadFile("catalog/" + e.Name()); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// What is found by a look at the text and parsed later is what parsing the
// whole file gives: a start relies on it.
func TestTheBundledCatalogueHasNoProblem(t *testing.T) {
	c, problems := Load(LoadOptions{Bundled: true})
	wantProblems(t, problems)
	count := 0
	for name, data := range bundledFiles(t) {
		found, problems := Parse("bundled:"+name, data)
		wantProblems(t, problems) // a note would be one too
		count += len(found)
		for _, m := range found {
			if got, ok := c.Get(m.ActionID); !ok || !reflect.DeepEqual(got, m) {
				t.Errorf("%s:%d: %s is found as %+v", m.File, m.Line, m.ActionID, got)
			}
			if m.Description == "" || m.Version == "" || len(m.DeclaredSideEffects) == 0 {
				t.Errorf("%s does not say what it is", m.ActionID)
			}
			if service := strings.TrimSuffix(name, ".yaml"); len(m.Tags) < 2 || m.Tags[0] != service {
				t.Errorf("%s has the tags %v: want the service %s first, and what it is about", m.ActionID, m.Tags, service)
			}
		}
	}
	if c.Len() != count || len(c.All()) != count {
		t.Errorf("%d actions, %d of them good, in files that have %d", c.Len(), len(c.All()), count)
	}
}

// sideEffects are the words of the bundled actions, with the least risk of each.
var sideEffects = map[string]RiskLevel{
	"http_read":   RiskLow,
	"http_write":  RiskMedium,
	"message":     RiskMedium, // a person gets it
	"deploy":      RiskMedium, // what runs changes
	"http_delete": RiskHigh,
	"publish":     RiskHigh, // can't be taken back
	"money":       RiskHigh,
}

var riskLevels = []RiskLevel{RiskLow, RiskMedium, RiskHigh, RiskCritical}

func TestBundledActionsAreAsRiskyAsWhatTheyDo(t *testing.T) {
	c, _ := Load(LoadOptions{Bundled: true})
	for _, m := range c.All() {
		for _, effect := range m.DeclaredSideEffects {
			least, ok := sideEffects[effect]
			if !ok {
				t.Errorf("%s has the side effect %s", m.ActionID, effect)
			}
			if slices.Index(riskLevels, m.RiskLevel) < slices.Index(riskLevels, least) {
				t.Errorf("%s has risk %s and the side effect %s", m.ActionID, m.RiskLevel, effect)
			}
		}
		deletes := len(m.Egress.AllowedMethods) == 1 && m.Egress.AllowedMethods[0] == "DELETE"
		if deletes && m.RiskLevel != RiskHigh && m.RiskLevel != RiskCritical {
			t.Errorf("%s deletes, at %s risk", m.ActionID, m.RiskLevel)
		}
		writes := slices.ContainsFunc(m.DeclaredSideEffects, func(e string) bool { return e != "http_read" })
		if get := m.Template != nil && m.Template.Method == "GET"; get && writes || m.RiskLevel == RiskLow && writes {
			t.Errorf("%s has the side effects %v at %s risk", m.ActionID, m.DeclaredSideEffects, m.RiskLevel)
		}
	}
}

// An action that a provider executes reaches what its one request needs.
func TestBundledActionsReachNoMoreThanTheyNeed(t *testing.T) {
	c, _ := Load(LoadOptions{Bundled: true})
	for _, m := range c.All() {
		if m.Egress.Profile != ProfileAllowlist {
			t.Errorf("%s has the egress profile %s", m.ActionID, m.Egress.Profile)
		}
		if m.Template == nil {
			continue
		}
		if !slices.Equal(m.Egress.AllowedMethods, []string{m.Template.Method}) || len(m.Egress.AllowedPaths) != 1 || m.Limits.MaxIOCalls != 1 {
			t.Errorf("%s may send %v to %v, %d times", m.ActionID, m.Egress.AllowedMethods, m.Egress.AllowedPaths, m.Limits.MaxIOCalls)
		}
		properties, _ := m.IO.RequestSchema["properties"].(map[string]any)
		for name, p := range properties {
			if d, _ := p.(map[string]any)["description"].(string); d == "" {
				t.Errorf("%s does not say what %s is", m.ActionID, name)
			}
		}
		if m.IO.RequestSchema["additionalProperties"] != false {
			t.Errorf("%s takes arguments that it does not know", m.ActionID)
		}
	}
}

// Where each bundled action sends its secret, as the services document it.
func TestBundledActionsAuthenticateAsTheServiceSays(t *testing.T) {
	c, _ := Load(LoadOptions{Bundled: true})
	for _, want := range []struct{ action, secret, host, path, how string }{
		{"github", "GITHUB_TOKEN", "api.github.com", "/graphql", "bearer"},
		{"github", "GITHUB_TOKEN", "uploads.github.com", "/repos/o/r/releases/1/assets", "bearer"},
		{"github", "GITHUB_TOKEN", "raw.githubusercontent.com", "/o/r/main/f", "bearer"},
		{"github", "GITHUB_TOKEN", "github.com", "/o/r.git/info/refs", "basic x-access-token"},
		{"github", "GITHUB_TOKEN", "github.com", "/o/r.git/git-upload-pack", "basic x-access-token"},
		{"github", "GITHUB_TOKEN", "github.com", "/o/r.git/git-receive-pack", "basic x-access-token"},
		{"github", "GITHUB_TOKEN", "github.com", "/o/r.git/info/lfs/objects/batch", "basic x-access-token"},
		{"github", "GITHUB_TOKEN", "github.com", "/login/oauth/access_token", ""},
		{"github", "GITHUB_TOKEN", "objects.githubusercontent.com", "/x", ""},
		{"github_create_issue", "GITHUB_TOKEN", "api.github.com", "/repos/o/r/issues", "bearer"},
		{"github_get_repo", "GITHUB_TOKEN", "api.github.com", "/repos/o/r", "bearer"},
		{"openai", "OPENAI_API_KEY", "api.openai.com", "/v1/responses", "bearer"},
		{"openai", "OPENAI_API_KEY", "eu.api.openai.com", "/v1/chat/completions", "bearer"},
		{"openai", "OPENAI_API_KEY", "api.openai.com", "/v1/organization/admin_api_keys", ""},
		{"openai", "OPENAI_API_KEY", "api.openai.com", "/v1/realtime/client_secrets", ""},
		{"anthropic", "ANTHROPIC_API_KEY", "api.anthropic.com", "/v1/messages", "header X-Api-Key {value}"},
		{"anthropic", "ANTHROPIC_API_KEY", "api.anthropic.com", "/v1/organizations/api_keys", ""},
	} {
		m, ok := c.Get(want.action)
		if !ok {
			t.Errorf("no action %s", want.action)
			continue
		}
		if got := placed(m, want.secret, want.host, want.path); got != want.how {
			t.Errorf("%s sends %s to %s%s as %q, want %q", want.action, want.secret, want.host, want.path, got, want.how)
		}
	}
}

func placed(m *Manifest, secret, host, path string) string {
	for _, s := range m.Secrets {
		for _, b := range s.Inject {
			hosts, paths, except := false, len(b.Paths) == 0, false
			for _, h := range b.Hosts {
				hosts = hosts || h.Match(host, 443)
			}
			for _, p := range b.Paths {
				paths = paths || p.Match(path)
			}
			for _, p := range b.ExceptPaths {
				except = except || p.Match(path)
			}
			if s.Name == secret && hosts && paths && !except {
				return strings.Join(strings.Fields(strings.Join([]string{string(b.As), b.Username, b.Header, b.Format}, " ")), " ")
			}
		}
	}
	return ""
}

func BenchmarkLoadBundled(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if c, _ := Load(LoadOptions{Bundled: true}); c.Len() == 0 {
			b.Fatal("nothing")
		}
	}
}

func BenchmarkParseAllBundled(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if c, _ := Load(LoadOptions{Bundled: true}); len(c.All()) == 0 {
			b.Fatal("nothing")
		}
	}
}
