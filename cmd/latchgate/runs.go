package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/gate"
)

func (a *app) runsCommand() *cobra.Command {
	c := &cobra.Command{Use: "runs", Short: "List, renew and revoke open runs", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var asJSON bool
	list := &cobra.Command{Use: "list", Short: "List the daemon's open runs", Args: cobra.NoArgs,
		Example: "  latchgate runs list\n  latchgate runs list --json",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.daemon(c)
			if err != nil {
				return err
			}
			runs, err := client.Runs(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.out, runs)
			}
			var rows [][]string
			for _, r := range runs {
				expires := ""
				if !r.Expires.IsZero() {
					expires = time.Until(r.Expires).Round(time.Second).String()
				}
				rows = append(rows, []string{r.ID, r.Principal, r.Door, strings.Join(r.Actions, ","), time.Since(r.Opened).Round(time.Second).String(), expires, of(r.Requests, r.MaxRequests), of(r.Bytes, r.MaxBytes)})
			}
			return printTable(a.out, []string{"RUN", "PRINCIPAL", "DOOR", "ACTIONS", "OPEN", "EXPIRES IN", "REQUESTS", "BYTES"}, rows)
		}}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	revoke := &cobra.Command{Use: "revoke RUN", Short: "End a run; its tunnels are cut", Args: cobra.ExactArgs(1),
		Example: "  latchgate runs revoke run-1a2b3c4d5e6f",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.daemon(c)
			if err != nil {
				return err
			}
			if err := client.Revoke(c.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "revoked %s\n", args[0])
			return nil
		}}
	c.AddCommand(list, a.renewCommand(), revoke)
	return c
}

func (a *app) renewCommand() *cobra.Command {
	var ttl time.Duration
	c := &cobra.Command{Use: "renew RUN", Short: "Let a run of `latchgate env` live longer", Args: cobra.ExactArgs(1),
		Long: `Let a run that expires live for --ttl from now on, unless it lives longer already.
The policy is asked again. A run that was opened with an approval is not renewed,
nor one whose manifests, or what the policy approves of them, have changed.`,
		Example: "  latchgate runs renew run-1a2b3c4d5e6f --ttl 2h",
		RunE: func(c *cobra.Command, args []string) error {
			if ttl <= 0 {
				return &usageError{errors.New("--ttl must be longer than nothing"), "for example --ttl 30m"}
			}
			client, err := a.daemon(c)
			if err != nil {
				return err
			}
			run, err := client.Renew(c.Context(), args[0], ttl)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s expires in %s\n", run.ID, time.Until(run.Expires).Round(time.Second))
			return nil
		}}
	c.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long the run lives from now on")
	return c
}

// of is a count and what bounds it.
func of(n, limit int64) string {
	if limit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%d of %d", n, limit)
}

// daemon connects to the daemon, which the command can't do without.
func (a *app) daemon(c *cobra.Command) (*gate.Client, error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, err
	}
	client, err := dial(c.Context(), cfg)
	if errors.Is(err, gate.ErrNoDaemon) {
		return nil, withHint(err, "start it with `latchgate proxy`")
	}
	return client, err
}
