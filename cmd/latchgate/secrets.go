package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/secrets"
)

func (a *app) secretsCommand() *cobra.Command {
	c := &cobra.Command{Use: "secrets", Short: "Make and edit the encrypted secrets file", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var fromStdin bool
	var fromFile string
	set := &cobra.Command{Use: "set NAME [VALUE]", Short: "Set a secret", Args: cobra.RangeArgs(1, 2),
		Long: `Set a secret. The value comes from a prompt that does not show it, from
--stdin or from --file, byte for byte; one newline at its end is left out.
As an argument it would stay in the shell's history.`,
		Example: `  latchgate secrets set GITHUB_TOKEN
  gh auth token | latchgate secrets set GITHUB_TOKEN --stdin
  latchgate secrets set TLS_KEY --file key.pem`,
		RunE: func(c *cobra.Command, args []string) error { return a.setSecret(c, args, fromStdin, fromFile) }}
	set.Flags().BoolVar(&fromStdin, "stdin", false, "read the value from standard input")
	set.Flags().StringVar(&fromFile, "file", "", "read the value from a file")
	remove := &cobra.Command{Use: "remove NAME", Short: "Remove a secret", Args: cobra.ExactArgs(1),
		Example: "  latchgate secrets remove GITHUB_TOKEN",
		RunE:    func(c *cobra.Command, args []string) error { return a.removeSecret(c, args[0]) }}
	imports := &cobra.Command{Use: "import FILE", Short: "Set all secrets of a dotenv or JSON file in one step", Args: cobra.ExactArgs(1),
		Long: `Set all secrets of a plaintext file, or none of them where one can't be set: a
JSON object where its name ends in .json, else lines NAME=value. - is standard
input, in either form. Others in the secrets file stay.`,
		Example: `  latchgate secrets import .env
  latchgate secrets import tokens.json
  op inject -i secrets.env | latchgate secrets import -`,
		RunE: func(c *cobra.Command, args []string) error { return a.importSecrets(c, args[0]) }}
	c.AddCommand(a.secretsInitCommand(), set, remove, a.listSecretsCommand(), imports, a.secretsEditCommand(), a.secretsRotateKeyCommand())
	return c
}

// store opens the secrets of the configuration, for editing.
func (a *app) store(c *cobra.Command) (*secrets.Store, *configs.Config, error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Secrets.SopsSecretsFile == "" {
		return nil, nil, withHint(errors.New("no sops_secrets_file is configured"), "run `latchgate secrets init`, or set secrets.sops_secrets_file in latchgate.toml")
	}
	s, err := secrets.Open(secrets.Options{File: cfg.Secrets.SopsSecretsFile, KeyFile: cfg.Secrets.SopsKeyFile,
		Backend: cfg.Secrets.Backend, DecryptTimeout: cfg.Secrets.DecryptTimeout, Logger: a.quietLogger(cfg)})
	return s, cfg, err
}

// edit changes the secrets file in one step.
func (a *app) edit(c *cobra.Command, change func(*secrets.Document) error) error {
	s, cfg, err := a.store(c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	return a.during("decrypting and encrypting "+cfg.Secrets.SopsSecretsFile, func() error {
		return explainSecrets(s.Edit(c.Context(), change), cfg)
	})
}

// explainSecrets adds what to do about an error of the store, and for the
// operator at the terminal its cause.
func explainSecrets(err error, cfg *configs.Config) error {
	var e *secrets.Error
	if !errors.As(err, &e) {
		return err
	}
	hint := map[secrets.Code]string{
		secrets.SopsNotFound:        "install sops 3.8 or newer, or use a file with an age recipient",
		secrets.KeyFileNotFound:     fmt.Sprintf("looked for %s; run `latchgate secrets init`, or set secrets.sops_key_file in latchgate.toml", cfg.Secrets.SopsKeyFile),
		secrets.SecretsFileNotFound: fmt.Sprintf("looked for %s; run `latchgate secrets init`, or set secrets.sops_secrets_file in latchgate.toml", cfg.Secrets.SopsSecretsFile),
		secrets.DecryptFailed:       "is this the key that the file was encrypted for, and may this user read both? the file: " + cfg.Secrets.SopsSecretsFile,
		secrets.SecretsUnparsable:   "the top level of the file must be a map of names to values",
	}[e.Code]
	switch {
	case errors.Is(err, secrets.ErrEmptyFile):
		hint = "encrypt the plaintext again with that command; where it is gone, `latchgate secrets init --force` begins anew"
	case errors.Is(err, secrets.ErrNotEncrypted):
		hint = "encrypt it in place with `sops -e -i " + cfg.Secrets.SopsSecretsFile + "`, or take its values in with `latchgate secrets import`"
	case errors.Is(err, context.DeadlineExceeded):
		hint = "look why the key service does not answer, or raise secrets.decrypt_timeout, which is " + cfg.Secrets.DecryptTimeout.String()
	case e.Code == secrets.DecryptFailed && strings.Contains(e.Detail, "MAC mismatch"):
		hint = "somebody changed or merged the file as text: put the last good one back, and change it with `latchgate secrets edit` or sops"
	}
	if e.Detail != "" {
		err = fmt.Errorf("%w (%s)", err, e.Detail)
	}
	return withHint(err, hint)
}

func checkSecretName(name string) error {
	if secrets.ValidName(name) {
		return nil
	}
	return &usageError{fmt.Errorf("%q can't be the name of a secret", name), "letters, digits, _ . - and not a digit first; at most 128 characters"}
}

func (a *app) setSecret(c *cobra.Command, args []string, fromStdin bool, fromFile string) error {
	name := args[0]
	if err := checkSecretName(name); err != nil {
		return err
	}
	given := 0
	for _, is := range []bool{len(args) == 2, fromStdin, fromFile != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		return &usageError{errors.New("the value is given twice"), "give it as an argument, with --stdin or with --file"}
	}
	var value []byte
	var err error
	switch {
	case len(args) == 2:
		fmt.Fprintln(a.err, "latchgate: warning: a value on the command line stays in the shell's history and shows in `ps`; use the prompt or --stdin")
		value = []byte(args[1])
	case fromFile != "":
		value, err = a.readFile(fromFile)
	case fromStdin:
		value, err = io.ReadAll(a.in)
	default:
		value, err = a.promptSecret(c.Context(), name)
	}
	if err != nil {
		return err
	}
	defer clear(value)
	if len(args) == 1 {
		value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
	}
	if err := a.edit(c, func(d *secrets.Document) error { return d.Set(name, value) }); err != nil {
		return err
	}
	if len(value) == 0 && len(args) == 1 {
		fmt.Fprintf(a.err, "latchgate: warning: %s is empty now; if what was read should have had something in it, set it again\n", name)
	}
	fmt.Fprintf(a.out, "set %s\n", name)
	if declared := a.declaredSecrets(c); !slices.Contains(declared, name) {
		if near := nearest(name, declared); near != "" {
			fmt.Fprintf(a.err, "latchgate: warning: no action declares %s; did you mean %s?\n", name, near)
		}
	}
	return nil
}

// promptSecret asks on the terminal, without echo.
func (a *app) promptSecret(ctx context.Context, name string) ([]byte, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, &usageError{errors.New("no terminal to ask for the value on"), "pipe it in with --stdin, or name a file with --file"}
	}
	state, err := term.GetState(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(a.err, "Value of %s: ", name)
	value, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(int(f.Fd())) })
	fmt.Fprintln(a.err)
	if ctx.Err() != nil {
		// An interrupt must not leave the terminal without echo, nor half a value
		// on it, which the shell would take for a command.
		_ = forgetTyped(int(f.Fd()))
		_ = term.Restore(int(f.Fd()), state)
		return nil, exitStatus(130)
	}
	return value, err
}

func (a *app) removeSecret(c *cobra.Command, name string) error {
	var names []string
	err := a.edit(c, func(d *secrets.Document) error { names = d.Names(); return d.Remove(name) })
	if errors.Is(err, secrets.ErrNoSecret) {
		hint := "`latchgate secrets list` shows what is there"
		if near := nearest(name, names); near != "" {
			hint = fmt.Sprintf("did you mean %s? %s", near, hint)
		}
		return withHint(err, hint)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "removed %s\n", name)
	return nil
}

func (a *app) importSecrets(c *cobra.Command, file string) error {
	raw, err := a.readFile(file)
	if err != nil {
		return err
	}
	defer clear(raw)
	name := file
	if file == "-" && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		name = "-.json" // standard input has no name to tell the format by
	}
	values, err := secrets.ParseImport(name, raw)
	if err != nil {
		return withHint(fmt.Errorf("%s: %w", file, err), "a JSON object of strings, or lines of NAME=value")
	}
	if err := a.edit(c, func(d *secrets.Document) error { return d.Import(values) }); err != nil {
		return err
	}
	if file == "-" {
		fmt.Fprintf(a.out, "imported %d secrets\n", len(values))
		return nil
	}
	fmt.Fprintf(a.out, "imported %d secrets; now delete %s\n", len(values), tui.Clean(file))
	return nil
}
