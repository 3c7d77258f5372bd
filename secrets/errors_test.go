package secrets

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
)

// TestEveryFailureHasItsCodeInBothBackends is the error table of the contract.
func TestEveryFailureHasItsCodeInBothBackends(t *testing.T) {
	testenv.Program(t, "sops")
	swap := func(from, to string) func(*house, string) string {
		return func(_ *house, text string) string { return strings.Replace(text, from, to, 1) }
	}
	for _, test := range []struct {
		name   string
		change func(h *house, text string) string
		code   Code
		text   string
	}{
		{"no file", func(h *house, _ string) string { return "" }, SecretsFileNotFound, "secrets file not found"},
		{"no key file", func(h *house, text string) string { h.key = h.path("none"); return text }, KeyFileNotFound, "key file not found"},
		{"wrong key", func(h *house, text string) string { h.key, _ = h.newKey("wrong"); return text }, DecryptFailed, "sops decryption failed"},
		{"empty key file", func(h *house, text string) string { h.key = h.write("empty", "# nothing\n"); return text }, DecryptFailed, "sops decryption failed"},
		{"not encrypted", func(h *house, _ string) string { return "A: hunter2-plain\n" }, DecryptFailed, "sops decryption failed"},
		{"plaintext pasted in", swap("A: ENC", "Z: hunter2-plain\nA: ENC"), DecryptFailed, "sops decryption failed"},
		{"plaintext for ciphertext", func(h *house, text string) string {
			return "A: hunter2-plain\n" + text[strings.Index(text, "\n")+1:]
		}, DecryptFailed, "sops decryption failed"},
		{"value removed", func(h *house, text string) string { return text[strings.Index(text, "\n")+1:] }, DecryptFailed, "sops decryption failed"},
		{"key renamed", swap("A: ENC", "C: ENC"), DecryptFailed, "sops decryption failed"},
		{"values swapped", func(h *house, text string) string {
			lines := strings.SplitN(text, "\n", 3)
			return "A" + lines[1][1:] + "\nB" + lines[0][1:] + "\n" + lines[2]
		}, DecryptFailed, "sops decryption failed"},
		{"order changed", func(h *house, text string) string {
			lines := strings.SplitN(text, "\n", 3)
			return lines[1] + "\n" + lines[0] + "\n" + lines[2]
		}, DecryptFailed, "sops decryption failed"},
		{"unencrypted value changed", swap("_unencrypted: open", "_unencrypted: shut"), DecryptFailed, "sops decryption failed"},
		{"ciphertext changed", swap("data:", "data:A"), DecryptFailed, "sops decryption failed"},
		{"no mac", func(h *house, text string) string { return dropLine(text, "    mac:") }, DecryptFailed, "sops decryption failed"},
		{"empty mac", func(h *house, text string) string { return replaceLine(text, "    mac:", `    mac: ""`) }, DecryptFailed, "sops decryption failed"},
		{"lastmodified changed", func(h *house, text string) string {
			return replaceLine(text, "    lastmodified:", `    lastmodified: "2020-01-01T00:00:00Z"`)
		}, DecryptFailed, "sops decryption failed"},
		{"mac_only_encrypted added", swap("    mac:", "    mac_only_encrypted: true\n    mac:"), DecryptFailed, "sops decryption failed"},
		{"two rules", swap("    mac:", "    encrypted_regex: x\n    mac:"), DecryptFailed, "sops decryption failed"},
		{"data key changed", swap("YWdl", "YWdm"), DecryptFailed, "sops decryption failed"},
		{"half a file", func(h *house, text string) string { return text[:len(text)/2] }, DecryptFailed, "sops decryption failed"},
		{"a name twice", func(h *house, text string) string { return text[:strings.Index(text, "\n")+1] + text }, DecryptFailed, "sops decryption failed"},
		{"not YAML", func(h *house, text string) string { return "{hunter2-plain" }, DecryptFailed, "sops decryption failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.encrypted("s.yaml", "A: hunter2\nB: two\nplain_unencrypted: open\n")
			if text := test.change(h, h.read("s.yaml")); text == "" {
				_ = os.Remove(h.path("s.yaml"))
			} else if h.write("s.yaml", text); text == "" {
				t.Fatal("unchanged")
			}
			for _, backend := range []string{BackendEmbedded, BackendSops, BackendAuto} {
				s := h.open("s.yaml", backend)
				_, err := s.loadOnce(t.Context())
				if codeOf(err) != test.code || err.Error() != test.text {
					t.Errorf("%s: %v (%s)", backend, err, detailOf(err))
				}
				if strings.Contains(detailOf(err)+err.Error(), "hunter2") {
					t.Errorf("%s prints a value: %s", backend, detailOf(err))
				}
				if detailOf(err) == "" {
					t.Errorf("%s says nothing to the operator", backend)
				}
			}
		})
	}
}

func dropLine(text, prefix string) string { return replaceLine(text, prefix, "    x: y") }

func replaceLine(text, prefix, line string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], prefix) {
			lines[i] = line
		}
	}
	return strings.Join(lines, "\n")
}

func TestSopsNotOnPathHasItsCode(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.yaml", "A: one\n")
	h.write("s.ini", "x\n")
	t.Setenv("PATH", h.dir)
	for _, s := range []*Store{h.open("s.yaml", BackendSops), h.open("s.ini", BackendAuto), h.openWith(Options{File: h.path("s.yaml")})} {
		if _, err := s.loadOnce(t.Context()); codeOf(err) != SopsNotFound || err.Error() != "sops binary not found" {
			t.Errorf("got %v", err)
		}
	}
	if _, err := h.open("s.yaml", BackendAuto).values(t); err != nil {
		t.Errorf("an age file needs sops: %v", err)
	}
}

func TestDeadlineIsADecryptFailure(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.yaml", "A: one\n")
	s := h.openWith(Options{File: h.path("s.yaml"), KeyFile: h.key, Backend: BackendSops, DecryptTimeout: time.Millisecond})
	_, err := s.View([]Want{{"A", true}}).Acquire(context.Background())
	if codeOf(err) != DecryptFailed || !strings.Contains(detailOf(err), "deadline") {
		t.Errorf("%v: %s", err, detailOf(err))
	}
}

func TestErrorGivesAgentsNothingButItsText(t *testing.T) {
	e := fail(DecryptFailed, os.ErrPermission)
	e.Detail = "for the operator"
	if got := e.Error(); got != "sops decryption failed" {
		t.Errorf("got %q", got)
	}
	if data, _ := json.Marshal(map[string]string{"message": e.Error()}); strings.Contains(string(data), "operator") {
		t.Error("detail got out")
	}
}
