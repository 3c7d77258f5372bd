package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/gate"
)

func (a *app) runsCommand() *cobra.Command {
	c := &cobra.Command{Use: "runs", Short: "List and revoke open runs", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var asJSON bool
	list := &cobra.Command{Use: "list", Short: "List the daemon's open runs", Args: cobra.NoArgs,
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
				rows = append(rows, []string{r.ID, r.Principal, r.Door, strings.Join(r.Actions, ","), time.Since(r.Opened).Round(time.Second).String(), expires, strconv.FormatInt(r.Requests, 10)})
			}
			return printTable(a.out, []string{"RUN", "PRINCIPAL", "DOOR", "ACTIONS", "OPEN", "EXPIRES IN", "REQUESTS"}, rows)
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
	c.AddCommand(list, revoke)
	return c
}

// daemon connects to the daemon, which the command can't do without.
func (a *app) daemon(c *cobra.Command) (*gate.Client, error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, err
	}
	client, err := gate.Dial(c.Context(), cfg.Gate.Socket)
	if err != nil {
		return nil, withHint(err, "start it with `latchgate proxy`")
	}
	return client, nil
}
