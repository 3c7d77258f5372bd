package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/gate"
)

func (a *app) execCommand() *cobra.Command {
	var (
		actions []string
		boxed   bool
		b       bounds
	)
	c := &cobra.Command{
		Use:   "exec --action A... -- COMMAND [ARG...]",
		Short: "Run a command behind the proxy",
		Long: `Run a command behind the proxy. A run of the actions is opened, the proxy and
certificate variables that clients read are set for the command, variables that
hold a declared secret or SOPS keys are taken out, and the run is closed when
the command exits. The exit status is the command's.

With --sandbox (Linux 6.7 and later) the command can't open the age key, the
secrets file, the CA's key or the control socket, can't change the configuration,
manifests and policy, can connect to the proxy alone, and can't trace or
signal the proxy. In a folder that holds one of these files it can make and
remove nothing: keep latchgate's files out of the folder that it works in.

The daemon is used where one is running, else the proxy is in this process.`,
		Example: `  latchgate exec --action github -- git clone https://github.com/you/private
  latchgate exec --action openai --action github -- my-agent
  latchgate exec --sandbox --action github -- my-agent
  latchgate exec --action github --ttl 1h --max-requests 1000 --wait -- my-agent`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.exec(c, &b, actions, args, boxed) },
	}
	c.Flags().StringSliceVarP(&actions, "action", "a", nil, "action that the command may use; repeat for more")
	c.Flags().BoolVar(&boxed, "sandbox", false, "keep the command away from keys, secrets and every port but the proxy's")
	b.flags(c, 0, "how long the run lives; 0: as long as the command")
	c.Flags().SetInterspersed(false)
	return c
}

func (a *app) exec(c *cobra.Command, b *bounds, actions, args []string, boxed bool) (err error) {
	if len(actions) == 0 {
		return &usageError{errors.New("exec needs at least one --action"), "`latchgate actions list` shows them"}
	}
	if err := b.check(); err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return withHint(fmt.Errorf("%s: command not found", args[0]), "give a command on PATH or a path to one")
	}
	if boxed {
		if err := a.checkSandbox(); err != nil {
			return err
		}
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	var s *session
	err = a.during("starting the proxy", func() (err error) { s, err = a.connect(c, cfg, true); return err })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var (
		run     *gate.OpenedRun
		release func()
	)
	err = b.ask(c.Context(), a.err, s.waitApproval, func() error {
		return a.during("opening a run", func() (err error) {
			// An interrupt is for the command to act on; the run stays for its clean-up.
			run, release, err = s.open(context.WithoutCancel(c.Context()),
				gate.OpenRequest{Actions: actions, TTL: b.ttl, MaxRequests: b.maxRequests, MaxBytes: b.maxBytes})
			return err
		})
	})
	if err != nil {
		return err
	}
	defer release()
	if run.Proxy == "" {
		return errUnixProxy
	}
	javaProxy := hostOf(run.Proxy)
	door, err := openLocalDoor(run.Proxy)
	if err != nil {
		return fmt.Errorf("listen for clients that send no proxy credentials: %w", err)
	}
	if door != nil {
		defer door.close()
		javaProxy = door.ln.Addr().String()
	}
	child := exec.Command(program, args[1:]...)
	child.Args[0] = args[0]
	child.Stdin, child.Stdout, child.Stderr = a.in, a.out, a.err
	child.Env = childEnviron(os.Environ(), run, javaProxy)
	if boxed {
		if err := a.sandboxed(child, cfg, run, javaProxy); err != nil {
			return err
		}
	}
	return runChild(child)
}

var errUnixProxy = withHint(errors.New("the daemon's proxy listens on a unix socket, which no client takes from HTTP_PROXY"),
	"set proxy.listen to a loopback address in latchgate.toml")

// runChild runs the command to its end and gives its exit status. Signals are
// the child's to act on: those that a terminal sends reach it anyway, the
// others are passed on.
func runChild(child *exec.Cmd) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		return fmt.Errorf("start %s: %w", child.Args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGHUP {
				_ = child.Process.Signal(sig)
			}
		case err := <-ended:
			return childStatus(err)
		}
	}
}

func childStatus(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitStatus(128 + int(ws.Signal())) // as a shell says it
	}
	return exitStatus(exit.ExitCode())
}
