package configs

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

// kubernetesVersion is the newest whose schemas the module has.
const kubernetesVersion = "1.30"

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
	if pod["enableServiceLinks"] != false {
		t.Error("the pod has variables of services, which may begin with LATCHGATE_")
	}
	if s, _ := pod["securityContext"].(map[string]any); s["seccompProfile"] == nil {
		t.Error("the pod may call all of the kernel")
	}
	for _, c := range slices.Concat(list(pod["initContainers"]), list(pod["containers"])) {
		s, _ := c["securityContext"].(map[string]any)
		if s["allowPrivilegeEscalation"] != false {
			t.Errorf("%s may gain privileges", c["name"])
		}
		if drops, _ := s["capabilities"].(map[string]any); !slices.Equal(texts(drops["drop"]), []string{"ALL"}) {
			t.Errorf("%s has capabilities", c["name"])
		}
		if r, _ := c["resources"].(map[string]any); r["limits"] == nil {
			t.Errorf("%s has no limits", c["name"])
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

func texts(v any) []string {
	var all []string
	items, _ := v.([]any)
	for _, i := range items {
		if s, ok := i.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// fenced checks that a policy says who reaches latchgate, and one where agents
// may go: not to the node's metadata.
func fenced(t *testing.T, all []map[string]any) {
	t.Helper()
	directions := map[string]bool{}
	for _, o := range all {
		if o["kind"] != "NetworkPolicy" {
			continue
		}
		spec, _ := o["spec"].(map[string]any)
		for _, d := range texts(spec["policyTypes"]) {
			directions[d] = true
		}
		for _, rule := range list(spec["egress"]) {
			to := list(rule["to"])
			if len(to) == 0 {
				t.Error("agents reach everything")
			}
			for _, peer := range to {
				if block, ok := peer["ipBlock"].(map[string]any); ok && !slices.Contains(texts(block["except"]), "169.254.0.0/16") {
					t.Error("agents reach the node's metadata")
				}
			}
		}
	}
	if !directions["Ingress"] || !directions["Egress"] {
		t.Errorf("policies for %v", directions)
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
		fenced(t, objects(t, raw))
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
			if name != "bare" { // which has no policies
				fenced(t, objects(t, out))
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
