package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// manifestsTab is what is wrong with manifests, and where.
type manifestsTab struct {
	*shared
	browser
	wrong int // problems that are no notes
}

func (m *manifestsTab) title() string                      { return "Manifests" }
func (m *manifestsTab) hints() []hint                      { return m.browser.hints() }
func (m *manifestsTab) update(msg tea.Msg) (tea.Cmd, bool) { return nil, m.browser.update(msg) }

func (m *manifestsTab) help() []string {
	return []string{"What `latchgate actions validate` says. A manifest with an error is left out of the actions; a note is worth a look. The details say what to write instead."}
}

func (m *manifestsTab) load() {
	m.table.columns = []string{"", "WHERE", "PROBLEM"}
	var rows []row
	m.wrong = 0
	for i, p := range m.install.Problems {
		status := "warning"
		if !p.Note {
			status = "error"
			m.wrong++
		}
		rows = append(rows, row{fmt.Sprint(i), []cell{statusCell(status, ""), text(p.Where), text(p.Message)}})
	}
	m.set(rows)
}

func (m *manifestsTab) view(width, height int) []string {
	if m.install.Fault != "" {
		return faultLines(m.install.Fault, width)
	}
	heading := strings.Join([]string{many(len(m.install.Actions), "action"), many(m.wrong, "error"), many(len(m.install.Problems)-m.wrong, "note")}, ", ")
	return m.browser.view(width, height, boldStyle.Render(heading), okSign+" every manifest is good", m.about)
}

func (m *manifestsTab) about(id string) []pair {
	for i, p := range m.install.Problems {
		if fmt.Sprint(i) == id {
			status := "error"
			if p.Note {
				status = "warning"
			}
			pairs := []pair{{"where", text(p.Where)}, {"problem", cell{statusCell(status, " ").text + Clean(p.Message), statusCell(status, "").style}}}
			if p.Hint != "" {
				pairs = append(pairs, pair{"to do", text(p.Hint)})
			}
			if p.Action != "" {
				pairs = append(pairs, pair{"action", text(p.Action)})
			}
			return pairs
		}
	}
	return nil
}
