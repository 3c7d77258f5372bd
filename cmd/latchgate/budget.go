package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/gate"
)

// bounds are the flags of commands that open a run: its budget, and what to do
// when it needs approval.
type bounds struct {
	ttl         time.Duration
	maxRequests int64
	maxBytes    int64
	wait        bool
}

func (b *bounds) flags(c *cobra.Command, ttl time.Duration, ttlUsage string) {
	c.Flags().DurationVar(&b.ttl, "ttl", ttl, ttlUsage)
	c.Flags().Int64Var(&b.maxRequests, "max-requests", 0, "requests that the run may make; 0: no bound")
	c.Flags().Int64Var(&b.maxBytes, "max-bytes", 0, "bytes of request and response bodies that it may move, together; 0: no bound")
	c.Flags().BoolVar(&b.wait, "wait", false, "where approval is needed, wait until somebody decides")
}

func (b *bounds) check() error {
	switch {
	case b.ttl < 0:
		return &usageError{errors.New("--ttl must not be negative"), "for example --ttl 30m"}
	case b.maxRequests < 0, b.maxBytes < 0:
		return &usageError{errors.New("--max-requests and --max-bytes must not be negative"), "0, the default, is no bound"}
	}
	return nil
}

// approver is where a ticket can be waited for: a client or a session.
type approver func(ctx context.Context, ticket string) (*gate.Approval, error)

// ask does what may need an approval. With --wait it waits for that, and then
// does it again: the same request, which the approval is for.
func (b *bounds) ask(ctx context.Context, errOut io.Writer, wait approver, do func() error) error {
	err := do()
	var needs *gate.Error
	if !b.wait || !errors.As(err, &needs) || needs.Code != gate.CodeApprovalRequired || needs.Ticket == "" {
		return err
	}
	fmt.Fprintf(errOut, "latchgate: %s\n  waiting for `latchgate approvals approve %s`\n", tui.Clean(needs.Message), tui.Clean(needs.Ticket))
	a, err := wait(ctx, needs.Ticket)
	switch {
	case ctx.Err() != nil:
		return withHint(fmt.Errorf("stopped waiting for %s", needs.Ticket), "run the command again once it is approved")
	case err != nil:
		return err
	case a.State == gate.ApprovalExpired:
		return withHint(fmt.Errorf("nobody decided on %s", needs.Ticket), "run the command again, for another ticket")
	}
	return do() // approved: it runs; denied: that is the error
}
