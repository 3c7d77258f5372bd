// Command latchgate holds credentials so that agents don't: a forward proxy
// that stamps them on the wire, and a gate that runs declared actions.
//
// Each command is one file here; what they do is in package gate.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/latchgate/latchgate/cmd/latchgate/sandbox"
	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/gate"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // until the process ends
		<-signals
		// The first one asks, a second one ends the process: from before
		// anybody can know that the first one was heard.
		signal.Stop(signals)
		cancel()
	}()
	if err := sandbox.Harden(false); err != nil {
		report(os.Stderr, err)
		os.Exit(exitError)
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is wrong usage: exit status 2.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exitStatus ends latchgate with the status of the command that it ran.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// run is main without the process around it.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	log.SetOutput(io.Discard) // net/http quotes there what an upstream said unasked, be it a secret
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	report(errOut, err)
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}

// report prints an error: one line what, one line what to do. Several that
// came together are printed one after the other. Packages below write "what;
// what to do" where a message has to do without a hint of its own.
func report(w io.Writer, err error) {
	todo := hintOf(err)
	for what := range strings.SplitSeq(err.Error(), "\n") {
		if at := strings.LastIndex(what, "; "); todo == "" && at >= 0 {
			what, todo = what[:at], what[at+2:]
		}
		fmt.Fprintln(w, "latchgate: "+tui.Clean(what))
		if todo != "" {
			fmt.Fprintln(w, "  "+tui.Clean(todo))
		}
		todo = ""
	}
}

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func withHint(err error, hint string) error { return &hinted{err, hint} }

func hintOf(err error) string {
	var (
		usage *usageError
		h     *hinted
		own   *gate.Error
	)
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &own):
		return own.Hint
	}
	return ""
}
