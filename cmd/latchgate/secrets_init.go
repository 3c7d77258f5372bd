package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/secrets"
)

func (a *app) secretsInitCommand() *cobra.Command {
	var recipients []string
	var force bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Make an age key, an encrypted secrets file and the settings that name them",
		Long: `Make an age key, a .sops.yaml and an encrypted secrets file that holds nothing,
and name both in latchgate.toml. What exists is left as it is, so it can be run
again. Keep a copy of the key: without it nothing opens the file.

An age key that you have is used with --key-file. A .sops.yaml that is there
decides for whom the file is encrypted: with recipients of AWS KMS, GCP KMS, Azure
Key Vault, HashiCorp Vault or PGP the sops program makes the file, and no age key
is made.`,
		Example: `  latchgate secrets init
  latchgate secrets init --recipient age1...
  latchgate secrets init --key-file ~/.config/sops/age/keys.txt
  printf 'creation_rules: [{kms: "arn:aws:kms:..."}]' > .sops.yaml && latchgate secrets init`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.initSecrets(c, recipients, force) },
	}
	c.Flags().StringSliceVar(&recipients, "recipient", nil, "age public key that can read the file too; repeat for more")
	c.Flags().String("file", "", "secrets file (sets secrets.sops_secrets_file)")
	c.Flags().String("key-file", "", "age key file (sets secrets.sops_key_file)")
	c.Flags().BoolVar(&force, "force", false, "begin anew; the key and the file that are there are renamed")
	return c
}

// initFlags are written into latchgate.toml, whatever it says.
var initFlags = map[string]string{"file": "secrets.sops_secrets_file", "key-file": "secrets.sops_key_file"}

func (a *app) initSecrets(c *cobra.Command, recipients []string, force bool) error {
	a.flagKeys = initFlags
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	file, key := cfg.Secrets.SopsSecretsFile, cfg.Secrets.SopsKeyFile
	if file == "" || key == "" {
		return withHint(errors.New("sops_secrets_file or sops_key_file is set to nothing"), "take the empty setting out of latchgate.toml and run init again")
	}
	made, err := secrets.Init(c.Context(), secrets.InitOptions{File: file, KeyFile: key, Recipients: recipients, Force: force})
	if err != nil {
		return explainSecrets(err, cfg)
	}
	report := func(created bool, what, path string) {
		verb := "kept   "
		if created {
			verb = "created"
		}
		if path != "" {
			fmt.Fprintf(a.out, "%s  %-14s %s\n", verb, what, tui.Clean(path))
		}
	}
	report(made.KeyCreated, "age key", made.KeyFile)
	report(made.FileCreated, "secrets file", made.File)
	report(made.ConfigCreated, "sops rules", made.Config)
	for _, b := range made.Backups {
		fmt.Fprintf(a.out, "renamed  %-14s %s\n", "old one", tui.Clean(b))
	}
	settings, changed, err := nameInConfig(c, cfg)
	if err != nil {
		return err
	}
	report(changed, "settings", settings)
	ignored, err := ignoreKey(key)
	if err != nil {
		return err
	}
	if ignored != "" {
		report(true, "git ignores", ignored)
	}
	for _, n := range made.Notes {
		fmt.Fprintln(a.out, "note: "+tui.Clean(n))
	}
	if made.KeyCreated {
		fmt.Fprintln(a.out, "\nKeep a copy of the key somewhere safe: without it nothing opens the file.")
	}
	fmt.Fprintln(a.out, "Next: latchgate secrets set GITHUB_TOKEN")
	return nil
}

// nameInConfig writes the two settings into latchgate.toml where they are not
// there yet, or were given as flags.
func nameInConfig(c *cobra.Command, cfg *configs.Config) (file string, changed bool, err error) {
	if file = cfg.File(); file == "" {
		if file, err = filepath.Abs("latchgate.toml"); err != nil {
			return "", false, err
		}
	}
	want := map[string]string{}
	paths := map[string]string{"secrets.sops_secrets_file": cfg.Secrets.SopsSecretsFile, "secrets.sops_key_file": cfg.Secrets.SopsKeyFile}
	for flag, key := range initFlags {
		if cfg.Explicit(key) && !c.Flags().Changed(flag) {
			continue
		}
		path := paths[key]
		if rel, err := filepath.Rel(filepath.Dir(file), path); err == nil && !strings.HasPrefix(rel, "..") {
			path = rel
		}
		want[key] = path
	}
	if len(want) == 0 {
		return file, false, nil
	}
	return file, true, configs.SetKeys(file, want)
}

// ignoreKey adds the key's folder to .gitignore where the key is in a git work
// tree; it returns the file that it changed.
func ignoreKey(key string) (string, error) {
	top := workTree(key)
	if top == "" {
		return "", nil
	}
	rel, err := filepath.Rel(top, key)
	if err != nil {
		return "", err
	}
	line := "/" + filepath.ToSlash(rel) + "*" // its backups too
	if filepath.Base(filepath.Dir(key)) == ".latchgate" {
		line = "/" + filepath.ToSlash(filepath.Dir(rel)) + "/"
	}
	path := filepath.Join(top, ".gitignore")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if slices.ContainsFunc(strings.Split(string(old), "\n"), func(l string) bool {
		l = strings.TrimSpace(l)
		return l == line || l == strings.TrimPrefix(line, "/") || l == strings.Trim(line, "/")
	}) {
		return "", nil
	}
	if len(old) > 0 && !strings.HasSuffix(string(old), "\n") {
		line = "\n" + line
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(line + "\n")
	return path, errors.Join(err, f.Close())
}
