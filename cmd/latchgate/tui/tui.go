// Package tui is the operator's screens: what latchgate does now, what it was
// asked and how it is set up.
//
// [Run] shows them until the operator quits. They hold no logic of latchgate:
// everything that they show or change goes through a [Backend], which is the
// code of the commands. No screen has a field for a secret's value but the
// prompt of Setup → Secrets, which wipes it.
package tui

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate"
)

// Backend is what the screens show and change. Its methods are called off the
// screens' goroutine, may block until ctx is done, and may run at the same time.
type Backend interface {
	// Poll asks the daemon how it is. The error wraps [gate.ErrNoDaemon] where
	// none runs.
	Poll(ctx context.Context) (Sample, error)
	// Events are the last events of the daemon's record and then each new one;
	// see [gate.Client.Events].
	Events(ctx context.Context, recent int) iter.Seq2[audit.Entry, error]
	// Decide approves or denies a ticket.
	Decide(ctx context.Context, ticket string, approve bool) error
	// Installation looks at what is on disk; no daemon is needed.
	Installation(ctx context.Context) Installation
	// Secrets says which are set and who wants them; with an error of the file
	// who wants them all the same.
	Secrets(ctx context.Context) ([]Secret, error)
	// InitSecrets makes key, file and settings, and says in lines what it did.
	InitSecrets(ctx context.Context) ([]string, error)
	// SetSecret keeps nothing of value, which the caller wipes.
	SetSecret(ctx context.Context, name string, value []byte) error
	// RemoveSecret removes a secret from the file.
	RemoveSecret(ctx context.Context, name string) error
	// WhatIf says what the policy would decide on a run of this action.
	WhatIf(ctx context.Context, action string) (Verdict, error)
}

// Sample is the daemon at one moment.
type Sample struct {
	Status    gate.Status
	Runs      []gate.RunStatus
	Approvals []gate.Approval // newest first
	// Counters is nil where the daemon's metrics are off or do not answer, which
	// MetricsFault then says.
	Counters     *Counters
	MetricsFault string
}

// Counters are totals since the daemon started.
type Counters struct {
	Requests, Injections, Denials, CacheHits, CacheMisses float64
}

// Installation is what the configuration, the manifests and the CA are, whether
// a daemon runs or not.
type Installation struct {
	Checks      []Check
	Actions     []gate.ActionStatus
	Problems    []Problem
	Proxy       Proxy
	Certificate Certificate
	Fault       string // why the configuration can't be loaded; the rest is empty then
}

// Check is a line of `latchgate doctor`.
type Check struct {
	Group, Name, Status, Found, Todo string // Status is ok, warning or error
}

// Problem is a line of `latchgate actions validate`.
type Problem struct {
	Where, Action, Message, Hint string // Where is file:line
	Note                         bool   // and no error
}

// Proxy is how a client reaches the proxy.
type Proxy struct {
	Listen         string      // where the configuration puts it
	DefaultActions []string    // of a client without a run's credentials
	Variables      [][2]string // name and value; nil until there is a CA
	Shell          string      // the same as lines for a shell
}

// Certificate is the root that clients have to trust.
type Certificate struct {
	Subject, File, Key, Mode, SHA256 string
	Expires                          time.Time
	Missing                          bool // it is made when it is first needed
	Fault                            string
}

// Secret is a line of `latchgate secrets list`. It has no field for a length.
type Secret struct {
	Name     string
	Set      bool
	Required bool
	InUse    bool // an action in use declares it: see `latchgate secrets list --help`
	Actions  []string
	Hosts    []string
}

// Verdict is what the policy would decide.
type Verdict struct {
	Action, Code, Reason          string
	Because                       [][2]string // what decided, and with what: a label and a rule by file and line
	Secrets, Hosts                []string    // approved
	DeniedSecrets, DeniedHosts    []string    // declared and not approved
	Principal, Door, Risk, Policy string      // what was asked, and of which policy
}

// Options say where the screens are.
type Options struct {
	In      *os.File
	Out     io.Writer
	Environ []string // TERM, NO_COLOR and such
}

// Run shows the screens until the operator quits or ctx is done, which is no
// error. The terminal is then as it was.
func Run(ctx context.Context, b Backend, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	feed := &feed{}
	following.Go(func() { feed.follow(ctx, b) })
	keys := &keyboard{File: o.In}
	m := newModel(ctx, b, feed, keys, time.Now)
	defer m.wipe()
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(keys), tea.WithOutput(o.Out),
		tea.WithEnvironment(anyNoColor(o.Environ)), tea.WithoutSignalHandler()).Run()
	m.over.Store(true)
	m.finish(o.Out)
	if late := m.late.Load(); late != nil && late.err != nil {
		return late.err
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// finish waits for changes that are under way, and says so where that takes long.
func (s *shared) finish(out io.Writer) {
	done := make(chan struct{})
	go func() { s.changes.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-time.After(time.Second):
		_, _ = fmt.Fprintln(out, "latchgate: what was asked for is still under way; ctrl+c gives it up")
	}
	<-done
}

// anyNoColor makes every value of NO_COLOR mean what it says (no-color.org):
// Bubble Tea takes only a Boolean for one.
func anyNoColor(environ []string) []string {
	for _, v := range environ {
		if value, is := strings.CutPrefix(v, "NO_COLOR="); is && value != "" {
			return append(slices.Clip(environ), "NO_COLOR=1")
		}
	}
	return environ
}
