package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/secrets"
)

func (a *app) secretsRotateKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-key",
		Short: "Replace the age key by a new one and encrypt the file again",
		Long: `Make a new age key and a new data key, encrypt the whole file again for the new
key and for the file's other recipients, and take the old key out of the file,
the key file and .sops.yaml. The old key is kept beside the new one, as a backup:
older copies of the secrets file need it. A daemon takes the new key by itself.

Whoever had the old key and the old file has the values too: after a leak set
new values as well.`,
		Example: "  latchgate secrets rotate-key",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.rotateKey(c) },
	}
}

func (a *app) rotateKey(c *cobra.Command) error {
	s, cfg, err := a.store(c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	var r secrets.RotateResult
	err = a.during("encrypting everything anew", func() (err error) { r, err = s.RotateKey(c.Context()); return err })
	if err != nil {
		return explainSecrets(err, cfg)
	}
	row := func(what, text string) { fmt.Fprintf(a.out, "%-12s %s\n", what, tui.Clean(text)) }
	row("old key", r.Old)
	row("new key", r.New)
	row("key file", cfg.Secrets.SopsKeyFile)
	row("encrypted", s.File())
	if r.Config != "" {
		row("sops rules", r.Config)
	}
	row("backup", r.Backup)
	if _, err := ignoreKey(cfg.Secrets.SopsKeyFile); err != nil {
		return err
	}
	fmt.Fprintln(a.out, "\nKeep a copy of the new key somewhere safe. The backup of the old one opens older copies of the file; delete it when you need none.")
	return nil
}
