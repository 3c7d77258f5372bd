package secrets

import (
	"errors"
	"strings"
	"testing"
)

// `sops -e plain > file` leaves an empty file behind when no creation rule
// matches "plain".
func TestAnEmptyFileIsExplainedInEveryBackend(t *testing.T) {
	h := newHouse(t)
	for _, text := range []string{"", "\n"} {
		h.write("secrets.enc.yaml", text)
		for _, backend := range []string{BackendEmbedded, BackendSops, BackendAuto} {
			_, err := h.open("secrets.enc.yaml", backend).loadOnce(t.Context())
			if codeOf(err) != DecryptFailed || err.Error() != "sops decryption failed" || !errors.Is(err, ErrEmptyFile) {
				t.Errorf("%s: %v", backend, err)
			}
			if want := "sops -e --filename-override secrets.enc.yaml secrets.yaml > secrets.enc.yaml"; !strings.Contains(detailOf(err), want) {
				t.Errorf("%s: %q does not say %q", backend, detailOf(err), want)
			}
		}
	}
}

func TestPlaintextIsRecognisedAsNotEncrypted(t *testing.T) {
	h := newHouse(t)
	for name, text := range map[string]string{"s.yaml": "A: x\n", "s.json": `{"A":"x"}`, "s.env": "A=x\n"} {
		h.write(name, text)
		if _, err := h.open(name, BackendAuto).loadOnce(t.Context()); !errors.Is(err, ErrNotEncrypted) {
			t.Errorf("%s: %v: %s", name, err, detailOf(err))
		}
	}
}

// A plaintext file whose name tells sops nothing is encrypted as one value.
func TestADocumentUnderOneNameIsExplained(t *testing.T) {
	for _, plain := range []string{"A: one\nB: two\n", "data:\n    A: one\n    B: two\n"} {
		h := newHouse(t)
		if strings.HasPrefix(plain, "data") {
			h.encrypted("s.yaml", plain)
		} else {
			h.write("s.yaml", h.sops("--encrypt", "--age", h.recipient, h.write("secrets", plain)))
		}
		set, err := h.open("s.yaml", "").View([]Want{{"A", true}}).Acquire(t.Context())
		if err != nil {
			t.Fatal(err, detailOf(err))
		}
		err = set.RequireAll()
		set.Release()
		if codeOf(err) != RequiredSecretMissing || err.Error() != "required secret 'A' not found in sops file" || !strings.Contains(detailOf(err), "--input-type yaml") {
			t.Errorf("%v: %q", err, detailOf(err))
		}
	}
}

func TestValuesAreFoundInATextByName(t *testing.T) {
	d := &Document{names: []string{"ABSENT", "LONG", "NULL", "SHORT"}, values: map[string]Value{}}
	for name, v := range map[string]string{"ABSENT": "nowhere to be seen", "LONG": "in the text", "SHORT": "text"} {
		d.values[name] = newValue([]byte(v))
	}
	if got := d.FoundIn([]byte("something stands in the text here")); len(got) != 1 || got[0] != "LONG" {
		t.Errorf("found %q", got)
	}
}
