package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/gate"
)

var envFormats = []string{"shell", "dotenv", "json", "docker"}

func (a *app) envCommand() *cobra.Command {
	var (
		actions []string
		format  string
		b       bounds
	)
	c := &cobra.Command{
		Use:   "env --action A...",
		Short: "Open a run and print its environment, for other launchers",
		Long: `Open a run in the daemon and print the variables that a client needs to use it.
Whoever has them has the run, until it expires or is revoked.`,
		Example: `  eval "$(latchgate env --action github)"
  latchgate env --action github --format docker > agent.env && docker run --env-file agent.env ...
  latchgate env --action github --ttl 15m --format json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(actions) == 0 {
				return &usageError{errors.New("env needs at least one --action"), "`latchgate actions list` shows them"}
			}
			if !slices.Contains(envFormats, format) {
				return &usageError{fmt.Errorf("unknown format %q", format), "one of " + strings.Join(envFormats, ", ")}
			}
			if err := b.check(); err != nil {
				return err
			}
			if b.ttl == 0 {
				return &usageError{errors.New("--ttl must be longer than nothing"), "for example --ttl 30m"}
			}
			cfg, err := a.config(c)
			if err != nil {
				return err
			}
			client, err := dial(c.Context(), cfg)
			if err != nil && !errors.Is(err, gate.ErrNoDaemon) {
				return err
			}
			if err != nil {
				return withHint(err, "env needs the daemon: start it with `latchgate proxy`, or use `latchgate exec` without one")
			}
			var run *gate.OpenedRun
			err = b.ask(c.Context(), a.err, client.WaitApproval, func() error {
				return a.during("opening a run", func() (err error) {
					run, err = client.Open(c.Context(), gate.OpenRequest{Door: gate.DoorEnv, Actions: actions, TTL: b.ttl, MaxRequests: b.maxRequests, MaxBytes: b.maxBytes})
					return err
				})
			})
			if err != nil {
				return err
			}
			if run.Proxy == "" {
				return errUnixProxy
			}
			return printEnv(a.out, format, variables(run, hostOf(run.Proxy)), withheldNames(os.Environ(), run))
		},
	}
	c.Flags().StringSliceVarP(&actions, "action", "a", nil, "action that the client may use; repeat for more")
	c.Flags().StringVar(&format, "format", "shell", "shell, dotenv, json or docker")
	b.flags(c, time.Hour, "how long the run lives")
	return c
}

func printEnv(w io.Writer, format string, vars []variable, unset []string) error {
	switch format {
	case "json":
		flat := make(map[string]string, len(vars))
		for _, v := range vars {
			flat[v.name] = v.value
		}
		return printJSON(w, flat)
	case "shell":
		for _, name := range unset {
			fmt.Fprintf(w, "unset %s\n", name)
		}
		for _, v := range vars {
			fmt.Fprintf(w, "export %s=%s\n", v.name, shellQuote(v.value))
		}
	case "dotenv":
		for _, v := range vars {
			fmt.Fprintf(w, "%s=%s\n", v.name, dotenvQuote(v.value))
		}
	case "docker": // NAME=VALUE to the end of the line, nothing is a quote
		for _, v := range vars {
			fmt.Fprintf(w, "%s=%s\n", v.name, v.value)
		}
	}
	return nil
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

var dotenvEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "$", `\$`)

func dotenvQuote(s string) string { return `"` + dotenvEscapes.Replace(s) + `"` }
