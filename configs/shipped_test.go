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
	"slices"
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
	for _, args := range [][]string{{"goreleaser", "../.goreleaser.yaml"}, {"actions", "github/agent.yml"}} {
		if out, err := exec.Command(check, args...).CombinedOutput(); err != nil {
			t.Errorf("deploycheck %v: %v\n%s", args, err, out)
		}
	}
	if out, err := exec.Command(testenv.Program(t, "ruby"), "-wc", "homebrew/latchgate.rb").CombinedOutput(); err != nil || string(out) != "Syntax OK\n" {
		t.Errorf("ruby -wc: %v\n%s", err, out)
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

// kubernetesVersion is the newest whose schemas the module has.
const kubernetesVersion = "1.30"

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

// validate holds an object against the schema of its kind.
func validate(t *testing.T, module string, object map[string]any) {
	t.Helper()
	kind, _ := object["kind"].(string)
	files := map[string][2]string{
		"v1":                   {"api/v1.json", "io.k8s.api.core.v1."},
		"apps/v1":              {"apis/apps/v1.json", "io.k8s.api.apps.v1."},
		"networking.k8s.io/v1": {"apis/networking.k8s.io/v1.json", "io.k8s.api.networking.v1."},
	}
	version, _ := object["apiVersion"].(string)
	where, ok := files[version]
	if !ok {
		if version != "monitoring.coreos.com/v1" { // the Prometheus operator's, which ships no schema here
			t.Errorf("%s %s: no schema", version, kind)
		}
		return
	}
	c := openSchema(t, filepath.Join(module, "pkg/openapiclient/builtins", kubernetesVersion, where[0]), true)
	s, err := c.Compile("schema.json#/components/schemas/" + where[1] + kind)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(object); err != nil {
		t.Errorf("%s: %v", kind, err)
	}
}

// podSpec is the pod of an object that has one.
func podSpec(object map[string]any) map[string]any {
	spec, _ := object["spec"].(map[string]any)
	switch object["kind"] {
	case "Pod":
		return spec
	case "Deployment":
		template, _ := spec["template"].(map[string]any)
		pod, _ := template["spec"].(map[string]any)
		return pod
	}
	return nil
}

func list(v any) []map[string]any {
	var all []map[string]any
	items, _ := v.([]any)
	for _, i := range items {
		if m, ok := i.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// lockedDown checks what a pod's containers may: latchgate little, and an agent
// no folder of latchgate's.
func lockedDown(t *testing.T, pod map[string]any) {
	t.Helper()
	if s, _ := pod["securityContext"].(map[string]any); s["runAsNonRoot"] != true {
		t.Error("the pod may run as root")
	}
	if pod["automountServiceAccountToken"] != false {
		t.Error("the pod has the cluster's credentials")
	}
	for _, c := range slices.Concat(list(pod["initContainers"]), list(pod["containers"])) {
		s, _ := c["securityContext"].(map[string]any)
		if s["allowPrivilegeEscalation"] != false {
			t.Errorf("%s may gain privileges", c["name"])
		}
		if c["name"] == "latchgate" {
			if s["readOnlyRootFilesystem"] != true {
				t.Error("latchgate's root can be written")
			}
			continue
		}
		for _, m := range list(c["volumeMounts"]) {
			path, _ := m["subPath"].(string)
			if m["name"] != "state" || !strings.HasPrefix(path, "ca/") || path == "ca/ca.key" || m["readOnly"] != true {
				t.Errorf("the agent mounts %v", m)
			}
		}
	}
}

func TestManifestsAreWhatKubernetesTakes(t *testing.T) {
	module := schemaModule(t, "sigs.k8s.io/kubectl-validate")
	for _, file := range []string{"kubernetes/sidecar.yaml", "kubernetes/shared.yaml"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pods := 0
		for _, o := range objects(t, raw) {
			validate(t, module, o)
			if pod := podSpec(o); pod != nil {
				pods++
				lockedDown(t, pod)
			}
		}
		if pods != 1 {
			t.Errorf("%s: %d pods", file, pods)
		}
	}
	t.Run("and not what it refuses", func(t *testing.T) {
		var wrong map[string]any
		raw := `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","imagePullpolicy":"Always"}]}}`
		if err := json.Unmarshal([]byte(raw), &wrong); err != nil {
			t.Fatal(err)
		}
		c := openSchema(t, filepath.Join(module, "pkg/openapiclient/builtins", kubernetesVersion, "api/v1.json"), true)
		if s, err := c.Compile("schema.json#/components/schemas/io.k8s.api.core.v1.Pod"); err != nil || s.Validate(wrong) == nil {
			t.Errorf("a misspelt field passes: %v", err)
		}
	})
}

func TestChartRendersToWhatKubernetesTakes(t *testing.T) {
	check := testenv.Program(t, "deploycheck")
	module := schemaModule(t, "sigs.k8s.io/kubectl-validate")
	for name, set := range map[string][]string{
		"as it is": nil,
		"with all": {"ageKey.secretName=", "serviceMonitor.enabled=true", `actions.a\.yaml=action_id: a`, "state.storageClassName=fast",
			"env[0].name=LATCHGATE_LOG__LEVEL", "env[0].value=debug", "podAnnotations.a=b", "nodeSelector.a=b", "serviceAccount.annotations.a=b",
			"tolerations[0].key=a", "image.tag=v1"},
		"bare": {"networkPolicy.enabled=false", "state.existingClaim=mine"},
	} {
		t.Run(name, func(t *testing.T) {
			c := exec.Command(check, append([]string{"chart", "helm/latchgate"}, set...)...)
			var remarks bytes.Buffer
			c.Stderr = &remarks
			out, err := c.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, remarks.String())
			}
			for _, o := range objects(t, out) {
				validate(t, module, o)
				if pod := podSpec(o); pod != nil {
					lockedDown(t, pod)
				}
			}
		})
	}
	if out, err := exec.Command(check, "chart", "helm/latchgate", "image.tagg=v1").CombinedOutput(); err == nil {
		t.Errorf("a misspelt value passes:\n%s", out)
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
			Networks any
			Volumes  []struct {
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
	if len(agent.Volumes) == 0 {
		t.Error("the agent has no certificates")
	}
	for _, v := range agent.Volumes {
		if file, ok := strings.CutPrefix(v.Source, "./state/ca/"); !ok || file == "" || file == "ca.key" || !v.ReadOnly || v.Target != "/var/lib/latchgate/ca/"+file {
			t.Errorf("the agent mounts %+v", v)
		}
	}
}
