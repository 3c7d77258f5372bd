package policy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

var (
	actionRef  = ast.MustParseRef(actionRule)
	requestRef = ast.MustParseRef(requestRule)
	matchesRef = ast.MustParseRef("data.latchgate.matches")
)

// source is a policy before it is compiled.
type source struct {
	modules map[string]*ast.Module // by file name
	tests   map[string]*ast.Module // of *_test.rego, never part of what is in force
	data    map[string]any
}

// load reads, checks, compiles and tests the policy that o says.
func load(ctx context.Context, o Options) (*ruleset, error) {
	src, err := read(o)
	if err != nil {
		return nil, err
	}
	r, err := src.compile(ctx)
	if err != nil {
		return nil, fmt.Errorf("compile policy: %w", flatten(err))
	}
	if r.timeout = o.Timeout; r.timeout <= 0 {
		r.timeout = defaultTimeout
	}
	if len(o.Dirs) == 0 {
		return r, nil // the built-in policy's tests ran when this program was built
	}
	results, err := src.test(ctx)
	if err != nil {
		return nil, err
	}
	return r, failed(results)
}

// read finds the files and puts the data together.
func read(o Options) (*source, error) {
	if len(o.Dirs) == 0 {
		return builtin(o.Data)
	}
	src, err := readDirs(o.Dirs)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", flatten(err))
	}
	if err := src.addData(o.Data); err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return src, nil
}

func readDirs(dirs []string) (*source, error) {
	paths := make([]string, len(dirs))
	for i, dir := range dirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		paths[i] = (&url.URL{Scheme: "file", Path: abs}).String() // a plain path could be cut at a colon
	}
	files, err := loader.NewFileLoader().
		WithRegoVersion(ast.RegoV1).
		WithCapabilities(capabilities()).
		Filtered(paths, passOver)
	if err != nil {
		return nil, err
	}
	src := &source{modules: map[string]*ast.Module{}, tests: map[string]*ast.Module{}, data: files.Documents}
	for name, f := range files.Modules {
		name = "/" + strings.TrimPrefix(name, "/")
		if strings.HasSuffix(name, "_test.rego") {
			src.tests[name] = f.Parsed
		} else {
			src.modules[name] = f.Parsed
		}
	}
	if len(src.modules) == 0 {
		return nil, fmt.Errorf("no *.rego in %s", strings.Join(dirs, ", "))
	}
	return src, nil
}

// passOver says which files are not of a policy. Hidden ones are what an
// orchestrator leaves beside a mounted file: the same rules again.
func passOver(_ string, info fs.FileInfo, depth int) bool {
	name := info.Name()
	switch {
	case depth > 0 && strings.HasPrefix(name, "."):
		return true
	case info.IsDir(), filepath.Ext(name) == ".rego":
		return false
	}
	return name != "data.json" && name != "data.yaml" && name != "data.yml"
}

// addData puts [policy.data] below data.latchgate, beside what the files say.
func (s *source) addData(data map[string]any) error {
	below, ok := s.data["latchgate"].(map[string]any)
	if !ok {
		if _, taken := s.data["latchgate"]; taken {
			return errors.New("data.latchgate in a data file is not an object")
		}
		below = map[string]any{}
	}
	merged := maps.Clone(below)
	for key, value := range data {
		if _, taken := below[key]; taken {
			return fmt.Errorf("data.latchgate.%s is set both in [policy.data] and in a data file", key)
		}
		merged[key] = value
	}
	// A base document of a rule's name would stand in for the rule.
	for _, rule := range []string{"action", "request"} {
		if _, taken := merged[rule]; taken {
			return fmt.Errorf("data.latchgate.%s is what the rules decide: it cannot be set as data", rule)
		}
	}
	s.data["latchgate"] = merged
	return nil
}

// newStore returns the data as the rules read it.
func (s *source) newStore() (storage.Store, error) {
	v, err := ast.InterfaceToValue(s.data)
	if err != nil {
		return nil, fmt.Errorf("policy data is not JSON: %w", err)
	}
	return inmem.NewFromASTObject(v.(ast.Object)), nil
}

// compile returns a ruleset without a timeout.
func (s *source) compile(ctx context.Context) (*ruleset, error) {
	store, err := s.newStore()
	if err != nil {
		return nil, err
	}
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	c := ast.NewCompiler().
		WithCapabilities(capabilities()).
		WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn))
	if c.Compile(s.modules); c.Failed() {
		return nil, c.Errors
	}
	if len(c.GetRulesWithPrefix(actionRef)) == 0 {
		return nil, fmt.Errorf("no rule data.latchgate.action (write `package latchgate` and a rule `action`) in %s",
			strings.Join(slices.Sorted(maps.Keys(s.modules)), ", "))
	}
	r := &ruleset{compiler: c, store: store, readsSizes: reads(c, "arg_sizes"), readsArgs: reads(c, "args")}
	if repeatable(c) {
		r.actions, r.requests = newDecisions[string](), newDecisions[requestKey]()
	}
	if r.action, err = prepare(c, actionRef); err != nil {
		return nil, err
	}
	if found := c.GetRulesWithPrefix(matchesRef); len(found) > 0 && len(found[0].Head.Args) == 0 {
		if r.matches, err = prepare(c, matchesRef); err != nil {
			return nil, err
		}
	}
	if len(c.GetRulesWithPrefix(requestRef)) == 0 {
		return r, nil
	}
	r.request, err = prepare(c, requestRef)
	return r, err
}

func prepare(c *ast.Compiler, rule ast.Ref) (ast.Body, error) {
	query := ast.NewBody(ast.Equality.Expr(ast.NewTerm(answer), ast.NewTerm(rule)))
	return c.QueryCompiler().Compile(query)
}

// capabilities are OPA's without what reaches outside: a decision depends on
// its input, the policy's data and the clock.
func capabilities() *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	caps.Builtins = slices.DeleteFunc(slices.Clone(caps.Builtins), func(b *ast.Builtin) bool {
		switch b.Name {
		case ast.HTTPSend.Name, ast.NetLookupIPAddr.Name, // would carry what the policy sees away
			ast.OPARuntime.Name,                     // holds the daemon's environment
			ast.Trace.Name,                          // goes nowhere here; print is dropped by the compiler
			ast.RandIntn.Name, ast.UUIDRFC4122.Name: // a decision is repeatable
			return true
		}
		return false
	})
	caps.AllowNet = []string{} // and no schema is fetched
	return caps
}

// flatten makes OPA's lists of errors ("2 errors occurred: …") one error a line.
func flatten(err error) error {
	if list, ok := errors.AsType[ast.Errors](err); ok {
		lines := make([]error, len(list))
		for i, e := range list {
			lines[i] = e
		}
		return errors.Join(lines...)
	}
	if list, ok := errors.AsType[loader.Errors](err); ok {
		return errors.Join(list...)
	}
	return err
}
