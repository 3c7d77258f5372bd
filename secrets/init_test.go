package secrets

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

func (h *house) init(o InitOptions) InitResult {
	h.t.Helper()
	r, err := Init(context.Background(), o)
	if err != nil {
		h.t.Fatal(err, detailOf(err))
	}
	return r
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode().Perm()
}

func TestInitMakesWhatSopsCanUse(t *testing.T) {
	for _, file := range []string{"secrets.enc.yaml", "s.enc.json", "s.env"} {
		t.Run(file, func(t *testing.T) {
			h := newHouse(t)
			o := InitOptions{File: h.path(file), KeyFile: h.path(".latchgate/sops-age.key")}
			r := h.init(o)
			if !r.KeyCreated || !r.FileCreated || !r.ConfigCreated {
				t.Errorf("%+v", r)
			}
			if mode(t, o.KeyFile) != 0o600 || mode(t, h.path(".latchgate")) != 0o700 || mode(t, o.File) != 0o600 {
				t.Error("modes are wrong")
			}
			h.key = o.KeyFile
			h.sops("set", o.File, `["A"]`, `"from sops"`)
			h.edit(file, BackendEmbedded, set("B", pem))
			h.sops("updatekeys", "-y", o.File) // honours our .sops.yaml
			diff(t, "both", h.both(t, file), map[string]string{"A": "from sops", "B": pem})

			before, key := h.read(file), h.read(".latchgate/sops-age.key")
			again := h.init(o)
			if again.KeyCreated || again.FileCreated || again.ConfigCreated || again.Recipient != r.Recipient {
				t.Errorf("run again: %+v", again)
			}
			if h.read(file) != before || h.read(".latchgate/sops-age.key") != key {
				t.Error("running again changed something")
			}
		})
	}
}

func TestInitForceKeepsBackups(t *testing.T) {
	h := newHouse(t)
	o := InitOptions{File: h.path("secrets.enc.yaml"), KeyFile: h.path("k/key")}
	first := h.init(o)
	file, key := h.read("secrets.enc.yaml"), h.read("k/key")
	o.Force = true
	second := h.init(o)
	if second.Recipient == first.Recipient || !second.FileCreated || len(second.Backups) != 3 {
		t.Errorf("%+v", second)
	}
	var kept []string
	for _, name := range second.Backups {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, string(data))
	}
	if !slices.Contains(kept, file) || !slices.Contains(kept, key) {
		t.Error("the backups are not what was there")
	}
	if config := h.read(".sops.yaml"); strings.Contains(config, first.Recipient) || !strings.Contains(config, second.Recipient) {
		t.Errorf(".sops.yaml names the wrong key:\n%s", config)
	}
	h.key = o.KeyFile
	diff(t, "new", h.both(t, "secrets.enc.yaml"), map[string]string{})
}

func TestInitHonoursSopsConfig(t *testing.T) {
	h := newHouse(t)
	_, second := h.newKey("second.txt")
	h.write(".sops.yaml", `creation_rules:
  - path_regex: \.dev\.yaml$
    age: age1nobody
  - path_regex: sub/.*\.enc\.yaml$
    encrypted_regex: "^[A-Z]"
    mac_only_encrypted: true
    age:
      - `+h.recipient+`
      - `+second+"\n")
	o := InitOptions{File: h.path("sub/secrets.enc.yaml"), KeyFile: h.key}
	r := h.init(o)
	if r.KeyCreated || r.ConfigCreated || len(r.Notes) > 0 || !slices.Equal(r.Recipients, []string{h.recipient, second}) {
		t.Errorf("%+v", r)
	}
	h.edit("sub/secrets.enc.yaml", BackendEmbedded, set("A", "x"))
	if err := h.open("sub/secrets.enc.yaml", "").Edit(context.Background(), set("b", "x")); err == nil {
		t.Error("encrypted_regex was not honoured")
	}
	diff(t, "first key", h.both(t, "sub/secrets.enc.yaml"), map[string]string{"A": "x"})
	h.key = h.path("second.txt")
	diff(t, "second key", h.both(t, "sub/secrets.enc.yaml"), map[string]string{"A": "x"})
	if !strings.Contains(h.read("sub/secrets.enc.yaml"), "mac_only_encrypted: true") {
		t.Error("mac_only_encrypted was not honoured")
	}
}

func TestInitNeedsSomethingToEncryptFor(t *testing.T) {
	h := newHouse(t)
	for name, o := range map[string]InitOptions{
		"no key file":   {File: h.path("s.yaml")},
		"ini":           {File: h.path("s.ini"), KeyFile: h.key},
		"bad recipient": {File: h.path("s.yaml"), KeyFile: h.key, Recipients: []string{"age1x"}},
	} {
		if _, err := Init(context.Background(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A key file and a .sops.yaml may be links into a folder that others use too.
func TestRotateKeyFollowsLinks(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.yaml", "A: one\n")
	h.write("real.sops.yaml", string(newSopsConfig(h.path("s.yaml"), []string{h.recipient})))
	for link, real := range map[string]string{"link.txt": "key.txt", ".sops.yaml": "real.sops.yaml"} {
		if err := os.Symlink(real, h.path(link)); err != nil {
			t.Fatal(err)
		}
	}
	h.key = h.path("link.txt")
	left := h.write(".key.txt.tmp-1", "a key that a rotation left when it was killed")
	r, err := h.open("s.yaml", "").RotateKey(t.Context())
	if err != nil {
		t.Fatal(err, detailOf(err))
	}
	for _, link := range []string{"link.txt", ".sops.yaml"} {
		if _, err := os.Readlink(h.path(link)); err != nil {
			t.Errorf("%s is a link no more", link)
		}
	}
	if ids, err := readIdentities(h.path("key.txt")); err != nil || len(ids) != 1 || recipientOf(ids[0]) != r.New {
		t.Errorf("the file behind the link holds %v, %v", ids, err)
	}
	if !strings.Contains(h.read("real.sops.yaml"), r.New) {
		t.Error("the rules behind the link do not name the new key")
	}
	if _, err := os.Lstat(left); err == nil {
		t.Error("a key is left over")
	}
	h.both(t, "s.yaml")
}

func TestRotateKeyLocksTheOldKeyOut(t *testing.T) {
	for _, test := range []struct {
		file, plain string
		want        map[string]string
	}{
		{"s.enc.yaml", richYAML, richValues},
		{"s.enc.json", richJSON, richJSONValues},
		{"s.env", richDotenv, richDotenvValues},
	} {
		t.Run(test.file, func(t *testing.T) {
			h := newHouse(t)
			other, second := h.newKey("second.txt")
			h.encrypted(test.file, test.plain, "--age", h.recipient+","+second)
			plain := h.sops("decrypt", h.path(test.file))
			h.write(".sops.yaml", string(newSopsConfig(h.path(test.file), []string{h.recipient, second})))
			r, err := h.open(test.file, "").RotateKey(context.Background())
			if err != nil {
				t.Fatal(err, detailOf(err))
			}
			diff(t, "new key", h.both(t, test.file), test.want)
			if got := h.sops("decrypt", h.path(test.file)); got != plain { // comments included
				t.Errorf("the plaintext was\n%s\nand is\n%s", plain, got)
			}
			if strings.Contains(h.read(test.file), r.Old) || strings.Contains(h.read(".sops.yaml"), r.Old) || !strings.Contains(h.read(".sops.yaml"), r.New) {
				t.Error("the old key is still named")
			}
			if ids, err := readIdentities(h.key); err != nil || len(ids) != 1 || recipientOf(ids[0]) != r.New {
				t.Errorf("key file: %v, %v", ids, err)
			}
			h.key = other
			diff(t, "second recipient", h.both(t, test.file), test.want)
			h.key = r.Backup
			for _, backend := range []string{BackendEmbedded, BackendSops} {
				if _, err := h.open(test.file, backend).values(t); codeOf(err) != DecryptFailed {
					t.Errorf("%s: the old key opens the file: %v", backend, err)
				}
			}
		})
	}
}
