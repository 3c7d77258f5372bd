package manifests

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// full is the example of the contract, with every key.
const full = `
action_id: github_create_issue
version: "1.0.0"
description: Create an issue in a GitHub repository.
tags: [coding]
risk_level: high
provider_module_digest: builtin:http_api
required_imports: [latchgate:io/http, latchgate:io/log]
template:
  method: post
  url_template: "https://api.github.com/repos/{{owner}}/{{repo}}/issues"
  headers: {accept: application/vnd.github+json, X-GitHub-Api-Version: 2022-11-28}
  body_template: {title: "{{title}}", labels: [a, 1, 1.5, true, null]}
io:
  request_schema: {type: object, required: [owner, repo, title], properties: {owner: {type: string, maxLength: 39}}}
  response_schema: {}
  max_request_bytes: 1000
  max_response_bytes: 2000
egress:
  profile: proxy_allowlist
  allowed_domains: [API.github.com., github.com, "*.example.com:8443"]
  allowed_methods: [post, GET]
  allowed_paths: ["/repos/*/*/issues"]
secrets:
  - name: GITHUB_TOKEN
    required: true
    env: GH_TOKEN
    placeholder: "ghp_{random:36}"
    inject:
      - as: bearer
        hosts: [api.github.com]
      - as: basic
        username: x-access-token
        hosts: [github.com:443]
        methods: [get]
        paths: [/*/*/info/refs]
        except_paths: [/x/**]
      - {as: header, header: x-api-key}
      - {as: query, param: key}
      - {as: path, format: "/bot{value}"}
      - {as: placeholder, in: [header, query, body]}
  - name: other.key
    env: OTHER
resource_limits: {timeout_seconds: 5, memory_mb: 32, max_io_calls: 0, max_host_response_bytes: 99, fuel: 1000000}
declared_side_effects: [http_write]
policy_args: true
`

func one(t *testing.T, text string) *Manifest {
	t.Helper()
	ms, problems := Parse("a.yaml", []byte(text))
	if HasErrors(problems) || len(ms) != 1 {
		t.Fatalf("%d manifests, problems: %v", len(ms), problems)
	}
	return ms[0]
}

func host(t *testing.T, s string) HostPattern {
	t.Helper()
	p, err := ParseHostPattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func path(t *testing.T, s string) PathPattern {
	t.Helper()
	p, err := ParsePathPattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryKeyIsRead(t *testing.T) {
	api, git, wild := host(t, "api.github.com"), host(t, "github.com"), host(t, "*.example.com:8443")
	all := []HostPattern{api, git, wild}
	want := &Manifest{
		ActionID: "github_create_issue", Version: "1.0.0", Description: "Create an issue in a GitHub repository.",
		Tags: []string{"coding"}, RiskLevel: RiskHigh, ProviderModuleDigest: BuiltinHTTPAPI,
		RequiredImports: []string{"latchgate:io/http", "latchgate:io/log"},
		Template: &Template{
			Method: "POST", URLTemplate: "https://api.github.com/repos/{{owner}}/{{repo}}/issues",
			Headers:      map[string]string{"Accept": "application/vnd.github+json", "X-Github-Api-Version": "2022-11-28"},
			BodyTemplate: map[string]any{"title": "{{title}}", "labels": []any{"a", int64(1), 1.5, true, nil}},
		},
		IO: IO{
			RequestSchema: map[string]any{
				"type": "object", "required": []any{"owner", "repo", "title"},
				"properties": map[string]any{"owner": map[string]any{"type": "string", "maxLength": int64(39)}},
			},
			ResponseSchema: map[string]any{}, MaxRequestBytes: 1000, MaxResponseBytes: 2000,
		},
		Egress: Egress{
			Profile: ProfileAllowlist, AllowedDomains: all, AllowedMethods: []string{"POST", "GET"},
			AllowedPaths: []PathPattern{path(t, "/repos/*/*/issues")},
		},
		Secrets: []Secret{
			{
				Name: "GITHUB_TOKEN", Required: true, Env: "GH_TOKEN", Placeholder: "ghp_{random:36}",
				Inject: []Binding{
					{As: Bearer, Hosts: []HostPattern{api}, Line: 30},
					{
						As: Basic, Username: "x-access-token", Hosts: []HostPattern{host(t, "github.com:443")}, Methods: []string{"GET"},
						Paths: []PathPattern{path(t, "/*/*/info/refs")}, ExceptPaths: []PathPattern{path(t, "/x/**")}, Line: 32,
					},
					{As: Header, Header: "X-Api-Key", Format: "{value}", Hosts: all, Line: 38},
					{As: Query, Param: "key", Hosts: all, Line: 39},
					{As: Path, Format: "/bot{value}", Hosts: all, Line: 40},
					{As: Placeholder, In: []string{InHeader, InQuery, InBody}, Hosts: all, Line: 41},
				},
			},
			{Name: "other.key", Env: "OTHER", Placeholder: DefaultPlaceholder, Inject: []Binding{{As: Bearer, Hosts: all, Line: 42}}},
		},
		Limits:              Limits{Timeout: 5 * time.Second, MemoryMB: 32, MaxIOCalls: 0, MaxHostResponseBytes: 99, Fuel: 1000000},
		DeclaredSideEffects: []string{"http_write"}, PolicyArgs: true, File: "a.yaml", Line: 2,
	}
	if got := one(t, full); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	want := &Manifest{
		ActionID: "a", RiskLevel: RiskMedium, File: "a.yaml", Line: 1, Egress: Egress{Profile: ProfileNone},
		IO:     IO{MaxRequestBytes: 65536, MaxResponseBytes: 1048576},
		Limits: Limits{Timeout: 30 * time.Second, MemoryMB: 64, MaxIOCalls: 10, MaxHostResponseBytes: 10485760},
	}
	if got := one(t, "action_id: a\nversion:\nsecrets: []\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestProviderSourceIsRelativeToTheManifest(t *testing.T) {
	text := "action_id: a\nprovider_module_digest: SHA256:" + strings.Repeat("aB", 32) + "\nprovider_source: wasm/x.wasm\n"
	ms, problems := Parse("/etc/latchgate/actions/a.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := ms[0].ProviderSource; got != "/etc/latchgate/actions/wasm/x.wasm" {
		t.Errorf("source is %s", got)
	}
	if got := ms[0].ProviderModuleDigest; got != "sha256:"+strings.Repeat("ab", 32) {
		t.Errorf("digest is %s", got)
	}
	if got := one(t, text).ProviderSource; !filepath.IsAbs(got) {
		t.Errorf("a relative file gives a relative source %s", got)
	}
}

func TestOneFileHoldsSeveralActions(t *testing.T) {
	ms, problems := Parse("a.yaml", []byte("# nothing yet\n---\naction_id: one\n---\naction_id: 2\n---\naction_id: three\n---\naction_id: one\n---\n"))
	var ids []string
	for _, m := range ms {
		ids = append(ids, m.ActionID)
	}
	if strings.Join(ids, " ") != "one three" {
		t.Errorf("actions are %v", ids)
	}
	wantProblems(t, problems,
		`a.yaml:5: action_id: want text, got a number; put it in quotes: "2"`,
		`a.yaml:9: action "one" is on line 3 already; give one of them another action_id`)
	if problems[1].ActionID != "one" {
		t.Errorf("the problem is of action %q", problems[1].ActionID)
	}
}

func TestWhatStandsBeforeASyntaxErrorIsKept(t *testing.T) {
	ms, problems := Parse("a.yaml", []byte("action_id: one\n---\naction_id: [two\n"))
	if len(ms) != 1 {
		t.Errorf("%d manifests", len(ms))
	}
	wantProblems(t, problems, `a.yaml:3: not YAML: did not find expected ',' or ']'`)
}

func TestAFileWithoutAnActionIsAnError(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "---\n---\n"} {
		_, problems := Parse("a.yaml", []byte(text))
		wantProblems(t, problems, "a.yaml: no action in this file; begin with action_id")
	}
}

func TestAHugeFileIsNotRead(t *testing.T) {
	_, problems := Parse("a.yaml", make([]byte, MaxFileBytes+1))
	wantProblems(t, problems, "a.yaml: larger than 1048576 bytes")
}

func wantProblems(t *testing.T, got []Problem, want ...string) {
	t.Helper()
	var lines []string
	for _, p := range got {
		lines = append(lines, p.String())
	}
	if g, w := strings.Join(lines, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("problems are\n%s\nwant\n%s", g, w)
	}
}
