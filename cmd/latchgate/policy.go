package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/policy"
)

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Ask the policy what it would decide, and test it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(a.policyEvalCommand(), a.policyTestCommand())
	return c
}

func (a *app) policyTestCommand() *cobra.Command {
	var verbose, asJSON bool
	c := &cobra.Command{
		Use:   "test [PATH...]",
		Short: "Run the tests of the policy",
		Long: `Run the rules test_... in the files *_test.rego of the policy's folders, with what
a rule may call when it is in force. Without PATH it is the policy of the
configuration; with PATH, the policy in those folders, with [policy.data] of the
configuration. What does not pass is printed; -v prints all of it, and what the
tests print.

The exit status is 1 where a test fails, and where there is none.`,
		Example: `  latchgate policy test
  latchgate policy test ./policy -v`,
		RunE: func(c *cobra.Command, paths []string) error { return a.testPolicy(c, paths, verbose, asJSON) },
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "print tests that pass, and what tests print")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) testPolicy(c *cobra.Command, paths []string, verbose, asJSON bool) error {
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	o := policy.Options{Dirs: cfg.Policy.Dirs, Data: cfg.Policy.Data}
	if len(paths) > 0 {
		o.Dirs = paths
	}
	results, err := policy.Test(c.Context(), o)
	if err != nil {
		return withHint(err, "mend it; `latchgate proxy` does not start with it")
	}
	if asJSON {
		if err := printJSON(a.out, append([]policy.TestResult{}, results...)); err != nil {
			return err
		}
	}
	count := map[string]int{}
	for _, r := range results {
		verdict := verdictOf(r)
		count[verdict]++
		if asJSON || verdict == "PASS" && !verbose {
			continue
		}
		fmt.Fprintf(a.out, "%-5s  %s:%d  %s", verdict, tui.Clean(shortPath(r.File)), r.Line, tui.Clean(r.Name))
		if verbose {
			fmt.Fprintf(a.out, "  (%s)", r.Duration.Round(time.Microsecond))
		}
		fmt.Fprintln(a.out)
		for line := range strings.Lines(r.Error + "\n" + r.Output) {
			if line = strings.TrimRight(line, "\n"); line != "" {
				fmt.Fprintf(a.out, "       %s\n", tui.Clean(line))
			}
		}
	}
	if !asJSON {
		fmt.Fprintf(a.out, "%d passed, %d failed, %d skipped\n", count["PASS"], count["FAIL"]+count["ERROR"], count["SKIP"])
	}
	switch {
	case len(results) == 0:
		return withHint(errors.New("the policy has no test"), "a test is a rule test_... in a file whose name ends in _test.rego")
	case count["FAIL"]+count["ERROR"] > 0:
		return exitStatus(exitError)
	}
	return nil
}

func verdictOf(r policy.TestResult) string {
	switch {
	case r.Skip:
		return "SKIP"
	case r.Error != "":
		return "ERROR"
	case r.Pass:
		return "PASS"
	}
	return "FAIL"
}

// shortPath is a path as it is shorter to read: from the working directory,
// where it is below that.
func shortPath(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
