package main

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
)

func (a *app) tuiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "tui",
		Short: "Watch and decide in the terminal",
		Long: `Screens for the operator: what the daemon does, what it was asked, tickets to
decide on, the actions, the policy, and in Setup checks, proxy, certificates,
manifests and secrets. 6 and then 5 is where secrets are set.

Nothing but what the daemon does needs a daemon; it may come and go. ? explains
each screen, q quits. Colours are left out with NO_COLOR.`,
		Example: "  latchgate tui\n  NO_COLOR=1 latchgate tui",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			in, isFile := a.in.(*os.File)
			out, outIsFile := a.out.(*os.File)
			if !isFile || !outIsFile || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
				return &usageError{errors.New("tui needs a terminal"), "`latchgate doctor`, `approvals`, `audit tail` and `secrets` do without"}
			}
			if t := os.Getenv("TERM"); t == "dumb" || t == "" {
				return withHint(errors.New("this terminal (TERM="+t+") can't show screens"),
					"set TERM to what it is, for example TERM=xterm-256color; `latchgate doctor`, `approvals`, `audit tail` and `secrets` do without")
			}
			quiet := *a // what is logged would be written across the screens
			quiet.out, quiet.err = io.Discard, io.Discard
			return tui.Run(c.Context(), &screens{app: quiet, command: c}, tui.Options{In: in, Out: out, Environ: os.Environ()})
		},
	}
}
