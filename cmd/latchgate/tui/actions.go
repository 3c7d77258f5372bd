package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/latchgate/latchgate/gate"
)

// actions are the manifests on disk, with what each lacks.
type actions struct {
	*shared
	browser
	ready, lacking int
}

func (a *actions) title() string                      { return "Actions" }
func (a *actions) hints() []hint                      { return a.browser.hints() }
func (a *actions) update(msg tea.Msg) (tea.Cmd, bool) { return nil, a.browser.update(msg) }

func (a *actions) help() []string {
	return []string{
		"All actions that there are: the bundled ones and those of manifests.dirs. An action that lacks a secret it requires can't run; Setup → Secrets sets it. Those that are ready stand first.",
		"A manifest with an error is left out here; Setup → Manifests says where it is wrong.",
	}
}

// has says which secrets are set; unknown without a file that opens.
func (s *shared) has(name string) bool {
	return slices.ContainsFunc(s.secrets, func(x Secret) bool { return x.Name == name && x.Set })
}

// lacks are the secrets that the action requires and that are not set.
func (s *shared) lacks(act *gate.ActionStatus) (names []string) {
	for _, sec := range act.Secrets {
		if sec.Required && !s.has(sec.Name) {
			names = append(names, sec.Name)
		}
	}
	return names
}

func (s *shared) problemsOf(act string) (notes, wrong int) {
	for _, p := range s.install.Problems {
		if p.Action == act && p.Note {
			notes++
		} else if p.Action == act {
			wrong++
		}
	}
	return notes, wrong
}

func (a *actions) load() {
	a.table.columns = []string{"ACTION", "STATE", "RISK", "SECRETS", "HOSTS"}
	if a.install == nil {
		return
	}
	var ready, rest []row
	for i := range a.install.Actions {
		act := &a.install.Actions[i]
		state, good := a.state(act)
		var names []string
		for _, sec := range act.Secrets {
			sign := "–"
			if a.has(sec.Name) {
				sign = okSign
			} else if sec.Required {
				sign = errorSign
			}
			names = append(names, sign+" "+sec.Name)
		}
		r := row{act.ID, []cell{text(act.ID), state, riskCell(act.RiskLevel), text(strings.Join(names, ", ")), text(strings.Join(act.Hosts, ", "))}}
		if good {
			ready = append(ready, r)
		} else {
			rest = append(rest, r)
		}
	}
	a.ready, a.lacking = len(ready), len(rest)
	a.set(append(ready, rest...))
}

func (a *actions) view(width, height int) []string {
	if a.install == nil {
		return []string{"  …"}
	}
	if a.install.Fault != "" {
		return faultLines(a.install.Fault, width)
	}
	heading := boldStyle.Render(fmt.Sprintf("%d ready, %d lack a secret", a.ready, a.lacking))
	if a.secretsErr != nil {
		heading += "  " + warnStyle.Render(warnSign+" the secrets can't be read")
	}
	return a.browser.view(width, height, heading, "there are no actions; manifests.dirs names the folders of their manifests", a.about)
}

func (a *actions) state(act *gate.ActionStatus) (cell, bool) {
	missing := a.lacks(act)
	notes, wrong := a.problemsOf(act.ID)
	switch {
	case wrong > 0:
		return cell{fmt.Sprintf("%s %d wrong", errorSign, wrong), errorStyle}, len(missing) == 0
	case len(missing) > 0:
		return cell{errorSign + " no secret", errorStyle}, false
	case notes > 0:
		return cell{warnSign + " note", warnStyle}, true
	}
	return cell{okSign + " ready", okStyle}, true
}

func riskCell(risk string) cell {
	switch risk {
	case "high", "critical":
		return cell{waitingSign + " " + risk, warnStyle} // the built-in policy asks a person
	}
	return text(risk)
}

// faultLines say why there is nothing to show.
func faultLines(fault string, width int) (lines []string) {
	for l := range strings.SplitSeq(fault, "\n") {
		lines = append(lines, faultText(l, width)...)
	}
	return append(lines, "", "  Mend the configuration, then ctrl+r.")
}

func (a *actions) about(id string) []pair {
	i := slices.IndexFunc(a.install.Actions, func(x gate.ActionStatus) bool { return x.ID == id })
	if i < 0 {
		return nil
	}
	act := &a.install.Actions[i]
	state, _ := a.state(act)
	pairs := []pair{{"action", text(act.ID)}, {"description", text(act.Description)}, {"version", text(cmp.Or(act.Version, "–"))}, {"state", state}, {"risk", riskCell(act.RiskLevel)}}
	for _, sec := range act.Secrets {
		c := cell{okSign + " set", okStyle}
		switch {
		case a.has(sec.Name):
		case sec.Required:
			c = cell{errorSign + " missing, required", errorStyle}
		default:
			c = dim("missing, optional")
		}
		pairs = append(pairs, pair{"secret", cell{sec.Name + ": " + c.text, c.style}})
		for _, where := range sec.Inject {
			pairs = append(pairs, pair{"", text("goes as " + where)})
		}
	}
	pairs = append(pairs, pair{"hosts", text(list(act.Hosts))}, pair{"methods", text(cmp.Or(strings.Join(act.Methods, ", "), "all"))}, pair{"paths", text(cmp.Or(strings.Join(act.Paths, ", "), "all"))},
		pair{"provider", text(cmp.Or(act.Provider, "none: for agents, through the proxy"))}, pair{"tags", text(list(act.Tags))}, pair{"side effects", text(list(act.SideEffects))},
		pair{"declared in", text(fmt.Sprintf("%s:%d", act.File, act.Line))})
	for _, p := range a.install.Problems {
		if p.Action == id {
			pairs = append(pairs, pair{"problem", problemCell(&p)})
		}
	}
	return pairs
}

func problemCell(p *Problem) cell {
	said := p.Message
	if p.Hint != "" {
		said += "; " + p.Hint
	}
	if p.Note {
		return cell{Clean(warnSign + " " + p.Where + ": " + said), warnStyle}
	}
	return cell{Clean(errorSign + " " + p.Where + ": " + said), errorStyle}
}
