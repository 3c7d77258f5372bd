package tui

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/latchgate/latchgate/audit"
)

// policy is what was decided, and what would be.
type policy struct {
	*shared
	browser
	asking  bool // for the action of a what-if
	action  field
	verdict *Verdict
	refused string // why there is no verdict
	scroll  details
}

func newPolicy(s *shared) *policy {
	p := &policy{shared: s}
	p.table.live = true
	return p
}

func (p *policy) title() string   { return "Policy" }
func (p *policy) capturing() bool { return p.asking || p.browser.capturing() }
func (p *policy) answered() bool  { return p.verdict != nil || p.refused != "" }

func (p *policy) hints() []hint {
	switch {
	case p.asking:
		return []hint{{"enter", "decide"}, {"tab", "complete"}, {"esc", "back"}}
	case p.answered():
		return []hint{{"esc", "back"}, {"w", "another"}, {"↑↓", "scroll"}}
	}
	return append([]hint{{"w", "what if"}}, p.browser.hints()...)
}

func (p *policy) help() []string {
	return []string{
		"The decisions of the policy, the newest first: whether a run may open, and with a request policy whether a request may go out.",
		"What if: type an action, and see what the policy on disk would decide on a run of it by you, and why. Nothing is opened, and nothing is recorded.",
	}
}

func (p *policy) update(msg tea.Msg) (tea.Cmd, bool) {
	if v, ok := msg.(verdictMsg); ok {
		if p.verdict, p.refused = &v.verdict, ""; v.err != nil {
			p.verdict, p.refused = nil, v.err.Error()
		}
		return nil, true
	}
	if p.asking {
		return p.typing(msg), true
	}
	k, isKey := msg.(tea.KeyPressMsg)
	if !isKey {
		return nil, p.browser.update(msg)
	}
	switch {
	case k.String() == "w" && !p.filtering:
		p.asking, p.action, p.open = true, field{}, false
		return nil, true
	case p.answered() && k.String() == "esc":
		p.verdict, p.refused = nil, ""
		return nil, true
	case p.answered():
		return nil, p.scroll.key(k.String())
	}
	return nil, p.browser.update(msg)
}

// typing takes the action's name.
func (p *policy) typing(msg tea.Msg) tea.Cmd {
	k, _ := msg.(tea.KeyPressMsg)
	switch k.String() {
	case "esc":
		p.asking = false
	case "tab":
		if near := p.near(); len(near) > 0 {
			p.action.value = []rune(near[0])
		}
	case "enter":
		name := p.action.text()
		if name == "" {
			return nil
		}
		p.asking, p.verdict, p.refused, p.scroll.top = false, nil, "", 0
		return bounded(p.ctx, func(ctx context.Context) tea.Msg {
			v, err := p.backend.WhatIf(ctx, name)
			return verdictMsg{v, err}
		})
	default:
		p.action.update(msg)
	}
	return nil
}

// near are the actions whose name begins with what is typed, or else holds it.
func (p *policy) near() (names []string) {
	if p.install == nil {
		return nil
	}
	typed := p.action.text()
	for _, fits := range []func(string, string) bool{strings.HasPrefix, strings.Contains} {
		for _, a := range p.install.Actions {
			if fits(a.ID, typed) {
				names = append(names, a.ID)
			}
		}
		if len(names) > 0 {
			return names
		}
	}
	return nil
}

func (p *policy) load() {
	p.table.columns = []string{"TIME", "DECISION", "ACTION", "PRINCIPAL", "REASON"}
	var rows []row
	for i := range p.entries {
		if e := &p.entries[i]; e.Kind == audit.Policy {
			rows = append(rows, row{eventID(e), []cell{dim(p.at(e.Time)), decision(e.Code), text(actionOf(e)), text(e.Principal), text(e.Reason)}})
		}
	}
	p.set(rows)
}

func (p *policy) view(width, height int) []string {
	switch {
	case p.asking:
		lines := []string{"  " + boldStyle.Render("What if somebody ran"), "", "  " + hotStyle.Render("action: ") + p.action.view(), ""}
		for i, n := range p.near() {
			if i == height-len(lines) {
				break
			}
			lines = append(lines, "          "+dimStyle.Render(n))
		}
		return pad(lines, height)
	case p.refused != "":
		return append([]string{"  " + boldStyle.Render("What if"), ""}, faultText(p.refused, width)...)
	case p.verdict != nil:
		p.scroll.pairs = p.pairs()
		return append([]string{"  " + boldStyle.Render("What if"), ""}, p.scroll.view(width, height-2)...)
	}
	return p.browser.view(width, height, boldStyle.Render("Decisions"), p.without("nothing was decided yet; w asks what would be"), p.about)
}

func faultText(fault string, width int) []string {
	var lines []string
	for _, l := range wrap(Clean(errorSign+" "+fault), width-2*gap) {
		lines = append(lines, "  "+errorStyle.Render(l))
	}
	return lines
}

func (p *policy) pairs() []pair {
	v := p.verdict
	pairs := []pair{{"action", text(v.Action)}, {"decision", decision(v.Code)}, {"reason", text(v.Reason)}}
	for _, b := range v.Because {
		pairs = append(pairs, pair{b[0], text(b[1])})
	}
	pairs = append(pairs, pair{"secrets", text(list(v.Secrets))}, pair{"hosts", text(list(v.Hosts))})
	if len(v.DeniedSecrets)+len(v.DeniedHosts) > 0 {
		pairs = append(pairs, pair{"not approved", cell{Clean(list(append(append([]string{}, v.DeniedSecrets...), v.DeniedHosts...))), deniedStyle}})
	}
	return append(pairs, pair{"asked for", text(v.Principal + ", through " + v.Door)}, pair{"risk", riskCell(v.Risk)}, pair{"policy", text(v.Policy)})
}

func (p *policy) about(id string) []pair {
	for i := range p.entries {
		if eventID(&p.entries[i]) == id {
			return p.event(&p.entries[i])
		}
	}
	return nil
}
