package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/gate/provider"
	"github.com/latchgate/latchgate/manifests"
)

func (a *app) providerTestCommand() *cobra.Command {
	var t providerTest
	c := &cobra.Command{
		Use:   "test [DIR] [key=value ...]",
		Short: "Run a provider against an origin in this process",
		Long: `Run the provider in DIR, the current folder by default, under its manifest's limits,
with an origin in this process instead of a network. The manifest's hosts,
methods and paths hold as they do on the wire, arguments and results are
validated as in an execution; nothing is asked of a policy, and no credential is
put on.

Without arguments the cases in cases.json are run; docs/provider-guide.md says
what is in there. With key=value, or --args, it runs once: the origin sends each
request back as JSON, and requests, log and result are printed.`,
		Example: "  latchgate provider test\n  latchgate provider test my_action -v\n  latchgate provider test my_action url=https://api.example.com/text",
		RunE:    func(c *cobra.Command, words []string) error { return a.testProvider(c, &t, words) },
	}
	c.Flags().StringVarP(&t.action, "action", "a", "", "action to run, where several use the provider")
	c.Flags().StringVar(&t.argsFile, "args", "", "run once with the arguments in this JSON file, - for standard input")
	c.Flags().BoolVarP(&t.verbose, "verbose", "v", false, "print what the provider sends and logs in each case")
	c.Flags().BoolVar(&t.asJSON, "json", false, "print the cases' outcomes as JSON")
	return c
}

// providerTest is one call of `provider test`.
type providerTest struct {
	action, argsFile string
	verbose, asJSON  bool
	manifest         *manifests.Manifest
	module           *provider.Module
}

func (a *app) testProvider(c *cobra.Command, t *providerTest, words []string) error {
	ctx := c.Context()
	dir := "."
	if len(words) > 0 && !strings.Contains(words[0], "=") {
		dir, words = words[0], words[1:]
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return withHint(fmt.Errorf("%s is no folder", dir), "name the provider's folder; arguments are key=value")
	}
	found, err := providerActions(dir)
	if err != nil {
		return err
	}
	if t.manifest, err = t.choose(dir, found); err != nil {
		return err
	}
	rt, closeRuntime, err := a.providerRuntime(c)
	if err != nil {
		return err
	}
	defer closeRuntime()
	if t.module, err = loadProvider(ctx, rt, t.manifest); err != nil {
		return err
	}
	if len(words) > 0 || t.argsFile != "" {
		return a.tryOnce(ctx, t, words)
	}
	return a.tryCases(ctx, t, filepath.Join(dir, provider.CasesFile))
}

func (t *providerTest) choose(dir string, found []*manifests.Manifest) (*manifests.Manifest, error) {
	var ids []string
	for _, m := range found {
		if ids = append(ids, m.ActionID); m.ActionID == t.action || t.action == "" && len(found) == 1 {
			return m, nil
		}
	}
	switch {
	case len(found) == 0:
		return nil, withHint(fmt.Errorf("no manifest in %s names %s as its provider_source", dir, moduleFile), "`latchgate provider new` begins a provider with a manifest")
	case t.action == "":
		return nil, &usageError{errors.New("several actions use this provider"), "name one with --action: " + strings.Join(ids, ", ")}
	}
	return nil, withHint(fmt.Errorf("no action %q uses this provider", t.action), "those that do: "+strings.Join(ids, ", "))
}

func loadProvider(ctx context.Context, rt *provider.Runtime, m *manifests.Manifest) (*provider.Module, error) {
	const todo = "build it with `latchgate provider build`"
	wasm, err := os.ReadFile(m.ProviderSource)
	if err != nil {
		return nil, withHint(err, todo)
	}
	module, err := rt.Compile(ctx, m.ProviderModuleDigest, wasm)
	var failed *provider.Error
	switch {
	case errors.As(err, &failed) && failed.Code == provider.CodeDigestMismatch:
		return nil, withHint(err, todo+", which writes the digest")
	case err != nil:
		return nil, err
	}
	return module, module.CheckDeclared(m.RequiredImports)
}

// attempt is one execution and what became of it.
type attempt struct {
	Requests []sentRequest   `json:"requests"`
	Log      []string        `json:"log"`
	Result   json.RawMessage `json:"result,omitempty"`
	Code     string          `json:"error,omitempty"`   // of the provider's error document, else of the failure
	Message  string          `json:"message,omitempty"` // of either
}

// try executes the provider once.
func (t *providerTest) try(ctx context.Context, args map[string]any, o *tryOrigin) attempt {
	at := attempt{Log: []string{}}
	raw, err := gate.CheckArgs(t.manifest, args)
	if err == nil {
		at.Result, err = t.execute(ctx, raw, o, func(_ slog.Level, msg string) { at.Log = append(at.Log, msg) })
	}
	if err == nil {
		err = gate.CheckResult(t.manifest, at.Result)
	}
	if err != nil {
		at.Code, at.Message = codeOf(err), err.Error()
		var failed *provider.Error
		if errors.As(err, &failed) {
			at.Message = failed.Message
		}
	}
	at.Requests = append([]sentRequest{}, o.sent...)
	return at
}

func (t *providerTest) execute(ctx context.Context, args []byte, o *tryOrigin, log func(slog.Level, string)) ([]byte, error) {
	m := t.manifest
	input, err := provider.BuildInput(m.ActionID, args, nil)
	if err != nil {
		return nil, err
	}
	result, err := t.module.Execute(ctx, provider.Call{Action: m.ActionID, Input: input, HTTP: o.answer, Log: log,
		Limits: provider.Limits{Timeout: m.Limits.Timeout, MemoryMB: m.Limits.MemoryMB, MaxIOCalls: m.Limits.MaxIOCalls,
			MaxHostResponseBytes: m.Limits.MaxHostResponseBytes, MaxResponseBytes: m.IO.MaxResponseBytes}})
	return result.Output, err
}

// codeOf is the code of the provider's own error document, where it wrote one.
func codeOf(err error) string {
	var (
		own     *gate.Error
		failed  *provider.Error
		written struct{ Error struct{ Code string } }
	)
	switch {
	case errors.As(err, &own):
		return own.Code
	case !errors.As(err, &failed):
		return gate.CodeInternal
	case json.Unmarshal(failed.Detail, &written) == nil && written.Error.Code != "":
		return written.Error.Code
	}
	return string(failed.Code)
}

// tryOnce prints what the provider does with these arguments.
func (a *app) tryOnce(ctx context.Context, t *providerTest, words []string) error {
	args := map[string]any{}
	if t.argsFile != "" {
		raw, err := a.readFile(t.argsFile)
		if err != nil {
			return err
		}
		if args, err = gate.DecodeArgs(raw); err != nil {
			return withHint(fmt.Errorf("%s is not a JSON object", t.argsFile), `for example {"url": "https://api.example.com/"}`)
		}
	}
	given, err := gate.CoerceArgs(t.manifest.IO.RequestSchema, words)
	if err != nil {
		return &usageError{err, "the manifest's io.request_schema says what it takes"}
	}
	for k, v := range given {
		args[k] = v
	}
	at := t.try(ctx, args, &tryOrigin{manifest: t.manifest})
	at.print(a.err, "")
	if at.Code != "" {
		return withHint(fmt.Errorf("%s: %s", at.Code, at.Message), "docs/provider-abi.md explains each code")
	}
	return printJSON(a.out, at.Result)
}

// tryCases runs the cases of a file and prints a verdict for each.
func (a *app) tryCases(ctx context.Context, t *providerTest, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return withHint(err, "write cases into it, or give arguments: latchgate provider test DIR key=value")
	}
	var cases []tryCase
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&cases); err != nil {
		return withHint(fmt.Errorf("%s: %w", shortPath(file), err), "docs/provider-guide.md says what is in there")
	}
	type outcome struct {
		Name  string   `json:"name"`
		Pass  bool     `json:"pass"`
		Wrong []string `json:"wrong"`
		attempt
	}
	all, failed := []outcome{}, 0
	for i, c := range cases {
		at := t.try(ctx, c.Args, &tryOrigin{manifest: t.manifest, responses: c.Responses, scripted: c.Responses != nil})
		o := outcome{Name: c.Name, Wrong: append([]string{}, c.wrong(&at)...), attempt: at}
		if o.Name == "" {
			o.Name = fmt.Sprintf("case %d", i+1)
		}
		if o.Pass = len(o.Wrong) == 0; !o.Pass {
			failed++
		}
		if all = append(all, o); t.asJSON {
			continue
		}
		fmt.Fprintf(a.out, "%s  %s\n", map[bool]string{true: "PASS", false: "FAIL"}[o.Pass], tui.Clean(o.Name))
		for _, what := range o.Wrong {
			fmt.Fprintf(a.out, "      %s\n", tui.Clean(what))
		}
		if t.verbose {
			at.print(a.out, "      ")
		}
	}
	if t.asJSON {
		if err := printJSON(a.out, all); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "%d passed, %d failed\n", len(cases)-failed, failed)
	}
	if failed > 0 {
		return exitStatus(exitError)
	}
	return nil
}
