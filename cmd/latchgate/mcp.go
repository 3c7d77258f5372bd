package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/gate/mcp"
)

func (a *app) mcpCommand() *cobra.Command {
	var filter mcp.Filter
	var wait time.Duration
	c := &cobra.Command{
		Use:   "mcp",
		Short: "Serve actions as MCP tools on standard input and output",
		Long: `Serve actions as tools of the Model Context Protocol on standard input and output,
for a client that starts this command. Each action that has a provider is a tool
of the same name; --action and --tag narrow that down. The list follows the
manifests as they change. Logs go to standard error.

The daemon is used where one is running, else the gate is in this process.`,
		Example: `  latchgate mcp
  latchgate mcp --action 'github_*' --action slack_post_message
  latchgate mcp --tag coding --wait 50s
  claude mcp add latchgate -- latchgate mcp --tag coding`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.serveMCP(c, filter, wait) },
	}
	c.Flags().StringSliceVarP(&filter.Actions, "action", "a", nil, "offer these actions alone; * stands for any text")
	c.Flags().StringSliceVar(&filter.Tags, "tag", nil, "offer actions with one of these tags alone")
	c.Flags().DurationVar(&wait, "wait", 0, "hold a call that needs approval for up to this long; 0: answer at once that it does")
	return c
}

func (a *app) serveMCP(c *cobra.Command, filter mcp.Filter, wait time.Duration) (err error) {
	if wait < 0 {
		return &usageError{errors.New("--wait must not be negative"), "for example --wait 50s"}
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	s, err := a.connect(c, cfg, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	log := a.quietLogger(cfg)
	server := mcp.New(mcp.Options{Gate: toolGate{s}, Filter: filter, Wait: wait, Version: buildVersion(), Log: log})
	if err := server.Refresh(c.Context()); err != nil {
		return err
	}
	if len(server.Tools()) == 0 {
		log.Warn("no action becomes a tool: those without a provider don't, nor those that --action and --tag leave out")
	}
	// What follows the manifests ends with the client.
	ctx, stop := context.WithCancel(c.Context())
	var following sync.WaitGroup
	defer following.Wait()
	defer stop()
	if err := a.followReloads(ctx, c, s, server, log, &following); err != nil {
		return err
	}
	in, ok := a.in.(io.ReadCloser)
	if !ok {
		in = io.NopCloser(a.in)
	}
	return server.Serve(ctx, in, nopCloser{a.out})
}

// nopCloser: standard output is not the server's to close.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// toolGate is the session as the MCP server asks it.
type toolGate struct{ s *session }

func (t toolGate) Actions(ctx context.Context) ([]gate.ActionStatus, error) {
	if t.s.client != nil {
		return t.s.client.Actions(ctx)
	}
	return t.s.local.Actions(), nil
}

func (t toolGate) Execute(ctx context.Context, q gate.ExecuteRequest) (*gate.Executed, error) {
	return t.s.execute(ctx, q)
}

func (t toolGate) WaitApproval(ctx context.Context, ticket string) (*gate.Approval, error) {
	return t.s.waitApproval(ctx, ticket)
}

// followReloads keeps the tools what the manifests are, until ctx is done.
func (a *app) followReloads(ctx context.Context, c *cobra.Command, s *session, server *mcp.Server, log *slog.Logger, wg *sync.WaitGroup) error {
	refresh := func() {
		if err := server.Refresh(ctx); err != nil && ctx.Err() == nil {
			log.Warn("the tools stay what they were", "err", err)
		}
	}
	if s.client != nil {
		wg.Go(func() { followDaemon(ctx, s.client, refresh) })
		return nil
	}
	watch, err := s.local.Watch()
	if err != nil {
		return err
	}
	wg.Go(func() {
		watch(ctx, func() {
			if next, err := a.config(c); err != nil {
				s.local.ReloadFailed(err)
			} else {
				_ = s.local.Reload(ctx, next) // it logged what failed
			}
			refresh()
		})
	})
	return nil
}

// daemonRetry is how long a daemon that went away is left alone.
const daemonRetry = 2 * time.Second

// followDaemon refreshes at each reload of the daemon, and when it is back
// after it went away. It looks at recent events too: a reload may have been
// between the tools that there are and the first event.
func followDaemon(ctx context.Context, client *gate.Client, refresh func()) {
	for {
		for _, err := range client.Events(ctx, gate.EventFilter{Kinds: []audit.Kind{audit.Reload}, Recent: 100}) {
			if err != nil {
				break
			}
			refresh()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(daemonRetry):
			refresh()
		}
	}
}
