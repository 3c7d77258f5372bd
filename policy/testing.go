package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestResult is the outcome of one test rule (test_…) of a policy.
type TestResult struct {
	Name     string        `json:"name"` // package and rule
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Pass     bool          `json:"pass"`
	Skip     bool          `json:"skip"`            // todo_test_…
	Error    string        `json:"error,omitempty"` // the test could not be evaluated
	Output   string        `json:"output,omitempty"`
	Duration time.Duration `json:"duration_ns"`
}

// Test runs the tests of the policy that o says, those of the built-in policy
// without its Dirs and Data, with what a rule may call when it is in force. A
// failed test is a result and not an error; an error is a policy that does not
// load. The order is that of the files.
func Test(ctx context.Context, o Options) ([]TestResult, error) {
	if len(o.Dirs) == 0 {
		o.Data = nil // its tests bring their own
	}
	src, err := read(o)
	if err != nil {
		return nil, err
	}
	if _, err := src.compile(ctx); err != nil {
		return nil, fmt.Errorf("compile policy: %w", flatten(err))
	}
	return src.test(ctx)
}

func (s *source) test(ctx context.Context) ([]TestResult, error) {
	store, err := s.newStore()
	if err != nil {
		return nil, err
	}
	modules := maps.Clone(s.modules)
	maps.Copy(modules, s.tests)
	ch, err := tester.NewRunner().
		SetCompiler(ast.NewCompiler().WithCapabilities(capabilities()).WithEnablePrintStatements(true)).
		SetStore(store).
		SetModules(modules).
		RaiseBuiltinErrors(true). // as in eval
		RunTests(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("compile policy tests: %w", flatten(err))
	}
	var results []TestResult
	for r := range ch {
		t := TestResult{
			Name: strings.TrimPrefix(r.Package, "data.") + "." + r.Name, Pass: r.Pass(), Skip: r.Skip,
			Output: string(r.Output), Duration: r.Duration,
		}
		if r.Location != nil {
			t.File, t.Line = r.Location.File, r.Location.Row
		}
		if r.Error != nil {
			t.Error = r.Error.Error()
		}
		results = append(results, t)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run policy tests: %w", err) // some may be missing
	}
	slices.SortFunc(results, func(a, b TestResult) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Name, b.Name))
	})
	return results, nil
}

// failed is nil where every test passed or is marked as not yet due.
func failed(results []TestResult) error {
	var errs []error
	for _, t := range results {
		switch {
		case t.Error != "":
			errs = append(errs, fmt.Errorf("%s:%d: policy test %s: %s", t.File, t.Line, t.Name, t.Error))
		case !t.Pass && !t.Skip:
			errs = append(errs, fmt.Errorf("%s:%d: policy test %s fails", t.File, t.Line, t.Name))
		}
	}
	return errors.Join(errs...)
}
