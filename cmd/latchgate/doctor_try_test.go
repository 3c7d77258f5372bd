package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tryOnPath runs `doctor --clients` with no more on PATH than these scripts.
func tryOnPath(t *testing.T, scripts map[string]string) (map[string]check, outcome) {
	t.Helper()
	h := newHome(t)
	for name, text := range scripts {
		h.write("bin/"+name, "#!/bin/sh\n"+text+"\n")
		h.mode("bin/"+name, 0o700)
	}
	o := h.runWith("", []string{"PATH=" + h.path("bin"), "SOPS_AGE_KEY=" + gitSecret, "OLDPWD=" + h.dir}, "doctor", "--clients", "--json")
	var found struct{ Checks []check }
	if err := json.Unmarshal([]byte(o.stdout), &found); err != nil {
		t.Fatalf("%v\n%s%s", err, o.stdout, o.stderr)
	}
	by := map[string]check{}
	for _, c := range found.Checks {
		by[c.Name] = c
	}
	if left, _ := filepath.Glob(h.path("tmp/latchgate-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	noSecret(t, "doctor --clients", o.stdout+o.stderr)
	return by, o
}

func TestNoMoreIsKeptOfWhatAClientPrints(t *testing.T) {
	t.Parallel()
	p := tryProcess{timeout: patience, environ: []string{"PATH=" + os.Getenv("PATH")}}
	out, late, err := p.run(t.Context(), "head", []string{"-c", strconv.Itoa(3 * maxPrinted), "/dev/zero"})
	if late || err != nil || len(out) != maxPrinted {
		t.Errorf("late: %v, error: %v, %d bytes", late, err, len(out))
	}
}

// What arrives decides, and each way to fail has its own advice.
func TestDoctorTellsHowFarEachClientComes(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	get := " -q -sS https://" + tryHost + "/"
	by, o := tryOnPath(t, map[string]string{
		"curl": `case "$1" in --version) echo "curl 1.2.3";; *) ` + curl + get + `; exit 1;; esac`, // it liked another answer better
		"wget": `echo "wget: no such host" >&2; exit 4`,
		"git":  `unset CURL_CA_BUNDLE SSL_CERT_FILE; exec ` + curl + get,
		"gh":   `https_proxy="http://${https_proxy##*@}"; exec ` + curl + get,
		"ruby": `[ "$HOME" != "$OLDPWD" ] && [ -z "$SOPS_AGE_KEY" ] && exec ` + curl + get,
	})
	for name, want := range map[string]struct {
		status, found, todo string
		client              triedClient
	}{
		"curl": {checkOK, "1.2.3: finds the proxy, trusts the certificate, arrives with the credential", "", triedClient{FoundProxy: true, TrustsCA: true, Authenticated: true}},
		"wget": {checkWarning, "does not find the proxy (wget: no such host)", "$HTTPS_PROXY", triedClient{}},
		"git":  {checkWarning, "finds the proxy and does not trust its certificate", "http.sslCAInfo", triedClient{FoundProxy: true}},
		"gh":   {checkWarning, "finds the proxy and sends it no credentials", "user and password", triedClient{FoundProxy: true}},
		"ruby": {checkOK, "arrives with the credential", "", triedClient{FoundProxy: true, TrustsCA: true, Authenticated: true}},
	} {
		got := by[name]
		if got.Status != want.status || !strings.Contains(got.Found, want.found) || !strings.Contains(got.Todo, want.todo) || got.Client == nil {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if c := got.Client; c.FoundProxy != want.client.FoundProxy || c.TrustsCA != want.client.TrustsCA || c.Authenticated != want.client.Authenticated {
			t.Errorf("%s: %+v, want %+v", name, c, want.client)
		}
	}
	if o.status != exitWarnings || !strings.Contains(by["not here"].Found, "node fetch, node https, npm") {
		t.Errorf("status %d: %+v", o.status, by["not here"])
	}
}

// The real ones, as they are on this machine.
func TestDoctorTriesRealClients(t *testing.T) {
	t.Parallel()
	need(t, "curl", "python3", "node", "git")
	h := newHome(t)
	o := h.run("doctor", "--clients", "--json")
	var found struct{ Checks []check }
	if err := json.Unmarshal([]byte(o.stdout), &found); err != nil {
		t.Fatalf("%v\n%s%s", err, o.stdout, o.stderr)
	}
	arrived := map[string]bool{}
	for _, c := range found.Checks {
		arrived[c.Name] = c.Client != nil && c.Client.Authenticated
		if c.Status == checkError {
			t.Errorf("%s: %s", c.Name, c.Found)
		}
	}
	for _, name := range []string{"curl", "git", "python urllib", "node https"} {
		if !arrived[name] {
			t.Errorf("%s did not arrive:\n%s", name, o.stdout)
		}
	}
}

func TestClientThatHangsIsEndedWithAllItStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := tryProcess{timeout: 100 * time.Millisecond, dir: dir, environ: []string{"PATH=" + os.Getenv("PATH")}}
	out, late, err := p.run(t.Context(), "/bin/sh", []string{"-c", "echo started; sleep 600 & echo $! > child; wait"})
	if !late || err == nil || out != "started\n" {
		t.Errorf("late: %v, error: %v, output: %q", late, err, out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Skip("it was ended before it started anything")
	}
	// It was killed; how soon it is gone is the kernel's affair.
	for late := time.Now().Add(patience); ; {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%s/status", strings.TrimSpace(string(raw))))
		if !strings.Contains(string(status), "Name:\tsleep") || strings.Contains(string(status), "State:\tZ") {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("what it started still runs:\n%s", status)
		}
		time.Sleep(time.Millisecond)
	}
}
