package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/secrets"
)

// complete lets the shell complete what a command's usage line calls ACTION, RUN,
// TICKET or NAME, and the value of every --action.
func (a *app) complete(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.complete(sub)
	}
	if c.Flags().Lookup("action") != nil {
		_ = c.RegisterFlagCompletionFunc("action", a.listed(a.actionIDs)) // fails for a flag that is not there
	}
	words := strings.Fields(c.Use)
	if len(words) < 2 || c.ValidArgsFunction != nil {
		return
	}
	switch words[1] {
	case "ACTION":
		c.ValidArgsFunction = a.completeAction(strings.Contains(c.Use, "key=value"))
	case "RUN":
		c.ValidArgsFunction = a.first(a.runIDs)
	case "TICKET":
		c.ValidArgsFunction = a.first(a.tickets)
	case "NAME":
		c.ValidArgsFunction = a.first(a.secretNames)
	}
}

type completion = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// listed completes one of the words, each with a description after a tab. What
// can't be read completes to nothing: a shell is no place for errors.
func (a *app) listed(words func(*cobra.Command) []string) completion {
	return func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), daemonTimeout) // somebody waits at a prompt
		defer cancel()
		c.SetContext(ctx)
		all := slices.DeleteFunc(words(c), func(w string) bool { return !strings.HasPrefix(w, typed) })
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// first completes the first argument.
func (a *app) first(words func(*cobra.Command) []string) completion {
	complete := a.listed(words)
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(c, args, typed)
	}
}

// completeAction completes an action, and with keys the arguments that its
// schema names.
func (a *app) completeAction(keys bool) completion {
	action := a.first(a.actionIDs)
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if !keys || len(args) == 0 {
			return action(c, args, typed)
		}
		var names []string
		if m, ok := a.quietCatalog(c).Get(args[0]); ok {
			properties, _ := m.IO.RequestSchema["properties"].(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(properties)) {
				if strings.HasPrefix(name+"=", typed) {
					names = append(names, name+"=")
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// quietCatalog is empty where the configuration can't be read.
func (a *app) quietCatalog(c *cobra.Command) *manifests.Catalog {
	cfg, err := a.config(c)
	if err != nil {
		return &manifests.Catalog{}
	}
	catalog, _ := manifests.Load(manifests.LoadOptions{Dirs: cfg.Manifests.Dirs, Bundled: cfg.Manifests.Bundled})
	return catalog
}

func (a *app) actionIDs(c *cobra.Command) (all []string) {
	for _, m := range a.quietCatalog(c).All() {
		all = append(all, cobra.CompletionWithDesc(m.ActionID, tui.Clean(m.Description)))
	}
	return all
}

func (a *app) runIDs(c *cobra.Command) (all []string) {
	cfg, err := a.config(c)
	if err != nil {
		return nil
	}
	client, err := gate.Dial(c.Context(), cfg.Gate.Socket)
	if err != nil {
		return nil
	}
	runs, _ := client.Runs(c.Context())
	for _, r := range runs {
		all = append(all, cobra.CompletionWithDesc(r.ID, strings.Join(r.Actions, ", ")))
	}
	return all
}

// tickets are those that somebody waits for.
func (a *app) tickets(c *cobra.Command) (all []string) {
	_ = a.withApprovals(c, func(from approvals) error {
		tickets, err := from.Approvals(c.Context())
		for _, t := range tickets {
			if t.State == gate.ApprovalPending {
				all = append(all, cobra.CompletionWithDesc(t.Ticket, strings.Join(t.Actions, ", ")))
			}
		}
		return err
	})
	return all
}

// secretNames are those that an action declares, and those in the file where it
// is opened without asking a key service.
func (a *app) secretNames(c *cobra.Command) []string {
	all := a.declaredSecrets(c)
	store, _, err := a.store(c)
	if err != nil {
		return all
	}
	defer func() { _ = store.Close() }()
	if about, err := store.Describe(); err != nil || about.Backend != secrets.BackendEmbedded {
		return all
	}
	_ = store.Read(c.Context(), func(d *secrets.Document) error {
		all = append(all, d.Names()...)
		return nil
	})
	slices.Sort(all)
	return slices.Compact(all)
}

func (a *app) declaredSecrets(c *cobra.Command) (all []string) {
	for _, m := range a.quietCatalog(c).All() {
		for _, s := range m.Secrets {
			all = append(all, s.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// nearest is the candidate that word most likely stands for, "" where none is
// close.
func nearest(word string, candidates []string) string {
	best, near := max(2, len(word)/3)+1, ""
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(c)); d < best {
			best, near = d, c
		}
	}
	return near
}
