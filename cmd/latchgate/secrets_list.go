package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/secrets"
)

func (a *app) listSecretsCommand() *cobra.Command {
	var asJSON, all bool
	list := &cobra.Command{Use: "list", Short: "List secrets: set or missing, who wants them, where they go", Args: cobra.NoArgs,
		Long: `List the secrets: set or missing, required or optional, who wants them, and to
which hosts they go. No value is shown or measured.

First come those that are set, and those that an action in use wants: one of
manifests.dirs, of proxy.default_actions or of an open run, and a bundled one of
which a secret is set. What the other bundled actions would want follows in a
pipe, with --json and with --all; a terminal gets its number.`,
		Example: "  latchgate secrets list\n  latchgate secrets list --all\n  latchgate secrets list --json | jq -r '.[] | select(.in_use and .required and (.set | not)) | .name'",
		RunE:    func(c *cobra.Command, _ []string) error { return a.listSecrets(c, asJSON, all) }}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON, with all")
	list.Flags().BoolVar(&all, "all", false, "on a terminal too what bundled actions would want that are not in use")
	return list
}

// secretRow is one line of `secrets list`. There is no field for a length.
type secretRow struct {
	Name     string   `json:"name"`
	Set      bool     `json:"set"`
	Required bool     `json:"required"`
	InUse    bool     `json:"in_use"`  // an action in use wants it
	Actions  []string `json:"actions"` // the most in use first
	Hosts    []string `json:"hosts"`
	inFile   bool     // with or without a value
}

// usage is how much an action is in use.
type usage int

const (
	chosen   usage = iota // by a manifest of one's own, as a default action or in an open run
	possible              // one of its secrets is set
	unused
)

// secretCoverage says which secrets are set and which actions want them, by
// name. With an error of the secrets file none is set.
func (a *app) secretCoverage(c *cobra.Command) ([]secretRow, error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, err
	}
	set, unread := a.secretsSet(c)
	catalog, err := a.catalog(c)
	if err != nil {
		return nil, err
	}
	running := runningActions(c.Context(), cfg)
	use := func(m *manifests.Manifest) usage {
		switch {
		case ownAction(cfg, m) || running[m.ActionID]:
			return chosen
		case usesOne(m, set):
			return possible
		}
		return unused
	}
	return secretRows(set, catalog.All(), use), unread
}

// secretsSet are the names in the file: false is one without a value.
func (a *app) secretsSet(c *cobra.Command) (map[string]bool, error) {
	s, cfg, err := a.store(c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	set := map[string]bool{}
	err = a.during("decrypting "+cfg.Secrets.SopsSecretsFile, func() error {
		return s.Read(c.Context(), func(d *secrets.Document) error {
			for _, name := range d.Names() {
				_, set[name] = d.Get(name)
			}
			return nil
		})
	})
	return set, explainSecrets(err, cfg)
}

// daemonTimeout bounds a question to the daemon that can do without its answer.
const daemonTimeout = 2 * time.Second

// runningActions are those of the daemon's open runs; none where it does not answer.
func runningActions(ctx context.Context, cfg *configs.Config) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	client, err := gate.Dial(ctx, cfg.Gate.Socket)
	if err != nil {
		return nil
	}
	runs, err := client.Runs(ctx)
	if err != nil {
		return nil
	}
	all := map[string]bool{}
	for _, r := range runs {
		for _, id := range r.Actions {
			all[id] = true
		}
	}
	return all
}

// ownAction reports whether the operator wrote the action, or put it at the door.
func ownAction(cfg *configs.Config, m *manifests.Manifest) bool {
	return !strings.HasPrefix(m.File, "bundled:") || slices.Contains(cfg.Proxy.DefaultActions, m.ActionID)
}

// usesOne reports whether one of the action's secrets is set.
func usesOne(m *manifests.Manifest, set map[string]bool) bool {
	return slices.ContainsFunc(m.Secrets, func(s manifests.Secret) bool { return set[s.Name] })
}

// secretRows are the secrets in the file, and the missing ones that an action
// declares, by name.
func secretRows(set map[string]bool, all []*manifests.Manifest, use func(*manifests.Manifest) usage) []secretRow {
	rows := map[string]*secretRow{}
	row := func(name string) *secretRow {
		if rows[name] == nil {
			rows[name] = &secretRow{Name: name, Actions: []string{}, Hosts: []string{}}
		}
		return rows[name]
	}
	for name, is := range set {
		row(name).Set, row(name).inFile = is, true
	}
	for _, much := range []usage{chosen, possible, unused} {
		for _, m := range all {
			if use(m) != much {
				continue
			}
			for _, s := range m.Secrets {
				r := row(s.Name)
				r.Required = r.Required || s.Required
				r.InUse = r.InUse || much != unused
				r.Actions = append(r.Actions, m.ActionID)
				for _, b := range s.Inject {
					for _, h := range b.Hosts {
						if !slices.Contains(r.Hosts, h.String()) {
							r.Hosts = append(r.Hosts, h.String())
						}
					}
				}
			}
		}
	}
	out := make([]secretRow, 0, len(rows))
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(x, y secretRow) int { return strings.Compare(x.Name, y.Name) })
	return out
}

func (a *app) listSecrets(c *cobra.Command, asJSON, all bool) error {
	rows, err := a.secretCoverage(c)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.out, rows)
	}
	return a.printSecrets(rows, all || screenOf(a.out).width == 0)
}

// printSecrets prints the operator's own secrets, and with all what is left.
func (a *app) printSecrets(rows []secretRow, all bool) error {
	var mine, others [][]string
	for _, r := range rows {
		state, need := "missing", "optional"
		if r.Set {
			state = "set"
		}
		if r.Required {
			need = "required"
		}
		if len(r.Actions) == 0 {
			need = "nobody declares it"
		}
		line := []string{r.Name, state, need, few(r.Actions), few(r.Hosts)}
		if r.InUse || r.inFile {
			mine = append(mine, line)
		} else {
			others = append(others, line)
		}
	}
	header := []string{"SECRET", "STATE", "NEED", "ACTIONS", "HOSTS"}
	if all || len(others) == 0 {
		return printTable(a.out, header, append(mine, others...))
	}
	more := strings.Join(screenOf(a.out).lines(fmt.Sprintf("%d more names are wanted by bundled actions: latchgate secrets list --all", len(others)), 0, ""), "\n")
	if len(mine) == 0 {
		_, err := fmt.Fprintln(a.out, "No secret is set, and no action in use wants one.\n"+more)
		return err
	}
	if err := printTable(a.out, header, mine); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.out, "\n"+more)
	return err
}
