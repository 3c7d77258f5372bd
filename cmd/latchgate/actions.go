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

	"github.com/latchgate/latchgate/manifests"
)

func (a *app) actionsCommand() *cobra.Command {
	c := &cobra.Command{Use: "actions", Short: "List, show and validate action manifests", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var listJSON, showJSON, validateJSON bool
	list := &cobra.Command{Use: "list", Short: "List the actions that there are", Args: cobra.NoArgs,
		Example: "  latchgate actions list\n  latchgate actions list --json",
		RunE:    func(c *cobra.Command, _ []string) error { return a.listActions(c, listJSON) }}
	list.Flags().BoolVar(&listJSON, "json", false, "print JSON")
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

// actionView is an action as the commands print it.
type actionView struct {
	ID          string         `json:"action_id"`
	Version     string         `json:"version,omitempty"`
	Description string         `json:"description,omitempty"`
	Risk        string         `json:"risk_level"`
	Tags        []string       `json:"tags,omitempty"`
	Provider    string         `json:"provider,omitempty"`
	Hosts       []string       `json:"hosts"`
	Methods     []string       `json:"methods,omitempty"`
	Paths       []string       `json:"paths,omitempty"`
	Secrets     []secretView   `json:"secrets"`
	Args        map[string]any `json:"request_schema,omitempty"`
	File        string         `json:"file"`
	Line        int            `json:"line"`
}

type secretView struct {
	Name     string   `json:"name"`
	Required bool     `json:"required"`
	Env      string   `json:"env"`
	Inject   []string `json:"inject"`
}

func viewOf(m *manifests.Manifest) actionView {
	v := actionView{ID: m.ActionID, Version: m.Version, Description: m.Description, Risk: string(m.RiskLevel), Tags: m.Tags,
		Provider: m.ProviderModuleDigest, Methods: m.Egress.AllowedMethods, Hosts: []string{}, Secrets: []secretView{},
		Args: m.IO.RequestSchema, File: m.File, Line: m.Line}
	for _, h := range m.Egress.AllowedDomains {
		v.Hosts = append(v.Hosts, h.String())
	}
	for _, p := range m.Egress.AllowedPaths {
		v.Paths = append(v.Paths, p.String())
	}
	for _, s := range m.Secrets {
		sv := secretView{Name: s.Name, Required: s.Required, Env: s.Env, Inject: []string{}}
		for _, b := range s.Inject {
			sv.Inject = append(sv.Inject, describeBinding(&b))
		}
		v.Secrets = append(v.Secrets, sv)
	}
	return v
}

// describeBinding says in words where a binding puts its secret.
func describeBinding(b *manifests.Binding) string {
	place := string(b.As)
	switch b.As {
	case manifests.Basic:
		place = "basic, user " + b.Username
	case manifests.Header:
		place = fmt.Sprintf("header %s: %s", b.Header, b.Format)
	case manifests.Query:
		place = "query " + b.Param
	case manifests.Path:
		place = "path " + b.Format
	case manifests.Placeholder:
		place = "placeholder in " + strings.Join(b.In, ", ")
	}
	hosts := make([]string, len(b.Hosts))
	for i, h := range b.Hosts {
		hosts[i] = h.String()
	}
	return place + " on " + strings.Join(hosts, ", ")
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
			fmt.Fprintln(a.err, "latchgate: left out: "+p.String())
		}
	}
	return catalog, nil
}

func (a *app) listActions(c *cobra.Command, asJSON bool) error {
	catalog, err := a.catalog(c)
	if err != nil {
		return err
	}
	views, rows := []actionView{}, [][]string{}
	for _, m := range catalog.All() {
		v := viewOf(m)
		views = append(views, v)
		var names []string
		for _, s := range v.Secrets {
			names = append(names, s.Name)
		}
		kind := "agents"
		if v.Provider != "" {
			kind = "run, agents"
		}
		rows = append(rows, []string{v.ID, v.Risk, kind, strings.Join(names, ","), strings.Join(v.Hosts, ",")})
	}
	if asJSON {
		return printJSON(a.out, views)
	}
	return printTable(a.out, []string{"ACTION", "RISK", "FOR", "SECRETS", "HOSTS"}, rows)
}

func (a *app) showAction(c *cobra.Command, id string, asJSON bool) error {
	catalog, err := a.catalog(c)
	if err != nil {
		return err
	}
	m, ok := catalog.Get(id)
	if !ok {
		hint := "`latchgate actions list` shows them all"
		if near := catalog.Suggest(id); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
		}
		return withHint(fmt.Errorf("there is no action %q", id), hint)
	}
	v := viewOf(m)
	if asJSON {
		return printJSON(a.out, v)
	}
	rows := [][]string{
		{"description", v.Description}, {"version", v.Version}, {"risk", v.Risk}, {"tags", strings.Join(v.Tags, ", ")}, {"provider", v.Provider},
		{"hosts", strings.Join(v.Hosts, ", ")}, {"methods", strings.Join(v.Methods, ", ")}, {"paths", strings.Join(v.Paths, ", ")},
	}
	for _, s := range v.Secrets {
		need := "optional"
		if s.Required {
			need = "required"
		}
		rows = append(rows, []string{"secret " + s.Name, need + "; " + strings.Join(s.Inject, "; ")})
	}
	properties, _ := v.Args["properties"].(map[string]any)
	required := fmt.Sprint(v.Args["required"])
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, _ := properties[name].(map[string]any)
		need := ""
		if strings.Contains(" "+strings.Trim(required, "[]")+" ", " "+name+" ") {
			need = ", required"
		}
		rows = append(rows, []string{"argument " + name, fmt.Sprintf("%v%s %v", orDash(property["type"]), need, orEmpty(property["description"]))})
	}
	rows = append(rows, []string{"declared in", fmt.Sprintf("%s:%d", v.File, v.Line)})
	return printTable(a.out, []string{"ACTION", v.ID}, rows)
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
			fmt.Fprintln(a.out, p.String())
		}
		fmt.Fprintf(a.out, "good actions: %d\n", count)
	}
	if manifests.HasErrors(problems) {
		return withHint(errors.New("some manifests can't be used"), "each line above says what to write instead")
	}
	return nil
}
