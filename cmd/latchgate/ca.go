package main

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/certs"
)

func (a *app) caCommand() *cobra.Command {
	c := &cobra.Command{Use: "ca", Short: "Show and export the certificate authority", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var asJSON bool
	show := &cobra.Command{Use: "show", Short: "Show the root certificate", Args: cobra.NoArgs,
		Example: "  latchgate ca show\n  latchgate ca show --json",
		RunE:    func(c *cobra.Command, _ []string) error { return a.showCA(c, asJSON) }}
	show.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	export := &cobra.Command{Use: "export", Short: "Write the root certificate, PEM", Args: cobra.NoArgs,
		Example: "  latchgate ca export > latchgate-root.pem",
		RunE: func(c *cobra.Command, _ []string) error {
			ca, err := a.openCA(c)
			if err != nil {
				return err
			}
			_, err = a.out.Write(ca.RootPEM())
			return err
		}}
	bundle := &cobra.Command{Use: "bundle", Short: "Write the system's roots and ours, PEM", Args: cobra.NoArgs,
		Example: "  latchgate ca bundle > bundle.pem && export SSL_CERT_FILE=$PWD/bundle.pem",
		RunE: func(c *cobra.Command, _ []string) error {
			ca, err := a.openCA(c)
			if err != nil {
				return err
			}
			pem, err := ca.Bundle()
			if err != nil {
				return err
			}
			_, err = a.out.Write(pem)
			return err
		}}
	c.AddCommand(show, export, bundle)
	return c
}

func (a *app) openCA(c *cobra.Command) (*certs.CA, error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, err
	}
	return certs.Open(cfg.CA.Dir, certs.Options{Logger: slog.New(slog.NewTextHandler(a.err, nil))})
}

func (a *app) showCA(c *cobra.Command, asJSON bool) error {
	ca, err := a.openCA(c)
	if err != nil {
		return err
	}
	root := ca.Root()
	v := struct {
		Subject     string    `json:"subject"`
		File        string    `json:"file"`
		Expires     time.Time `json:"expires"`
		Fingerprint string    `json:"sha256_fingerprint"`
	}{root.Subject.CommonName, ca.RootFile(), root.NotAfter, fingerprint(root)}
	if asJSON {
		return printJSON(a.out, v)
	}
	return printTable(a.out, []string{"CA", v.Subject}, [][]string{{"file", v.File}, {"expires", v.Expires.Format(time.DateOnly)}, {"sha256", v.Fingerprint}})
}

func fingerprint(root *x509.Certificate) string { return fmt.Sprintf("%X", sha256.Sum256(root.Raw)) }
