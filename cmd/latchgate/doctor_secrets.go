package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latchgate/latchgate/secrets"
)

// lookAtSecrets looks at the secrets file: whether it opens, what should be in it
// and what in it looks wrong.
func (d *doctor) lookAtSecrets(ctx context.Context) {
	s := d.cfg.Secrets
	if s.SopsSecretsFile == "" || !d.cfg.Explicit("secrets.sops_secrets_file") && absent(s.SopsSecretsFile) {
		d.ok("file", "none is configured; actions without secrets run", "run `latchgate secrets init` to make one")
		return
	}
	store, err := secrets.Open(secrets.Options{File: s.SopsSecretsFile, KeyFile: s.SopsKeyFile, Backend: s.Backend, DecryptTimeout: s.DecryptTimeout})
	if err != nil {
		d.fail("settings", err.Error(), "mend [secrets] in latchgate.toml")
		return
	}
	defer func() { _ = store.Close() }()
	d.lookForPlaintext(ctx, s.SopsSecretsFile)
	about, err := store.Describe()
	if err != nil {
		d.failSecrets("file", err)
		return
	}
	d.ok("file", fmt.Sprintf("%s, %s", about.File, about.Format), "")
	d.ok("backend", fmt.Sprintf("%s: %s", about.Backend, about.Why), "")
	d.lookAtSops(ctx, about)
	d.lookAtRecipients(about)
	err = store.Read(ctx, func(doc *secrets.Document) error {
		d.ok("decrypts", "yes, and its MAC is good", "")
		if d.lookAtValues(doc) {
			d.lookAtNames(doc)
		}
		return nil
	})
	if err != nil {
		d.failSecrets("decrypts", err)
	}
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// failSecrets reports an error of the store with the cause and what to do.
func (d *doctor) failSecrets(name string, err error) {
	err = explainSecrets(err, d.cfg)
	d.fail(name, err.Error(), cmp.Or(hintOf(err), "look at the file's permissions"))
}

// sopsOldest is the first version of sops whose files and flags are known;
// sopsEdits the first that takes a value from standard input.
var sopsOldest, sopsEdits = [2]int{3, 8}, [2]int{3, 11}

func (d *doctor) lookAtSops(ctx context.Context, about secrets.Description) {
	needed := about.Backend == secrets.BackendSops
	path, version, err := secrets.SopsVersion(ctx)
	if err != nil {
		found := "not found"
		if path != "" {
			found = path + " does not say its version"
		}
		if needed {
			d.fail("sops", found+", and this file needs it", "install sops 3.8 or newer, or put it on the PATH of latchgate")
		} else {
			d.ok("sops", found+"; this file does not need it", "")
		}
		return
	}
	var v [2]int
	_, _ = fmt.Sscanf(version, "%d.%d", &v[0], &v[1])
	found := fmt.Sprintf("%s, version %s", path, version)
	switch {
	case slices.Compare(v[:], sopsOldest[:]) < 0 && needed:
		d.fail("sops", found, "install sops 3.8.0 or newer")
	case slices.Compare(v[:], sopsOldest[:]) < 0:
		d.warn("sops", found, "install sops 3.8.0 or newer before you use it on this file")
	case slices.Compare(v[:], sopsEdits[:]) < 0 && needed:
		d.warn("sops", found+": it can read this file, and latchgate can't change it", "install sops 3.11 or newer, or change the file with `sops edit`")
	default:
		d.ok("sops", found, "")
	}
}

// lookAtRecipients says who can open the file, which is what a backup is about.
func (d *doctor) lookAtRecipients(about secrets.Description) {
	all := slices.Concat(about.Age, about.Others)
	switch {
	case len(all) == 0: // not parsed here
	case len(all) == 1 && len(about.Age) == 1:
		d.ok("backup", "one key opens the file, and no other: "+all[0],
			fmt.Sprintf("keep a copy of %s where this machine's disk can't take it along, or add a second recipient to .sops.yaml and run `sops updatekeys %s`", d.cfg.Secrets.SopsKeyFile, about.File))
	case len(all) == 1:
		d.ok("backup", "one key opens the file: "+all[0], "a second recipient opens it when the key service can't")
	default:
		d.ok("backup", fmt.Sprintf("%d keys open the file: %s", len(all), strings.Join(all, ", ")), "")
	}
}

// lookAtNames compares what the file holds with what the actions declare. Bundled
// actions count as used where one of their secrets is set.
func (d *doctor) lookAtNames(doc *secrets.Document) {
	set := map[string]bool{}
	for _, name := range doc.Names() {
		_, set[name] = doc.Get(name)
	}
	required, optional := map[string][]string{}, map[string][]string{}
	own := map[string]bool{} // names that the operator's own actions require
	declared := map[string]bool{}
	for _, m := range d.catalog.All() {
		mine := ownAction(d.cfg, m)
		used := mine || usesOne(m, set)
		for _, s := range m.Secrets {
			declared[s.Name] = true
			switch {
			case !used || set[s.Name]:
			case s.Required:
				required[s.Name] = append(required[s.Name], m.ActionID)
				own[s.Name] = own[s.Name] || mine
			default:
				optional[s.Name] = append(optional[s.Name], m.ActionID)
			}
		}
	}
	for _, name := range sortedKeys(required) {
		report := d.warn
		if own[name] {
			report = d.fail
		}
		report("required", fmt.Sprintf("%s is missing; %s can't run without", name, strings.Join(required[name], ", ")), "latchgate secrets set "+name)
	}
	if len(required) == 0 {
		d.ok("required", "nothing that an action in use requires is missing", "")
	}
	for _, name := range sortedKeys(optional) {
		d.ok("optional", fmt.Sprintf("%s is missing; %s would use it", name, strings.Join(optional[name], ", ")), "latchgate secrets set "+name)
	}
	for _, name := range doc.Exposed() {
		if declared[name] {
			d.fail("exposed", name+" stands in the secrets file in plaintext: "+doc.Rule()+" leaves it so",
				"change the rule in .sops.yaml, encrypt the values again, and set a new one where the file was shared")
		}
	}
	for _, name := range doc.Names() {
		if !declared[name] {
			d.warn("undeclared", name+" is in the file and no action declares it", fmt.Sprintf("name it in a manifest below manifests.dirs, or `latchgate secrets remove %s`", name))
		}
	}
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// lookAtValues names values that look mispasted. It reports whether the names are
// those of secrets, and not one for the whole document.
func (d *doctor) lookAtValues(doc *secrets.Document) bool {
	all := doc.Mistakes()
	for _, m := range all {
		if m.Name == "data" && len(doc.Names()) == 1 {
			file := filepath.Base(d.cfg.Secrets.SopsSecretsFile)
			d.fail("values", m.Name+" "+m.What, fmt.Sprintf("sops -e --input-type yaml --output-type yaml --filename-override %s PLAIN > %s", file, file))
			return false
		}
		d.warn("values", m.Name+" "+m.What, "if that was not meant: latchgate secrets set "+m.Name)
	}
	if len(all) == 0 {
		d.ok("values", "none ends with a newline or has quotes around it", "")
	}
	return true
}

// plaintextEndings are of files that hold secrets before they are encrypted, or
// that editors leave behind.
var plaintextEndings = []string{"", ".yaml", ".yml", ".json", ".env", ".ini", ".txt", ".dec", ".plain", ".bak", ".orig", ".tmp", ".swp", "~"}

// lookForPlaintext looks for what the secrets file was made from.
func (d *doctor) lookForPlaintext(ctx context.Context, file string) {
	dir := filepath.Dir(file)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the file's own checks say why
	}
	stem, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(file), "."), ".")
	found := false
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(dir, name)
		if path == file || !e.Type().IsRegular() || !plaintextName(name, stem) || !isPlaintext(path) {
			continue
		}
		found = true
		if state := askGit(ctx, path); state.tracked || state.history != "" {
			d.fail("plaintext", path+" holds secrets in plaintext and is in git", "git rm --cached it, ignore it, and set new values: what was pushed is known")
		} else {
			d.warn("plaintext", path+" is beside the secrets file and not encrypted", "delete it when all of it is in the secrets file: shred -u "+path)
		}
	}
	if !found {
		d.ok("plaintext", "no plaintext beside the secrets file", "")
	}
}

func plaintextName(name, stem string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "."), stem)
	if !ok || stem == "" || rest != "" && !strings.ContainsAny(rest[:1], ".~-_") {
		return false
	}
	ending := filepath.Ext(rest)
	if strings.HasSuffix(rest, "~") {
		ending = "~"
	}
	return slices.Contains(plaintextEndings, ending)
}

// isPlaintext reports whether a file holds something and no ciphertext of sops.
func isPlaintext(path string) bool {
	data, err := os.ReadFile(path)
	defer clear(data)
	return err == nil && len(bytes.TrimSpace(data)) > 0 && !bytes.Contains(data, []byte("ENC[AES256_GCM,"))
}
