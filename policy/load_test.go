package policy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const permit = "package latchgate\naction := {\"allow\": true}\n"

func TestPolicyThatDoesNotLoadNamesFileAndLine(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"syntax":            {map[string]string{"a.rego": permit + "allow if {"}, []string{"a.rego:3"}},
		"unsafe variable":   {map[string]string{"a.rego": permit + "other := x"}, []string{"a.rego:3", "x is unsafe"}},
		"two files":         {map[string]string{"a.rego": permit + "other := x", "b.rego": permit + "\nthird := y"}, []string{"a.rego:3", "b.rego:4"}},
		"syntax in two":     {map[string]string{"a.rego": "package latchgate\nx {", "sub/b.rego": "package\n"}, []string{"a.rego:2", "sub/b.rego:2"}},
		"rego v0":           {map[string]string{"a.rego": "package latchgate\naction = {\"allow\": true} { input.action }"}, []string{"a.rego:2"}},
		"type error":        {map[string]string{"a.rego": permit + "other := startswith(1, \"x\")"}, []string{"a.rego:3"}},
		"no rego":           {map[string]string{"data.json": "{}"}, []string{"no *.rego"}},
		"tests alone":       {map[string]string{"a_test.rego": permit}, []string{"no *.rego"}},
		"no action":         {map[string]string{"a.rego": "package latch\naction := {\"allow\": true}"}, []string{"no rule data.latchgate.action", "a.rego"}},
		"broken data":       {map[string]string{"a.rego": permit, "data.json": "{"}, []string{"data.json"}},
		"data is a list":    {map[string]string{"a.rego": permit, "data.yaml": "[1]"}, []string{"data.yaml"}},
		"data twice":        {map[string]string{"a.rego": permit, "data.json": `{"x": 1}`, "data.yaml": "x: 2"}, []string{"data.x", "data.json", "data.yaml"}},
		"data stands in":    {map[string]string{"a.rego": permit, "data.json": `{"latchgate": {"request": {"allow": true}}}`}, []string{"data.latchgate.request"}},
		"data of a rule":    {map[string]string{"a.rego": permit + "teams := 1", "data.json": `{"latchgate": {"teams": 2}}`}, []string{"a.rego:3", "latchgate/teams"}},
		"data is no object": {map[string]string{"a.rego": permit, "data.json": `{"latchgate": 1}`}, []string{"data.latchgate"}},
		"failing test":      {map[string]string{"a.rego": permit, "a_test.rego": "package t\n\ntest_no if false"}, []string{"a_test.rego:3", "t.test_no fails"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.files)
			_, err := New(t.Context(), Options{Dirs: []string{dir}})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
		})
	}
	if _, err := New(t.Context(), Options{Dirs: []string{filepath.Join(t.TempDir(), "missing")}}); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("missing folder: %v", err)
	}
}

func TestWhatReachesOutsideIsNotToBeHad(t *testing.T) {
	for _, call := range []string{
		`http.send({"method": "GET", "url": "http://127.0.0.1"})`, `net.lookup_ip_addr("localhost")`, `opa.runtime()`,
		`trace("x")`, `rand.intn("x", 9)`, `uuid.rfc4122("x")`,
	} {
		_, err := New(t.Context(), rules(t, "action := {\"allow\": true} if "+call))
		if name, _, _ := strings.Cut(call, "("); err == nil || !strings.Contains(err.Error(), "undefined function "+name) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if d := engine(t, rules(t, `action := {"allow": true} if print("x")`)).Action(t.Context(), issue("low")); !d.Allow {
		t.Errorf("a print that somebody left in: %+v", d)
	}
}

func TestNoSchemaIsFetched(t *testing.T) {
	asked := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		io.WriteString(w, "{}")
	}))
	defer srv.Close()
	e := engine(t, rules(t, `action := {"allow": true} if json.match_schema({}, {"$ref": "`+srv.URL+`/x.json"})[0]`))
	if d := e.Action(t.Context(), issue("low")); d.Allow {
		t.Errorf("%+v", d)
	}
	if len(asked) > 0 {
		t.Error("the policy reached a server")
	}
}

func TestDataOfFilesAndConfigurationMeetBelowLatchgate(t *testing.T) {
	dir := folder(t, map[string]string{
		"p.rego": `package latchgate
action := {"allow": true, "reason": sprintf("%s %s %s %d", [data.latchgate.team, data.latchgate.from_file, data.org.eu.name, data.latchgate.limit])}`,
		"data.json":        `{"latchgate": {"from_file": "file"}}`,
		"org/eu/data.yaml": "name: europe",
		"org/notes.json":   `not JSON, and not read`,
		"org/other.yaml":   "- neither\n",
	})
	e := engine(t, Options{Dirs: []string{dir}, Data: map[string]any{"team": "core", "limit": int64(3)}})
	if d := e.Action(t.Context(), issue("low")); d.Reason != "core file europe 3" {
		t.Errorf("%+v", d)
	}
	for key, want := range map[string]string{"from_file": "both in", "action": "cannot be set as data", "request": "cannot be set as data"} {
		_, err := New(t.Context(), Options{Dirs: []string{dir}, Data: map[string]any{key: "x"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := New(t.Context(), Options{Dirs: []string{dir}, Data: map[string]any{"f": func() {}}}); err == nil {
		t.Error("data that is not JSON is taken")
	}
}

func TestSeveralFoldersAreOnePolicy(t *testing.T) {
	a := folder(t, map[string]string{"a.rego": "package latchgate\naction := {\"allow\": ok}"})
	b := folder(t, map[string]string{"a.rego": "package latchgate\nok := data.ok", "data.json": `{"ok": true}`})
	if d := engine(t, Options{Dirs: []string{a, b}}).Action(t.Context(), issue("low")); !d.Allow {
		t.Errorf("%+v", d)
	}
}

// A ConfigMap is mounted as links into a folder whose name begins with two dots.
func TestMountedConfigMapIsReadOnce(t *testing.T) {
	dir := folder(t, map[string]string{"..2026_01_01/p.rego": permit + "default action := {\"allow\": false}"}) // twice would be an error
	for link, target := range map[string]string{"..data": "..2026_01_01", "p.rego": "..data/p.rego"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if d := engine(t, Options{Dirs: []string{dir}}).Action(t.Context(), issue("low")); !d.Allow {
		t.Errorf("%+v", d)
	}
}

func TestFolderNamesAreTakenAsTheyAre(t *testing.T) {
	for _, name := range []string{"a:b", "50%41", "a b", ".hidden", "latchgate:x"} {
		dir := filepath.Join(folder(t, map[string]string{name + "/p.rego": permit}), name)
		if d := engine(t, Options{Dirs: []string{dir}}).Action(t.Context(), issue("low")); !d.Allow {
			t.Errorf("%q: %+v", name, d)
		}
	}
}

func TestRulesOfTestFilesAreNotInForce(t *testing.T) {
	dir := folder(t, map[string]string{
		"p.rego":      "package latchgate\ndefault action := {\"allow\": false}\naction := {\"allow\": true} if friends[input.principal]\nfriends contains \"bob\"",
		"p_test.rego": "package latchgate\nfriends contains \"alice\"\ntest_alice if action.allow with input as {\"principal\": \"alice\"}",
	})
	if d := engine(t, Options{Dirs: []string{dir}}).Action(t.Context(), issue("low")); d.Allow {
		t.Errorf("%+v", d)
	}
}
