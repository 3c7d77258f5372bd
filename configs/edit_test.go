package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSetKeysKeepsEverythingElse(t *testing.T) {
	kv := map[string]string{"secrets.sops_secrets_file": `s "x".yaml`, "secrets.sops_key_file": "k"}
	for name, c := range map[string]struct{ before, after string }{
		"nothing":           {"", "[secrets]\nsops_key_file = \"k\"\nsops_secrets_file = 's \"x\".yaml'\n"},
		"another section":   {"[log]\nlevel = \"info\" # loud\n", "[log]\nlevel = \"info\" # loud\n\n[secrets]\nsops_key_file = \"k\"\nsops_secrets_file = 's \"x\".yaml'\n"},
		"no line break":     {"[log]\nlevel = \"info\"", "[log]\nlevel = \"info\"\n\n[secrets]\nsops_key_file = \"k\"\nsops_secrets_file = 's \"x\".yaml'\n"},
		"both there":        {"# a\n[secrets] # b\n  sops_key_file   = \"old\"   # c\nsops_secrets_file=''\n# d\n", "# a\n[secrets] # b\n  sops_key_file   = \"k\"   # c\nsops_secrets_file='s \"x\".yaml'\n# d\n"},
		"one there":         {"[secrets]\nsops_key_file = 'o'\nbackend = \"auto\"\n\n# about the log\n[log]\n", "[secrets]\nsops_key_file = \"k\"\nbackend = \"auto\"\nsops_secrets_file = 's \"x\".yaml'\n\n# about the log\n[log]\n"},
		"an empty section":  {"[secrets]\n[log]\n", "[secrets]\nsops_key_file = \"k\"\nsops_secrets_file = 's \"x\".yaml'\n[log]\n"},
		"dotted keys":       {"secrets.backend = \"auto\"\nlog.level = \"info\"\n", "secrets.backend = \"auto\"\nsecrets.sops_key_file = \"k\"\nsecrets.sops_secrets_file = 's \"x\".yaml'\nlog.level = \"info\"\n"},
		"a string of lines": {"[secrets]\nsops_key_file = \"\"\"\na\nb\"\"\" # c\n", "[secrets]\nsops_key_file = \"k\" # c\nsops_secrets_file = 's \"x\".yaml'\n"},
		"DOS line breaks":   {"[secrets]\r\nbackend = \"auto\"\r\n", "[secrets]\r\nbackend = \"auto\"\r\nsops_key_file = \"k\"\r\nsops_secrets_file = 's \"x\".yaml'\r\n"},
		"other tables":      {"[policy.data.secrets]\nsops_key_file = 1\n[[policy.data.x]]\ny = 1\n", "[policy.data.secrets]\nsops_key_file = 1\n[[policy.data.x]]\ny = 1\n\n[secrets]\nsops_key_file = \"k\"\nsops_secrets_file = 's \"x\".yaml'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, filepath.Join(t.TempDir(), fileName), c.before)
			for range 2 { // the second time nothing changes
				if err := SetKeys(file, kv); err != nil {
					t.Fatal(err)
				}
				if got := read(t, file); got != c.after {
					t.Errorf("got\n%s\nwant\n%s", got, c.after)
				}
			}
		})
	}
}

func TestSetKeysOnTheExampleIsReadBack(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), fileName), Example())
	if err := SetKeys(file, map[string]string{"secrets.sops_secrets_file": "/new.yaml", "log.level": "debug"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Options{File: file, Environ: []string{"XDG_RUNTIME_DIR=/run"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Secrets.SopsSecretsFile != "/new.yaml" || c.Log.Level != "debug" {
		t.Errorf("got %+v, %+v", c.Secrets, c.Log)
	}
	if got, want := strings.Count(read(t, file), "\n"), strings.Count(Example(), "\n"); got != want {
		t.Errorf("the file has %d lines, and had %d", got, want)
	}
}

func TestSetKeysRefusesAndChangesNothing(t *testing.T) {
	for name, c := range map[string]struct{ text, key string }{
		"no TOML":                   {"[secrets\n", "secrets.sops_key_file"},
		"an inline table":           {"secrets = {backend = \"auto\"}\n", "secrets.sops_key_file"},
		"a list of sections":        {"[[secrets]]\nbackend = \"auto\"\n", "secrets.sops_key_file"},
		"a value of another type":   {"[secrets]\nsops_key_file = 1\n", "secrets.sops_key_file"},
		"an unknown key":            {"", "secrets.sops_keyfile"},
		"a key that is no string":   {"", "gate.max_runs"},
		"a section that is a value": {"secrets = 1\n", "secrets.sops_key_file"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, filepath.Join(t.TempDir(), fileName), c.text)
			if err := SetKeys(file, map[string]string{c.key: "x"}); err == nil {
				t.Error("no error")
			}
			if got := read(t, file); got != c.text {
				t.Errorf("the file is %q now", got)
			}
		})
	}
}

func TestSetKeysKeepsModeAndLinkAndMakesMissingFiles(t *testing.T) {
	dir := t.TempDir()
	kv := map[string]string{"log.level": "debug"}
	target := write(t, filepath.Join(dir, "target.toml"), "")
	link := filepath.Join(dir, fileName)
	if err := errors.Join(os.Chmod(target, 0o600), os.Symlink(target, link), SetKeys(link, kv)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("the target is %v, %v", info, err)
	}
	made := filepath.Join(dir, "new.toml")
	if err := SetKeys(made, kv); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the new file is %v, %v", info, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("files are left behind: %v, %v", entries, err)
	}
}

// SetKeys gives a file that says what was asked, or leaves it as it was.
func FuzzSetKeys(f *testing.F) {
	f.Add(Example(), "v")
	f.Add("[secrets]\nsops_key_file = '''\na'''", "\x00\"'\n")
	f.Add("[ secrets . x ]\n\"sops_key_file\"=1 # é\r\n", "ü")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text, value string) {
		file := write(t, filepath.Join(dir, fileName), text)
		if err := SetKeys(file, map[string]string{"secrets.sops_key_file": value}); err != nil {
			if got := read(t, file); got != text {
				t.Fatalf("%v, and the file is %q now", err, got)
			}
			return
		}
		tree, err := parseTOML(file, []byte(read(t, file)))
		if err != nil {
			t.Fatal(err)
		}
		if got := tree["secrets"].(map[string]any)["sops_key_file"]; got != value {
			t.Errorf("read back %q, want %q", got, value)
		}
	})
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
