package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
	"github.com/latchgate/latchgate/secrets"
)

// secretsFault is a line of the contract's table, and how to bring it about in a
// home whose daemon has opened a run already.
type secretsFault struct {
	code   secrets.Code
	text   string
	sops   bool // by the sops backend, with a program in bin/ that the fault changes
	breaks func(h *home)
}

var secretsFaults = []secretsFault{
	{secrets.SopsNotFound, "sops binary not found", true, func(h *home) { h.remove("bin/sops") }},
	{secrets.DecryptFailed, "sops decryption failed", false, func(h *home) { h.write("keys/age.key", h.read("other/age.key")) }},
	{secrets.SecretsUnparsable, "failed to parse sops output as JSON", true, func(h *home) {
		h.remove("bin/sops")
		h.write("bin/sops", "#!/bin/sh\necho '[\"rubbish\"]'\n")
		if err := os.Chmod(h.path("bin/sops"), 0o700); err != nil {
			h.t.Fatal(err)
		}
	}},
	{secrets.KeyFileNotFound, "key file not found", false, func(h *home) { h.remove("keys/age.key") }},
	{secrets.SecretsFileNotFound, "secrets file not found", false, func(h *home) { h.remove("secrets.enc.yaml") }},
	{secrets.RequiredSecretMissing, "required secret 'API_TOKEN' not found in sops file", false, func(h *home) { h.must("secrets", "remove", "API_TOKEN") }},
}

// TestTheErrorTableWordForWord looks for each error where it belongs: text and
// code in the control API's JSON and in the answer of the wire; the cause in the
// log and before the operator, and nowhere else. What exec prints is in
// [TestWrongSecretsFileDeniesTheRun].
func TestTheErrorTableWordForWord(t *testing.T) {
	t.Parallel()
	for _, f := range secretsFaults {
		t.Run(string(f.code), func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			if _, err := secrets.Init(t.Context(), secrets.InitOptions{File: h.path("other/s.yaml"), KeyFile: h.path("other/age.key")}); err != nil {
				t.Fatal(err)
			}
			if f.sops {
				h.write("bin/.keep", "")
				if err := os.Symlink(testenv.Program(t, "sops"), h.path("bin/sops")); err != nil {
					t.Fatal(err)
				}
				h.environ = append(h.environ, "PATH="+h.path("bin"), "LATCHGATE_SECRETS__BACKEND=sops")
			}
			d := h.start()
			a := h.agent("api")
			if got := a.get("https://" + apiHost + "/say"); got.status != http.StatusOK {
				t.Fatalf("before: %+v", got)
			}
			f.breaks(h)
			if f.code != secrets.SecretsFileNotFound { // another file, so that the cache does not have it
				h.write("secrets.enc.yaml", h.read("secrets.enc.yaml")+"\n")
			}
			f.beforeTheOperator(h)
			f.inTheAPI(h)
			f.inTheLog(t, d)
			f.onTheWire(t, a)
			d.stop()
		})
	}
}

// beforeTheOperator: the text, the cause, and what to do.
func (f *secretsFault) beforeTheOperator(h *home) {
	h.t.Helper()
	if f.code == secrets.RequiredSecretMissing {
		return // the file is good
	}
	o := h.run("secrets", "list")
	if o.status != 1 || !strings.HasPrefix(o.stderr, "latchgate: "+f.text+" (") || strings.Count(o.stderr, "\n  ") != 1 {
		h.t.Errorf("secrets list: status %d, %q", o.status, o.stderr)
	}
	if o = h.run("doctor"); o.status != 1 || !strings.Contains(o.stdout, f.text+" (") {
		h.t.Errorf("doctor: status %d, %s", o.status, o.stdout)
	}
}

// inTheAPI asks for a run as any client of the control socket does. What it gets
// is for agents too: text and code, no path, nothing that a program printed.
func (f *secretsFault) inTheAPI(h *home) {
	h.t.Helper()
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", h.path("gate.sock"))
	}}}
	resp, err := c.Post("http://latchgate/v1/runs", "application/json", strings.NewReader(`{"door":"env","actions":["api"],"ttl_seconds":60}`))
	if err != nil {
		h.t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		h.t.Fatal(err)
	}
	var got struct {
		Error struct{ Code, Message, Action string }
	}
	if err := json.Unmarshal(raw, &got); err != nil || got.Error.Code != string(f.code) || got.Error.Message != f.text || got.Error.Action != "api" || resp.StatusCode != http.StatusBadGateway {
		h.t.Errorf("%s %s", resp.Status, raw)
	}
	if strings.Contains(string(raw), h.dir) || strings.Contains(string(raw), "rubbish") || strings.Contains(string(raw), "age1") {
		h.t.Errorf("the cause is in the answer: %s", raw)
	}
}

// inTheLog: text, code, and the operator's cause.
func (f *secretsFault) inTheLog(t *testing.T, d *process) {
	t.Helper()
	line := d.wait("run refused")
	if line["code"] != string(f.code) || line["reason"] != f.text {
		t.Errorf("logged %v", line)
	}
	if detail, _ := line["detail"].(string); detail == "" && f.code != secrets.RequiredSecretMissing {
		t.Errorf("the log has no cause: %v", line)
	}
}

// onTheWire: a run that was opened before gets no request through.
func (f *secretsFault) onTheWire(t *testing.T, a *agent) {
	t.Helper()
	got := a.get("https://" + apiHost + "/say")
	var e struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.status != http.StatusBadGateway || got.code != "secret_unavailable" || e.Error.Code != got.code {
		t.Errorf("on the wire: %+v", got)
	}
	if f.code != secrets.RequiredSecretMissing && e.Error.Message != f.text {
		t.Errorf("on the wire: message %q", e.Error.Message)
	}
	if strings.Contains(got.body, os.TempDir()) {
		t.Errorf("on the wire: the cause is in the answer: %s", got.body)
	}
}
