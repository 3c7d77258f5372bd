package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

// overview is what doctor says.
type overview struct {
	*shared
	browser
}

func (o *overview) title() string                      { return "Overview" }
func (o *overview) hints() []hint                      { return o.browser.hints() }
func (o *overview) update(msg tea.Msg) (tea.Cmd, bool) { return nil, o.browser.update(msg) }

func (o *overview) help() []string {
	return []string{"The checks of `latchgate doctor`: configuration, actions, policy, secrets, key, certificate authority and daemon. The details of a line say what to do. ctrl+r checks again; nothing is changed."}
}

func (o *overview) load() {
	o.table.columns = []string{"", "CHECK", "FOUND"}
	var rows []row
	for i, c := range o.install.Checks {
		rows = append(rows, row{fmt.Sprint(i), []cell{statusCell(c.Status, ""), text(c.Group + ": " + c.Name), text(c.Found)}})
	}
	o.set(rows)
}

func (o *overview) view(width, height int) []string {
	n := map[string]int{}
	for _, c := range o.install.Checks {
		n[c.Status]++
	}
	some := func(status string, style lipgloss.Style) lipgloss.Style {
		if n[status] == 0 {
			return dimStyle
		}
		return style
	}
	heading := strings.Join([]string{some("error", errorStyle).Render(errorSign + " " + many(n["error"], "error")), some("warning", warnStyle).Render(warnSign + " " + many(n["warning"], "warning")),
		okStyle.Render(fmt.Sprintf("%s %d ok", okSign, n["ok"])), dimStyle.Render("at " + o.at(o.looked))}, "  ")
	lines := o.browser.view(width, height-3, heading, "no checks", o.about)
	return append(lines, o.todo(width)...)
}

// todo is what to do about the line that the cursor is on.
func (o *overview) todo(width int) []string {
	c := o.check(o.table.selectedID())
	if c == nil || c.Todo == "" || o.open {
		return nil
	}
	lines := []string{""}
	for i, l := range wrap(Clean(c.Todo), width-3*gap) {
		mark := "    "
		if i == 0 {
			mark = "  → "
		}
		lines = append(lines, mark+l)
	}
	return pad(lines, 3)
}

func (o *overview) check(id string) *Check {
	for i := range o.install.Checks {
		if fmt.Sprint(i) == id {
			return &o.install.Checks[i]
		}
	}
	return nil
}

func (o *overview) about(id string) []pair {
	c := o.check(id)
	if c == nil {
		return nil
	}
	pairs := []pair{{"check", text(c.Group + ": " + c.Name)}, {"status", statusCell(c.Status, " "+c.Status)}, {"found", text(c.Found)}}
	if c.Todo != "" {
		pairs = append(pairs, pair{"to do", text(c.Todo)})
	}
	return pairs
}

func statusCell(status, more string) cell {
	switch status {
	case "ok":
		return cell{okSign + more, okStyle}
	case "warning":
		return cell{warnSign + more, warnStyle}
	}
	return cell{errorSign + more, errorStyle}
}
