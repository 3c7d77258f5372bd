package secrets

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

// pgp makes a PGP key and returns its fingerprint. A key service that needs no
// network stands for all of them.
func pgp(t *testing.T) string {
	t.Helper()
	gpg := testenv.Program(t, "gpg")
	home, err := os.MkdirTemp("", "gpg") // short: the agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	t.Setenv("GNUPGHOME", home)
	if out, err := exec.Command(gpg, "--batch", "--passphrase", "", "--quick-gen-key", "t <t@example.com>", "default", "default", "never").CombinedOutput(); err != nil {
		t.Fatalf("gpg: %v: %s", err, out)
	}
	out, err := exec.Command(gpg, "--list-keys", "--with-colons").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return fields[9]
		}
	}
	t.Fatal("no key was made")
	return ""
}

func TestFilesOfKeyServicesAreMadeReadAndChangedThroughSops(t *testing.T) {
	testenv.Program(t, "sops")
	fingerprint := pgp(t)
	for _, file := range []string{"s.enc.yaml", "s.enc.json", "s.env"} {
		t.Run(file, func(t *testing.T) {
			h := newHouse(t)
			h.write(".sops.yaml", "creation_rules:\n  - pgp: "+fingerprint+"\n")
			r := h.init(InitOptions{File: h.path(file), KeyFile: h.path("none/key")})
			if r.KeyCreated || !r.FileCreated || len(r.Notes) != 1 {
				t.Errorf("%+v", r)
			}
			s := h.openWith(Options{File: h.path(file), KeyFile: h.path("none/key")}) // the default key file, not made
			if err := s.Edit(t.Context(), func(d *Document) error {
				return d.Import(map[string][]byte{"A": []byte(pem), "B": nil, "C": []byte(`q"\`)})
			}); err != nil {
				t.Fatal(err, detailOf(err))
			}
			if err := s.Edit(t.Context(), func(d *Document) error { return d.Remove("B") }); err != nil {
				t.Fatal(err, detailOf(err))
			}
			got, err := s.values(t)
			if err != nil {
				t.Fatal(err, detailOf(err))
			}
			diff(t, "read back", got, map[string]string{"A": pem, "C": `q"\`})
			if _, err := s.RotateKey(t.Context()); err == nil || !strings.Contains(err.Error(), "sops rotate") {
				t.Errorf("rotate: %v", err)
			}
		})
	}
}

func TestPGPKeyStillOpensAFileThatWasChangedWithAge(t *testing.T) {
	testenv.Program(t, "sops")
	fingerprint := pgp(t)
	h := newHouse(t)
	h.encrypted("s.yaml", "A: one\n", "--pgp", fingerprint)
	h.edit("s.yaml", BackendEmbedded, set("A", "two"))
	h.key = h.write("nothing", "")
	got, err := h.openWith(Options{File: h.path("s.yaml"), Backend: BackendSops}).values(t)
	if err != nil {
		t.Fatal(err, detailOf(err))
	}
	diff(t, "with PGP alone", got, map[string]string{"A": "two"})
	_, err = h.open("s.yaml", BackendEmbedded).RotateKey(t.Context())
	if err == nil {
		t.Error("rotated a file that PGP must be able to open")
	}
}
