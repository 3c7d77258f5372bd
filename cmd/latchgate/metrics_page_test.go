package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// documented compares docs/metrics.md with what the daemon has: metrics with
// type and labels, and messages of the log; and the alerts with the rules.
func documented(t *testing.T, page string, d *process) {
	rows := docTables(t, "../../docs/metrics.md")
	exposed := map[string][]string{} // name: type and sorted labels
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" && strings.HasPrefix(f[2], "latchgate_") {
			exposed[f[2]] = []string{f[3]}
			continue
		}
		name, rest, _ := strings.Cut(line, "{")
		name, _, _ = strings.Cut(name, " ")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if have := exposed[name]; len(have) == 1 {
			labels, _, _ := strings.Cut(rest, "}")
			exposed[name] = append(have, strings.Join(labelNames(labels), " "))
		}
	}
	told := map[string][]string{}
	for _, row := range rows["metric"] {
		told[row[0]] = []string{row[2], strings.Join(slices.Sorted(slices.Values(strings.Fields(row[1]))), " ")}
	}
	for name, is := range exposed {
		if !slices.Equal(told[name], is) {
			t.Errorf("%s is %q, the page says %q", name, is, told[name])
		}
	}
	for name := range told {
		if exposed[name] == nil {
			t.Errorf("there is no metric %s", name)
		}
		if queries := fmt.Sprint(dashboardQueries(t)); !strings.Contains(queries, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
	alerts := alertExpressions(t)
	for _, row := range rows["alert"] {
		if alerts[row[0]] == "" {
			t.Errorf("there is no alert %s", row[0])
		}
		delete(alerts, row[0])
	}
	if len(alerts) > 0 {
		t.Errorf("alerts that are not on the page: %v", alerts)
	}
	fields := map[string][]string{}
	for _, row := range rows["msg"] {
		fields[row[0]] = append(strings.Fields(row[2]), "time", "level", "msg")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.lines {
		msg, _ := line["msg"].(string)
		if line["level"] == "DEBUG" {
			continue
		}
		if fields[msg] == nil {
			fields[msg] = []string{} // once is enough
			t.Errorf("a log line that is not on the page: %v", line)
		}
		for field := range line {
			if len(fields[msg]) > 0 && !slices.Contains(fields[msg], field) {
				fields[msg] = append(fields[msg], field)
				t.Errorf("the page does not tell of the field %q of %q", field, msg)
			}
		}
	}
}

func labelNames(labels string) []string {
	var names []string
	for pair := range strings.SplitSeq(labels, ",") {
		if name, _, ok := strings.Cut(pair, "="); ok && name != "le" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// docTables reads the tables of a page, by the first column's heading. Cells
// come without backquotes.
func docTables(t *testing.T, file string) map[string][][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	tables, current := map[string][][]string{}, ""
	for s := bufio.NewScanner(f); s.Scan(); {
		line, isRow := strings.CutPrefix(s.Text(), "| ")
		if !isRow {
			if !strings.HasPrefix(s.Text(), "|") {
				current = ""
			}
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.TrimSuffix(line, " |"), "|") {
			cells = append(cells, strings.TrimSpace(strings.ReplaceAll(cell, "`", "")))
		}
		if current == "" {
			current = cells[0]
			continue
		}
		tables[current] = append(tables[current], cells)
	}
	return tables
}
