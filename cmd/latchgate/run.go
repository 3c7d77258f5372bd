package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
)

func (a *app) runCommand() *cobra.Command {
	var file string
	var asJSON bool
	var b bounds
	c := &cobra.Command{
		Use:   "run ACTION [key=value ...]",
		Short: "Execute an action through its provider and print the result",
		Long: `Execute an action through its provider and print the result as JSON.

A value is text unless the action's schema says otherwise; then it is written
as JSON. --args reads all arguments as one JSON object, which key=value words
then change. The exit status is 1 when the result says that it is not ok.`,
		Example: `  latchgate run github_get_repo owner=golang repo=go
  latchgate run github_create_issue owner=you repo=it title="A bug"
  echo '{"owner":"golang","repo":"go"}' | latchgate run github_get_repo --args -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runAction(c, &b, args[0], args[1:], file, asJSON)
		},
	}
	c.Flags().StringVar(&file, "args", "", "JSON file with the arguments, - for standard input")
	c.Flags().BoolVar(&asJSON, "json", false, "print the run's id, duration and calls with the result; a failure as {\"error\": ...} too")
	b.flags(c, 0, "how long the run may take; 0: the action's own limit")
	return c
}

func (a *app) runAction(c *cobra.Command, b *bounds, id string, words []string, file string, asJSON bool) (err error) {
	if err := b.check(); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	args, err := a.arguments(cfg, id, words, file)
	if err != nil {
		return err
	}
	s, err := a.connect(c, cfg, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var done *gate.Executed
	err = b.ask(c.Context(), a.err, s.waitApproval, func() error {
		return a.during("running "+id, func() (err error) {
			done, err = s.execute(c.Context(), gate.ExecuteRequest{Action: id, Args: args, TTL: b.ttl, MaxRequests: b.maxRequests, MaxBytes: b.maxBytes})
			return err
		})
	})
	if err != nil {
		var failed *gate.Error
		switch {
		case !errors.As(err, &failed):
		case asJSON:
			_ = printJSON(a.out, map[string]any{"error": failed})
		case len(failed.Detail) > 0:
			_ = printJSON(a.out, failed.Detail)
		}
		return err
	}
	var shown any = done.Result
	if asJSON {
		shown = done
	}
	if err := printJSON(a.out, shown); err != nil {
		return err
	}
	var result struct{ OK *bool }
	if json.Unmarshal(done.Result, &result) == nil && result.OK != nil && !*result.OK {
		return exitStatus(exitError)
	}
	return nil
}

// arguments are those of --args with the key=value words over them.
func (a *app) arguments(cfg *configs.Config, id string, words []string, file string) (map[string]any, error) {
	args := map[string]any{}
	if file != "" {
		raw, err := a.readFile(file)
		if err != nil {
			return nil, err
		}
		if args, err = gate.DecodeArgs(raw); err != nil {
			return nil, withHint(fmt.Errorf("%s is not a JSON object", file), `for example {"owner": "golang"}`)
		}
	}
	catalog, _ := manifests.Load(manifests.LoadOptions{Dirs: cfg.Manifests.Dirs, Bundled: cfg.Manifests.Bundled})
	var schema map[string]any
	if m, ok := catalog.Get(id); ok { // an unknown action is the gate's to refuse
		schema = m.IO.RequestSchema
	}
	given, err := gate.CoerceArgs(schema, words)
	if err != nil {
		return nil, &usageError{err, fmt.Sprintf("`latchgate actions show %s` shows what it takes", id)}
	}
	for k, v := range given {
		args[k] = v
	}
	return args, nil
}

// readFile reads a file, or standard input for "-".
func (a *app) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(a.in)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, withHint(err, "name a file that can be read, or - for standard input")
	}
	return raw, nil
}
