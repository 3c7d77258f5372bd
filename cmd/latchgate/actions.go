package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
)

func (a *app) actionsCommand() *cobra.Command {
	c := &cobra.Command{Use: "actions", Short: "List, show and validate action manifests", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var listJSON, showJSON, validateJSON bool
	var only actionFilter
	list := &cobra.Command{Use: "list [WORD...]", Short: "List the actions that there are, or those that all the words are about",
		Long: "List the actions that there are.\n\nWith words, those that have each word in their id, description, tags, secrets or hosts. Profiles for agents have the tag agent.",
		Example: "  latchgate actions list\n  latchgate actions list slack message\n  latchgate actions list --tag agent --risk low\n  latchgate actions list github --json\n" +
			"  latchgate actions list --tag gitlab --yaml | sed 's/gitlab\\.com/git.example.com/g' > actions/gitlab.yaml",
		RunE: func(c *cobra.Command, args []string) error {
			only.words = args
			return a.listActions(c, only, listJSON)
		}}
	list.Flags().BoolVar(&listJSON, "json", false, "print JSON")
	list.Flags().BoolVar(&only.yaml, "yaml", false, "print the manifests of those that are bundled, to make your own of")
	list.Flags().StringSliceVar(&only.tags, "tag", nil, "only actions with this tag; more than once for several")
	list.Flags().StringSliceVar(&only.risks, "risk", nil, "only actions of this risk: low, medium, high or critical; more than once for several")
	show := &cobra.Command{Use: "show ACTION", Short: "Show what an action declares", Args: cobra.ExactArgs(1),
		Example: "  latchgate actions show github",
		RunE:    func(c *cobra.Command, args []string) error { return a.showAction(c, args[0], showJSON) }}
	show.Flags().BoolVar(&showJSON, "json", false, "print JSON")
	validate := &cobra.Command{Use: "validate [PATH...]", Short: "Check manifests, those of the configuration by default",
		Example: "  latchgate actions validate\n  latchgate actions validate ./manifests/my_action.yaml",
		RunE:    func(c *cobra.Command, args []string) error { return a.validateActions(c, args, validateJSON) }}
	validate.Flags().BoolVar(&validateJSON, "json", false, "print JSON")
	c.AddCommand(list, show, validate)
	return c
}

// catalog loads the manifests; problems of errors go to standard error.
func (a *app) catalog(c *cobra.Command) (*manifests.Catalog, error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, err
	}
	catalog, problems := manifests.Load(manifests.LoadOptions{Dirs: cfg.Manifests.Dirs, Bundled: cfg.Manifests.Bundled})
	for _, p := range problems {
		if p.Severity == manifests.Error {
			fmt.Fprintln(a.err, "latchgate: left out: "+tui.Clean(p.String()))
		}
	}
	return catalog, nil
}

// actionFilter says which actions are listed, and whether as manifests; the
// zero value lists all.
type actionFilter struct {
	words, tags, risks []string
	yaml               bool
}

func (f *actionFilter) lists(v *gate.ActionStatus) bool {
	for _, tag := range f.tags {
		if !slices.Contains(v.Tags, tag) {
			return false
		}
	}
	if len(f.risks) > 0 && !slices.Contains(f.risks, v.RiskLevel) {
		return false
	}
	about := v.ID + "\n" + v.Description + "\n" + strings.Join(v.Tags, "\n") + "\n" + strings.Join(v.Hosts, "\n")
	for _, s := range v.Secrets {
		about += "\n" + s.Name
	}
	about = strings.ToLower(about)
	return !slices.ContainsFunc(f.words, func(word string) bool { return !strings.Contains(about, strings.ToLower(word)) })
}

func (f *actionFilter) check() error {
	for _, r := range f.risks {
		if r != "low" && r != "medium" && r != "high" && r != "critical" {
			return &usageError{fmt.Errorf("%q is no risk", r), "write low, medium, high or critical"}
		}
	}
	return nil
}

func (a *app) listActions(c *cobra.Command, only actionFilter, asJSON bool) error {
	if err := only.check(); err != nil {
		return err
	}
	catalog, err := a.catalog(c)
	if err != nil {
		return err
	}
	views, rows := []gate.ActionStatus{}, [][]string{}
	for _, m := range catalog.All() {
		v := gate.DescribeAction(m)
		if !only.lists(&v) {
			continue
		}
		views = append(views, v)
		var names []string
		for _, s := range v.Secrets {
			names = append(names, s.Name)
		}
		kind := "agents"
		if v.Provider != "" {
			kind = "run, agents"
		}
		rows = append(rows, []string{v.ID, v.RiskLevel, kind, strings.Join(names, ","), few(v.Hosts)})
	}
	if only.yaml {
		return a.printManifests(catalog, views)
	}
	if asJSON {
		return printJSON(a.out, views)
	}
	if len(rows) == 0 && catalog.Len() > 0 {
		return withHint(errors.New("no action is like that"), "`latchgate actions list` shows them all")
	}
	return printTable(a.out, []string{"ACTION", "RISK", "FOR", "SECRETS", "HOSTS"}, rows)
}

// printManifests prints the bundled manifests of those actions as one file.
func (a *app) printManifests(catalog *manifests.Catalog, views []gate.ActionStatus) error {
	printed := 0
	for _, v := range views {
		text := catalog.Text(v.ID)
		if text == nil {
			fmt.Fprintf(a.err, "latchgate: left out: %s is your own, in %s:%d\n", v.ID, v.File, v.Line)
			continue
		}
		if printed++; printed > 1 {
			fmt.Fprintln(a.out, "---")
		}
		fmt.Fprintf(a.out, "%s\n", text)
	}
	if printed == 0 {
		return withHint(errors.New("no bundled action is like that"), "`latchgate actions list` shows them all")
	}
	return nil
}

// few joins words so that a line of a list stays short.
func few(words []string) string {
	if len(words) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:2], ","), len(words)-2)
	}
	return strings.Join(words, ",")
}

func (a *app) showAction(c *cobra.Command, id string, asJSON bool) error {
	catalog, err := a.catalog(c)
	if err != nil {
		return err
	}
	m, ok := catalog.Get(id)
	if !ok {
		return unknownAction(catalog, id)
	}
	v := gate.DescribeAction(m)
	if asJSON {
		return printJSON(a.out, v)
	}
	rows := [][]string{
		{"description", v.Description}, {"version", v.Version}, {"risk", v.RiskLevel}, {"side effects", strings.Join(v.SideEffects, ", ")}, {"tags", strings.Join(v.Tags, ", ")},
		{"provider", v.Provider}, {"request", v.Request},
		{"hosts", strings.Join(v.Hosts, ", ")}, {"methods", orAny(v.Methods)}, {"paths", orAny(v.Paths)},
	}
	for _, s := range v.Secrets {
		need := "optional"
		if s.Required {
			need = "required"
		}
		rows = append(rows, []string{"secret " + s.Name, need + "; " + strings.Join(s.Inject, "; ")})
	}
	properties, _ := v.RequestSchema["properties"].(map[string]any)
	required := fmt.Sprint(v.RequestSchema["required"])
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, _ := properties[name].(map[string]any)
		need := ""
		if strings.Contains(" "+strings.Trim(required, "[]")+" ", " "+name+" ") {
			need = ", required"
		}
		rows = append(rows, []string{"argument " + name, fmt.Sprintf("%v%s %v", orDash(property["type"]), need, orEmpty(property["description"]))})
	}
	rows = append(rows, []string{"declared in", fmt.Sprintf("%s:%d", v.File, v.Line)}, []string{"use it", usageOf(&v)})
	return printTable(a.out, []string{"ACTION", v.ID}, rows)
}

func orAny(rules []string) string {
	if len(rules) == 0 {
		return "any"
	}
	return strings.Join(rules, ", ")
}

// usageOf is a command line that uses the action.
func usageOf(v *gate.ActionStatus) string {
	if v.Provider == "" {
		return "latchgate exec --action " + v.ID + " -- COMMAND"
	}
	line := "latchgate run " + v.ID
	required, _ := v.RequestSchema["required"].([]any)
	for _, name := range required {
		line += fmt.Sprintf(" %v=…", name)
	}
	return line
}

func orDash(v any) any {
	if v == nil {
		return "any"
	}
	return v
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

// problemView is what is wrong with a manifest, as JSON.
type problemView struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	ActionID string `json:"action_id,omitempty"`
	Severity string `json:"severity"` // error or note
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// validateActions checks the files and folders named, or all of the configuration's.
func (a *app) validateActions(c *cobra.Command, paths []string, asJSON bool) error {
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	var problems []manifests.Problem
	count := 0
	o := manifests.LoadOptions{Dirs: cfg.Manifests.Dirs, Bundled: cfg.Manifests.Bundled}
	if len(paths) > 0 {
		o = manifests.LoadOptions{}
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return withHint(fmt.Errorf("%s: no such file or folder", p), "name a manifest or a folder of them")
		}
		if info.IsDir() {
			o.Dirs = append(o.Dirs, p)
			continue
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return err
		}
		found, ps := manifests.Parse(abs, data)
		count += len(found)
		problems = append(problems, ps...)
	}
	catalog, ps := manifests.Load(o)
	count += len(catalog.All())
	problems = append(problems, ps...)
	if asJSON {
		views := make([]problemView, len(problems))
		for i, p := range problems {
			views[i] = problemView{p.File, p.Line, p.Column, p.ActionID, "error", p.Message, p.Hint}
			if p.Severity == manifests.Note {
				views[i].Severity = "note"
			}
		}
		if err := printJSON(a.out, views); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			fmt.Fprintln(a.out, tui.Clean(p.String()))
		}
		fmt.Fprintf(a.out, "good actions: %d\n", count)
	}
	if manifests.HasErrors(problems) {
		return withHint(errors.New("some manifests can't be used"), "each line above says what to write instead")
	}
	return nil
}
