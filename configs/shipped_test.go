package configs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/latchgate/latchgate/internal/testenv"
)

// The files that an operator copies are checked by what will read them.

func TestShippedConfigurationsLoad(t *testing.T) {
	for _, file := range []string{"container.toml", "systemd/latchgate.toml", "latchgate.example.toml"} {
		if _, err := Load(Options{File: file, Environ: []string{}}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The limit is what the unit has today.
func TestUnitIsValidAndHardened(t *testing.T) {
	analyze := testenv.Program(t, "systemd-analyze")
	raw, err := os.ReadFile("systemd/latchgate.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "latchgate.service")
	// It wants the program to be there; any will do.
	text := strings.ReplaceAll(string(raw), "/usr/local/bin/latchgate", analyze)
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	level := regexp.MustCompile(`Overall exposure level for latchgate.service: ([0-9.]+)`).FindSubmatch(out)
	if level == nil {
		t.Fatalf("no level in:\n%s", out)
	}
	if exposure, err := strconv.ParseFloat(string(level[1]), 64); err != nil || exposure > 1.1 {
		t.Errorf("exposure level %s:\n%s", level[1], out)
	}
}

func TestReleaseFilesAreWhatTheirProgramsRead(t *testing.T) {
	check := testenv.Program(t, "deploycheck")
	for _, args := range [][]string{{"goreleaser", "../.goreleaser.yaml"}, append([]string{"actions"}, workflows...)} {
		if out, err := exec.Command(check, args...).CombinedOutput(); err != nil {
			t.Errorf("deploycheck %v: %v\n%s", args, err, out)
		}
	}
	if out, err := exec.Command(testenv.Program(t, "ruby"), "-wc", "homebrew/latchgate.rb").CombinedOutput(); err != nil || string(out) != "Syntax OK\n" {
		t.Errorf("ruby -wc: %v\n%s", err, out)
	}
}

var workflows = []string{"github/agent.yml", "../.github/workflows/ci.yml", "../.github/workflows/release.yml"}

// A tag of an action can be moved by whoever owns it; what builds a release, or
// stands beside an age key, is a commit. goreleaser is the one that was checked.
func TestWorkflowsRunWhatWasLookedAt(t *testing.T) {
	pin := regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$`)
	for _, file := range workflows {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if _, action, ok := strings.Cut(strings.TrimSpace(line), "uses: "); ok && !pin.MatchString(action) {
				t.Errorf("%s: %s is not a commit with its version", file, action)
			}
		}
		if !strings.Contains(string(raw), "\npermissions:") {
			t.Errorf("%s has the permissions that the repository gives", file)
		}
	}
	release, err := os.ReadFile(workflows[2])
	if err != nil {
		t.Fatal(err)
	}
	tools, err := os.ReadFile("../tools/deploy/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`goreleaser/v2 (v\S+)`).FindSubmatch(tools)
	if version == nil || !bytes.Contains(release, append([]byte("version: "), version[1]...)) {
		t.Errorf("the release is not made by the goreleaser that its configuration is checked with: %s", version)
	}
}

// schemaModule is the folder of a module whose schemas are read; tools/deploy/schemas
// pins it and `make tools` downloads it.
func schemaModule(t *testing.T, module string) string {
	t.Helper()
	c := exec.Command(testenv.Program(t, "go"), "mod", "download", "-json", module)
	c.Dir, c.Env = "../tools/deploy/schemas", append(os.Environ(), "GOPROXY=off", "GOFLAGS=")
	out, err := c.Output()
	var found struct{ Dir string }
	if err != nil || json.Unmarshal(out, &found) != nil || found.Dir == "" {
		if os.Getenv("LATCHGATE_TEST_STRICT") == "1" {
			t.Fatalf("component missing: %s (run `make tools`)", module)
		}
		t.Skipf("component missing: %s (run `make tools`)", module)
	}
	return found.Dir
}

// openSchema reads a JSON document as a compiler's resource. With closed, an object
// that lists its properties takes no others, as the API server's strict validation has it.
func openSchema(t *testing.T, file string, closed bool) *jsonschema.Compiler {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	if closed {
		closeObjects(doc)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	return c
}

func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, lists := v["properties"].(map[string]any); lists && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, below := range v {
			closeObjects(below)
		}
	case []any:
		for _, below := range v {
			closeObjects(below)
		}
	}
}

// objects are the documents of a stream of YAML, as JSON has them.
func objects(t *testing.T, text []byte) []map[string]any {
	t.Helper()
	var all []map[string]any
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if doc = nil; json.Unmarshal(raw, &doc) == nil && doc != nil {
			all = append(all, doc)
		}
	}
}

func TestComposeFileLeavesTheAgentNothingButTheProxy(t *testing.T) {
	module := schemaModule(t, "github.com/compose-spec/compose-go/v2")
	raw, err := os.ReadFile("compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := objects(t, raw)[0]
	s, err := openSchema(t, filepath.Join(module, "schema/compose-spec.json"), false).Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(file); err != nil {
		t.Error(err)
	}
	var compose struct {
		Services map[string]struct {
			Networks    any
			Environment map[string]string
			MemLimit    string `yaml:"mem_limit"`
			PidsLimit   int    `yaml:"pids_limit"`
			Volumes     []struct {
				Source, Target string
				ReadOnly       bool `yaml:"read_only"`
			}
		}
		Networks map[string]struct{ Internal bool }
	}
	if err := yaml.Unmarshal(raw, &compose); err != nil {
		t.Fatal(err)
	}
	agent := compose.Services["agent"]
	if n, _ := agent.Networks.([]any); len(n) != 1 || n[0] != "agents" || !compose.Networks["agents"].Internal {
		t.Errorf("the agent's networks: %v", agent.Networks)
	}
	// The metrics are for another network.
	if at := compose.Services["latchgate"].Environment["LATCHGATE_METRICS__LISTEN"]; !strings.HasPrefix(at, "172.30.85.2:") {
		t.Errorf("the metrics are at %q", at)
	}
	for name, s := range compose.Services {
		if s.MemLimit == "" || s.PidsLimit == 0 {
			t.Errorf("%s has no limits", name)
		}
	}
	if len(agent.Volumes) == 0 {
		t.Error("the agent has no certificates")
	}
	for _, v := range agent.Volumes {
		if file, ok := strings.CutPrefix(v.Source, "./state/ca/"); !ok || file == "" || file == "ca.key" || !v.ReadOnly || v.Target != "/var/lib/latchgate/ca/"+file {
			t.Errorf("the agent mounts %+v", v)
		}
	}
}
