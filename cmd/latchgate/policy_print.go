package main

import (
	"fmt"
	"strings"

	"github.com/latchgate/latchgate/policy"
)

// printVerdict prints a table for each action, and one for the request.
func (a *app) printVerdict(v *verdict) error {
	for i, av := range v.Actions {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		rows := [][]string{{"decision", string(av.Code)}, {"reason", av.Reason}}
		if av.Allow {
			rows = append(rows, []string{"secrets", strings.Join(av.ApprovedSecrets, ", ")}, []string{"hosts", strings.Join(av.ApprovedHosts, ", ")})
		}
		if len(av.DeniedSecrets) > 0 {
			rows = append(rows, []string{"secrets denied", strings.Join(av.DeniedSecrets, ", ")})
		}
		if len(av.DeniedHosts) > 0 {
			rows = append(rows, []string{"hosts denied", strings.Join(av.DeniedHosts, ", ")})
		}
		if err := printTable(a.out, []string{"ACTION", av.Action}, append(rows, because(av.Explanation)...)); err != nil {
			return err
		}
	}
	if v.Request == nil {
		return nil
	}
	if len(v.Actions) > 0 {
		fmt.Fprintln(a.out)
	}
	return a.printRequestVerdict(v.Request)
}

func (a *app) printRequestVerdict(rv *requestVerdict) error {
	rows := [][]string{{"decision", string(rv.Code)}, {"reason", rv.Reason}}
	if rv.Refusal != "" {
		rows = append(rows, []string{"refused with", rv.Refusal})
	}
	if rv.Hint != "" {
		rows = append(rows, []string{"hint", rv.Hint})
	}
	what := rv.Method
	if in := rv.Input; in != nil {
		what = fmt.Sprintf("%s %s %s port %d %s", in.Method, in.Scheme, in.Host, in.Port, in.Path)
		rows = append(rows, []string{"action", rv.Action}, []string{"secrets", strings.Join(rv.Secrets, ", ")})
	}
	if rv.Blind {
		rows = append(rows, []string{"tunnel", "not looked into"})
	}
	return printTable(a.out, []string{"REQUEST", what}, append(rows, because(rv.Explanation)...))
}

// because is where a decision comes from.
func because(x policy.Explanation) (rows [][]string) {
	if x.Error != "" {
		rows = append(rows, []string{"error", x.Error})
	}
	for _, p := range x.DecidedBy {
		rows = append(rows, []string{"decided by", placeText(p)})
	}
	for _, p := range x.Used {
		rows = append(rows, []string{"with", placeText(p)})
	}
	for _, m := range x.Matches {
		rows = append(rows, []string{"data", fmt.Sprintf("policy.data.%s: %q fits %s", m.Key, m.Entry, m.Name)})
	}
	return rows
}

func placeText(p policy.Place) string {
	return fmt.Sprintf("%s:%d %s", shortPath(p.File), p.Line, p.Rule)
}
