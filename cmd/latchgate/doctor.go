package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/certs"
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
}

// doctor looks at an installation and changes nothing in it.
type doctor struct {
	cfg      *configs.Config
	catalog  *manifests.Catalog
	problems []manifests.Problem
	group    string // of the checks that are being made
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
	{"clients", (*doctor).lookAtClients},
}

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check the installation and say what to do",
		Long: `Check the installation: configuration, actions, policy, secrets, keys, certificate
authority, daemon, and the runtimes on PATH. Every line that is not ok says what to do. Nothing is
changed, and no value is shown or measured.

The exit status is 0 when all is well, 1 with errors, 2 with warnings only.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := &doctor{}
			d.look(c.Context(), func() (*configs.Config, error) { return a.config(c) })
			if err := d.print(a.out, asJSON); err != nil {
				return err
			}
			return d.status()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// look makes all checks.
func (d *doctor) look(ctx context.Context, load func() (*configs.Config, error)) {
	d.group = "configuration"
	var err error
	if d.cfg, err = load(); err != nil {
		d.lookAtProblems(err)
		return
	}
	d.ok("file", cmp.Or(d.cfg.File(), "none; the defaults are in force"), "")
	d.catalog, d.problems = manifests.Load(manifests.LoadOptions{Dirs: d.cfg.Manifests.Dirs, Bundled: d.cfg.Manifests.Bundled})
	for _, g := range doctorGroups {
		d.group = g.name
		g.look(d, ctx)
	}
}

func (d *doctor) ok(name, found, todo string)   { d.add(name, checkOK, found, todo) }
func (d *doctor) warn(name, found, todo string) { d.add(name, checkWarning, found, todo) }
func (d *doctor) fail(name, found, todo string) { d.add(name, checkError, found, todo) }

func (d *doctor) add(name, status, found, todo string) {
	d.checks = append(d.checks, check{d.group, name, status, found, todo})
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

func (d *doctor) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, struct {
			Checks   []check `json:"checks"`
			Errors   int     `json:"errors"`
			Warnings int     `json:"warnings"`
		}{d.checks, d.count(checkError), d.count(checkWarning)})
	}
	width := 0
	for _, c := range d.checks {
		width = max(width, len(c.Name))
	}
	group := ""
	for _, c := range d.checks {
		if c.Group != group {
			group = c.Group
			fmt.Fprintln(w, group)
		}
		fmt.Fprintf(w, "  %-7s  %-*s  %s\n", c.Status, width, c.Name, c.Found)
		if c.Todo != "" {
			fmt.Fprintf(w, "  %-7s  %-*s  -> %s\n", "", width, "", c.Todo)
		}
	}
	_, err := fmt.Fprintf(w, "\n%d errors, %d warnings, %d ok\n", d.count(checkError), d.count(checkWarning), d.count(checkOK))
	return err
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
	for _, id := range d.cfg.Proxy.DefaultActions {
		if _, ok := d.catalog.Get(id); !ok {
			d.fail("default_actions", "there is no action "+id, "take it out of proxy.default_actions, or write its manifest")
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

// caSoon is how long before its end a root is worth a warning: it has to be
// carried to every client.
const caSoon = 60 * 24 * time.Hour

func (d *doctor) lookAtCA(context.Context) {
	there := false
	for _, name := range []string{"ca.pem", "ca.key"} {
		if _, err := os.Lstat(filepath.Join(d.cfg.CA.Dir, name)); err == nil {
			there = true
		}
	}
	if !there { // Open would make one
		d.ok("authority", "none yet; it is made when it is first needed, in "+d.cfg.CA.Dir, "")
		return
	}
	ca, err := certs.Open(d.cfg.CA.Dir, certs.Options{})
	if err != nil {
		d.fail("authority", err.Error(), "clients trust the old root: restore both files from a backup, or move both away for a new one")
		return
	}
	until := ca.Expires().Format(time.DateOnly)
	if time.Until(ca.Expires()) < caSoon {
		d.warn("authority", fmt.Sprintf("%s is valid until %s", ca.RootFile(), until), "move the folder away, restart, and give clients the new root")
	} else {
		d.ok("authority", fmt.Sprintf("%s, valid until %s", ca.RootFile(), until), "")
	}
	key := filepath.Join(d.cfg.CA.Dir, "ca.key")
	switch mode, err := ca.KeyFileMode(); {
	case err != nil:
		d.fail("authority's key", err.Error(), "make the file readable for the user that latchgate runs as")
	case mode&0o077 != 0:
		d.fail("authority's key", fmt.Sprintf("%s has mode %04o: others can sign for any host", key, mode), "chmod 600 "+key)
	default:
		d.ok("authority's key", fmt.Sprintf("mode %04o", mode), "")
	}
}

func (d *doctor) lookAtDaemon(ctx context.Context) {
	client, err := gate.Dial(ctx, d.cfg.Gate.Socket)
	switch {
	case errors.Is(err, gate.ErrNoDaemon):
		d.ok("daemon", "not running; `exec` and `run` do without", "start it with `latchgate proxy` if `env` or other users' clients need it")
	case err != nil:
		d.fail("daemon", fmt.Sprintf("the socket %s answers wrongly: %v", d.cfg.Gate.Socket, err), "restart the daemon; look at its log")
	case !client.Status.Ready:
		d.fail("daemon", fmt.Sprintf("process %d is not ready: %s", client.Status.PID, client.Status.Fault), "mend what it names; it keeps the last good one until then")
	case client.Status.Config != d.cfg.File():
		d.warn("daemon", fmt.Sprintf("process %d runs with another configuration: %s", client.Status.PID, cmp.Or(client.Status.Config, "none")), "restart it, or name that file with --config")
	default:
		d.ok("daemon", fmt.Sprintf("process %d, version %s, proxy at %s, %d runs open", client.Status.PID, client.Status.Version, client.Status.Proxy, client.Status.Runs), "")
	}
}
