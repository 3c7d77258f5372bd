package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/policy"
)

// The statuses of a check.
const (
	checkOK      = "ok"
	checkWarning = "warning"
	checkError   = "error"
)

// exitWarnings is doctor's exit status where there is nothing worse.
const exitWarnings = 2

// check is one thing that was looked at.
type check struct {
	Group  string `json:"group"`
	Name   string `json:"name"`
	Status string `json:"status"`
	Found  string `json:"found"`
	Todo   string `json:"todo,omitempty"` // never empty unless ok

	Client *triedClient `json:"client,omitempty"` // of --clients
}

// doctor looks at an installation and changes nothing in it.
type doctor struct {
	cfg      *configs.Config
	catalog  *manifests.Catalog
	problems []manifests.Problem
	daemon   *gate.Client // nil where none answers
	silent   error        // why one that is there does not answer
	environ  []string     // of this shell
	step     func(string) // says what takes long
	group    string       // of the checks that are being made
	checks   []check
}

// doctorGroups are the checks that need a configuration, in the order in which
// they are printed.
var doctorGroups = []struct {
	name string
	look func(*doctor, context.Context)
}{
	{"actions", (*doctor).lookAtActions},
	{"policy", (*doctor).lookAtPolicy},
	{"secrets", (*doctor).lookAtSecrets},
	{"key", (*doctor).lookAtKey},
	{"ca", (*doctor).lookAtCA},
	{"daemon", (*doctor).lookAtDaemon},
	{"ports", (*doctor).lookAtPorts},
	{"clock", (*doctor).lookAtClock},
	{"shell", (*doctor).lookAtShell},
	{"sandbox", (*doctor).lookAtSandbox},
	{"process", (*doctor).lookAtProcess},
	{"clients", (*doctor).lookAtClients},
}

func (a *app) doctorCommand() *cobra.Command {
	var (
		asJSON, clients, attack bool
		actions                 []string
	)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check the installation and say what to do",
		Long: `Check the installation: configuration, actions, policy, secrets, keys, certificate
authority, daemon, ports, clock, this shell, the sandbox, and the runtimes on PATH. Every line that
is not ok says what to do. Nothing is changed, and no value is shown or measured.

With --clients, each runtime that is on PATH makes a request through a proxy of its own to a server
on this machine: does it find the proxy, does it trust the certificate, does it arrive with the
credential? With --attack, the configuration is attacked: by the daemon where one answers, and by a
proxy in this process whose only way out ends on this machine. Neither sends anything outside.

The exit status is 0 when all is well, 1 with errors, 2 with warnings only.`,
		Example: `  latchgate doctor
  latchgate doctor --clients
  latchgate doctor --attack --action github
  latchgate doctor --json | jq -r '.checks[] | select(.status != "ok") | .todo'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(actions) > 0 && !attack {
				return &usageError{errors.New("--action says what --attack is about"), "latchgate doctor --attack --action " + actions[0]}
			}
			step, done := a.progress()
			defer done()
			d := &doctor{environ: os.Environ(), step: step}
			step("reading the configuration")
			if d.load(c.Context(), func() (*configs.Config, error) { return a.config(c) }) {
				switch {
				case clients || attack:
					if clients {
						d.tryClients(c.Context(), a)
					}
					if attack {
						d.attack(c.Context(), a, actions)
					}
				default:
					d.look(c.Context())
				}
			}
			done()
			if c.Context().Err() != nil {
				return exitStatus(130)
			}
			if err := d.print(a.out, asJSON); err != nil {
				return err
			}
			return d.status()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&clients, "clients", false, "try each client runtime on PATH for real, through a proxy")
	c.Flags().BoolVar(&attack, "attack", false, "attack the configuration; what is not refused is an error")
	c.Flags().StringSliceVarP(&actions, "action", "a", nil, "with --attack: attack these, and not the default actions or those whose secrets are set")
	return c
}

// load reads what the checks are about; false: it can't be known.
func (d *doctor) load(ctx context.Context, load func() (*configs.Config, error)) bool {
	d.group = "configuration"
	var err error
	if d.cfg, err = load(); err != nil {
		d.lookAtProblems(err)
		return false
	}
	d.catalog, d.problems = manifests.Load(manifests.LoadOptions{Dirs: d.cfg.Manifests.Dirs, Bundled: d.cfg.Manifests.Bundled})
	if client, err := gate.Dial(ctx, d.cfg.Gate.Socket); err == nil {
		d.daemon = client
	} else if !errors.Is(err, gate.ErrNoDaemon) {
		d.silent = err
	}
	return true
}

// look makes all checks that change and send nothing.
func (d *doctor) look(ctx context.Context) {
	d.ok("file", cmp.Or(d.cfg.File(), "none; the defaults are in force"), "")
	for _, g := range doctorGroups {
		d.group = g.name
		d.step("looking at " + g.name)
		g.look(d, ctx)
	}
}

func (d *doctor) ok(name, found, todo string)   { d.add(name, checkOK, found, todo) }
func (d *doctor) warn(name, found, todo string) { d.add(name, checkWarning, found, todo) }
func (d *doctor) fail(name, found, todo string) { d.add(name, checkError, found, todo) }

func (d *doctor) add(name, status, found, todo string) {
	d.checks = append(d.checks, check{Group: d.group, Name: name, Status: status, Found: found, Todo: todo})
}

func (d *doctor) count(status string) int {
	n := 0
	for _, c := range d.checks {
		if c.Status == status {
			n++
		}
	}
	return n
}

// status is the exit status, nil when all is well.
func (d *doctor) status() error {
	switch {
	case d.count(checkError) > 0:
		return exitStatus(exitError)
	case d.count(checkWarning) > 0:
		return exitStatus(exitWarnings)
	}
	return nil
}

// lookAtProblems reports a configuration that can't be loaded. What else there is
// can't be known then.
func (d *doctor) lookAtProblems(err error) {
	const todo = "mend the configuration; the other checks need it"
	var all configs.Problems
	if !errors.As(err, &all) {
		d.fail("file", err.Error(), todo)
		return
	}
	for _, p := range all {
		d.fail("file", p.Error(), todo)
	}
}

func (d *doctor) lookAtActions(context.Context) {
	notes := 0
	for _, p := range d.problems {
		if p.Severity == manifests.Note {
			notes++
			continue
		}
		where := p.File
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		d.fail("manifest", where+": "+p.Message, cmp.Or(p.Hint, "mend the file; `latchgate actions validate` checks it"))
	}
	found, todo := fmt.Sprintf("%d actions", d.catalog.Len()), ""
	if notes > 0 {
		found, todo = fmt.Sprintf("%s, %d notes about them", found, notes), "`latchgate actions validate` shows the notes"
	}
	d.ok("catalogue", found, todo)
	d.lookAtLoopback()
	for _, id := range d.cfg.Proxy.DefaultActions {
		if _, ok := d.catalog.Get(id); !ok {
			d.fail("default_actions", "there is no action "+id, "take it out of proxy.default_actions, or write its manifest")
		}
	}
}

// lookAtLoopback names the actions whose host a client reaches past every proxy,
// with what `exec` and `env` set.
func (d *doctor) lookAtLoopback() {
	for _, m := range d.catalog.All() {
		for _, h := range m.Egress.AllowedDomains {
			if passedOver(loopback, h) {
				d.ok("loopback", fmt.Sprintf("%s is about %s, and clients go past a proxy to this machine itself", m.ActionID, h),
					"curl --noproxy '' does not; for others give the service a name of its own in /etc/hosts")
			}
		}
	}
}

func (d *doctor) lookAtPolicy(ctx context.Context) {
	if _, err := policy.New(ctx, policy.Options{Dirs: d.cfg.Policy.Dirs, Data: d.cfg.Policy.Data}); err != nil {
		d.fail("policy", err.Error(), "mend it; `latchgate proxy` does not start with it, and a running one keeps its last good one")
		return
	}
	which := "the built-in one"
	if len(d.cfg.Policy.Dirs) > 0 {
		which = fmt.Sprint(d.cfg.Policy.Dirs)
	}
	d.ok("policy", which+" compiles, and its tests pass", "")
}
