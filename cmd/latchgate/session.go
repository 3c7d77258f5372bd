package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
)

// session is the gate that `exec` and `run` use: the daemon's where its socket
// answers, else one in this process.
type session struct {
	client *gate.Client // nil: local
	local  *gate.Gate
	served chan error
	bare   bool // local, with no configuration file
}

// dial connects to the daemon. The error wraps [gate.ErrNoDaemon] where none runs,
// and says what to do about one that may not be asked or does not answer.
func dial(ctx context.Context, cfg *configs.Config) (*gate.Client, error) {
	client, err := gate.Dial(ctx, cfg.Gate.Socket)
	switch {
	case errors.Is(err, gate.ErrSocketDenied):
		return nil, withHint(err, "it answers the user who runs the daemon, and root: run this as one of them (sudo -u USER latchgate …), or set gate.socket to a daemon of your own")
	case err != nil && !errors.Is(err, gate.ErrNoDaemon):
		return nil, withHint(fmt.Errorf("the daemon at %s does not answer: %w", cfg.Gate.Socket, err), "restart it, and look at its log; `latchgate doctor` says which process it is")
	}
	return client, err
}

// connect finds the daemon or becomes it, for the length of one command. With
// door, a local gate listens on a free loopback port.
func (a *app) connect(c *cobra.Command, cfg *configs.Config, door bool) (*session, error) {
	client, err := dial(c.Context(), cfg)
	if err == nil {
		return &session{client: client}, nil
	}
	if !errors.Is(err, gate.ErrNoDaemon) && !errors.Is(err, gate.ErrSocketDenied) {
		return nil, err
	}
	if door {
		if cfg, err = configs.Load(configs.Options{File: a.configFile, Environ: append(os.Environ(),
			"LATCHGATE_PROXY__LISTEN=127.0.0.1:0", "LATCHGATE_PROXY__DEFAULT_ACTIONS=")}); err != nil {
			return nil, err
		}
	}
	g, err := gate.New(c.Context(), gate.Options{Config: cfg, Log: a.quietLogger(cfg), Version: buildVersion()})
	if err != nil {
		return nil, err
	}
	s := &session{local: g, bare: cfg.File() == ""}
	if !door {
		return s, nil
	}
	ln, err := g.Listen()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.served = make(chan error, 1)
	go func() { s.served <- g.Serve(ln) }()
	return s, nil
}

// open opens a run that ends when release is called, or with this process.
func (s *session) open(ctx context.Context, q gate.OpenRequest) (run *gate.OpenedRun, release func(), err error) {
	q.Door = gate.DoorExec
	if s.client != nil {
		return s.client.OpenAttached(ctx, q)
	}
	q.Principal = self()
	run, err = s.local.Open(ctx, q)
	if err != nil {
		return nil, nil, s.explain(err)
	}
	return run, func() { s.local.Close(run.ID) }, nil
}

// execute runs an action through its provider.
func (s *session) execute(ctx context.Context, q gate.ExecuteRequest) (*gate.Executed, error) {
	if s.client != nil {
		return s.client.Execute(ctx, q)
	}
	q.Principal = self()
	done, err := s.local.Execute(ctx, q)
	return done, s.explain(err)
}

// explain says of an action that is not there what a change of the folder does:
// latchgate.toml, which names one's own, is not looked for in the folders above.
func (s *session) explain(err error) error {
	if e, ok := errors.AsType[*gate.Error](err); ok && s.bare && e.Code == gate.CodeActionUnknown {
		return withHint(err, e.Hint+"; no latchgate.toml was found: --config or LATCHGATE_CONFIG names one that is elsewhere")
	}
	return err
}

// waitApproval returns a ticket once it is decided or has expired.
func (s *session) waitApproval(ctx context.Context, ticket string) (*gate.Approval, error) {
	if s.client != nil {
		return s.client.WaitApproval(ctx, ticket)
	}
	return s.local.Approvals().Wait(ctx, ticket, gate.ApprovalTTL)
}

// self is the principal that this process is.
func self() string { return gate.PrincipalOf(uint32(os.Getuid())) }

// close ends a local gate: the command it served has ended, so nothing is
// worth waiting for.
func (s *session) close() error {
	if s.local == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	err := s.local.Shutdown(ctx)
	if s.served != nil {
		<-s.served
	}
	return ignoreLate(err)
}
