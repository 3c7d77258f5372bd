package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
)

func (a *app) approvalsCommand() *cobra.Command {
	c := &cobra.Command{Use: "approvals", Short: "Decide on requests that need a person's approval",
		Long: `Decide on requests that need a person's approval. A request of an action that the
policy does not let run by itself gets a ticket, which is good for that very
request (principal, actions, arguments, hosts, budget), for 300 seconds, once.

Whoever may use the control socket, or write the ticket file, may approve: that
is every process of the user who runs latchgate. Run agents as another user.`,
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(a.listApprovalsCommand(),
		a.ticketCommand("show TICKET", "Show what a ticket would let run", "  latchgate approvals show apr-1a2b3c4d5e6f", approvals.Approval, printApproval),
		a.ticketCommand("approve TICKET", "Let a request run, once", "  latchgate approvals approve apr-1a2b3c4d5e6f", approvals.Approve, printDecided),
		a.ticketCommand("deny TICKET", "Refuse a request", "  latchgate approvals deny apr-1a2b3c4d5e6f", approvals.Deny, printDecided))
	return c
}

// approvals is where the tickets are: the daemon, or their file.
type approvals interface {
	Approvals(ctx context.Context) ([]gate.Approval, error)
	Approval(ctx context.Context, ticket string) (*gate.Approval, error)
	Approve(ctx context.Context, ticket string) (*gate.Approval, error)
	Deny(ctx context.Context, ticket string) (*gate.Approval, error)
}

// withApprovals finds the daemon's tickets, or those of the file where no
// daemon runs: `exec` and `run` ask without one too.
func (a *app) withApprovals(c *cobra.Command, use func(approvals) error) error {
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	client, err := dial(c.Context(), cfg)
	if err == nil {
		return use(client)
	}
	if !errors.Is(err, gate.ErrNoDaemon) {
		return err
	}
	err = use(localApprovals{cfg})
	var failed *gate.Error
	if errors.As(err, &failed) && failed.Code == gate.CodeInternal { // there is no daemon's log to find the cause in
		return withHint(failed.Err, "check the folder of ca.dir, where approvals are kept; a file that is damaged may be removed")
	}
	return err
}

// localApprovals are the tickets in their file. It decides in the name of this
// process' user, and writes the audit record when it does: to look writes nothing.
type localApprovals struct{ cfg *configs.Config }

func (l localApprovals) Approvals(context.Context) ([]gate.Approval, error) {
	return gate.OpenApprovals(l.cfg, nil).List()
}

func (l localApprovals) Approval(_ context.Context, ticket string) (*gate.Approval, error) {
	return gate.OpenApprovals(l.cfg, nil).Get(ticket)
}

func (l localApprovals) Approve(ctx context.Context, ticket string) (*gate.Approval, error) {
	return l.decide(ctx, ticket, (*gate.Approvals).Approve)
}

func (l localApprovals) Deny(ctx context.Context, ticket string) (*gate.Approval, error) {
	return l.decide(ctx, ticket, (*gate.Approvals).Deny)
}

func (l localApprovals) decide(ctx context.Context, ticket string, how func(_ *gate.Approvals, ticket, by string) (*gate.Approval, error)) (_ *gate.Approval, err error) {
	record, err := audit.Open(l.cfg.Audit.File, audit.Options{})
	if err != nil {
		return nil, withHint(err, "a decision has to be recorded: set audit.file in latchgate.toml to a path that can be written")
	}
	defer func() { err = errors.Join(err, record.Close(context.WithoutCancel(ctx))) }()
	return how(gate.OpenApprovals(l.cfg, record), ticket, self())
}

func (a *app) listApprovalsCommand() *cobra.Command {
	var asJSON, all bool
	list := &cobra.Command{Use: "list", Short: "List the tickets that wait, or were approved and not used", Args: cobra.NoArgs,
		Example: "  latchgate approvals list\n  latchgate approvals list --all --json"}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	list.Flags().BoolVar(&all, "all", false, "those too that were used, denied or expired in the last hour")
	list.RunE = func(c *cobra.Command, _ []string) error {
		return a.withApprovals(c, func(from approvals) error {
			found, err := from.Approvals(c.Context())
			if err != nil {
				return err
			}
			shown, rows := []gate.Approval{}, [][]string{}
			for _, t := range found {
				if !all && t.State != gate.ApprovalPending && t.State != gate.ApprovalApproved {
					continue
				}
				shown = append(shown, t)
				rows = append(rows, []string{t.Ticket, t.State, t.Principal, t.Door, strings.Join(t.Actions, ","), argumentNames(&t), untilOver(t.Expires)})
			}
			if asJSON {
				return printJSON(a.out, shown)
			}
			return printTable(a.out, []string{"TICKET", "STATE", "PRINCIPAL", "DOOR", "ACTIONS", "ARGUMENTS", "EXPIRES IN"}, rows)
		})
	}
	return list
}

// ticketCommand makes a command that does one thing with one ticket.
func (a *app) ticketCommand(use, short, example string, do func(approvals, context.Context, string) (*gate.Approval, error), show func(*app, *gate.Approval) error) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ExactArgs(1)}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.withApprovals(c, func(from approvals) error {
			t, err := do(from, c.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.out, t)
			}
			return show(a, t)
		})
	}
	return c
}

func printDecided(a *app, t *gate.Approval) error {
	_, err := fmt.Fprintln(a.out, tui.Clean(fmt.Sprintf("%s %s: %s for %s", t.State, t.Ticket, strings.Join(t.Actions, ", "), t.Principal)))
	return err
}

func printApproval(a *app, t *gate.Approval) error {
	rows := [][]string{{"state", t.State}}
	if t.DecidedBy != "" {
		rows = append(rows, []string{"decided by", t.DecidedBy})
	}
	rows = append(rows, []string{"principal", t.Principal}, []string{"door", t.Door}, []string{"actions", strings.Join(t.Actions, ", ")},
		[]string{"why", strings.Join(t.Reasons, "; ")}, []string{"hosts", strings.Join(t.Hosts, ", ")}, []string{"secrets", strings.Join(t.Secrets, ", ")})
	for _, arg := range t.Arguments {
		rows = append(rows, []string{"argument " + plain(arg.Name), valueOf(&arg)})
	}
	rows = append(rows, []string{"budget", budgetOf(t)}, []string{"expires in", untilOver(t.Expires)}, []string{"digest", t.Digest})
	return printTable(a.out, []string{"TICKET", t.Ticket}, rows)
}

// maxShown is how much of a value is shown to a person, in bytes.
const maxShown = 2000

// valueOf is an argument's value for a terminal: what an agent wrote is quoted,
// so that nothing in it moves the cursor or hides behind the reading direction.
func valueOf(arg *gate.Argument) string {
	size := fmt.Sprintf("%d bytes", arg.Bytes)
	if arg.Value == nil {
		return size + ", the value is not kept any more"
	}
	text := fmt.Sprint(arg.Value)
	if _, ok := arg.Value.(string); !ok {
		text = compactJSON(arg.Value)
	}
	if len(text) > maxShown {
		return fmt.Sprintf("%q… (%s in all; --json shows them)", text[:maxShown], size)
	}
	return fmt.Sprintf("%q", text)
}

func plain(name string) string {
	quoted := strconv.Quote(name)
	if quoted == `"`+name+`"` && !strings.ContainsAny(name, " \t") {
		return name
	}
	return quoted
}

func argumentNames(t *gate.Approval) string {
	names := make([]string, len(t.Arguments))
	for i, arg := range t.Arguments {
		names[i] = plain(arg.Name)
	}
	return strings.Join(names, ",")
}

func budgetOf(t *gate.Approval) string {
	var parts []string
	if t.TTLSeconds > 0 {
		parts = append(parts, (time.Duration(t.TTLSeconds * float64(time.Second))).String())
	}
	if t.MaxRequests > 0 {
		parts = append(parts, fmt.Sprintf("%d requests", t.MaxRequests))
	}
	if t.MaxBytes > 0 {
		parts = append(parts, fmt.Sprintf("%d bytes", t.MaxBytes))
	}
	return cmp.Or(strings.Join(parts, ", "), "none: until it is closed")
}

func untilOver(t time.Time) string {
	if left := time.Until(t).Round(time.Second); left > 0 {
		return left.String()
	}
	return "over"
}
