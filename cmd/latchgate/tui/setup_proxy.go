package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// proxyTab is how a client is pointed at the proxy.
type proxyTab struct {
	*shared
	scroll details
}

func (p *proxyTab) title() string   { return "Proxy" }
func (p *proxyTab) capturing() bool { return false }
func (p *proxyTab) load()           {}

func (p *proxyTab) hints() []hint {
	return []hint{{"c", "copy variables"}, {"↑↓", "scroll"}}
}

func (p *proxyTab) help() []string {
	return []string{
		"How a client gets to the proxy. `exec` and `env` open a run and set all of this by themselves, with the run's credentials and placeholders. The variables here are those of a client without a run, which proxy.default_actions are for.",
		"c copies them as lines for a shell, through the terminal: over ssh too, where the terminal allows it (in tmux: set -g set-clipboard on).",
	}
}

func (p *proxyTab) update(msg tea.Msg) (tea.Cmd, bool) {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok || p.install == nil {
		return nil, false
	}
	if k.String() != "c" {
		return nil, p.scroll.key(k.String())
	}
	if p.install.Proxy.Shell == "" {
		p.say("there is nothing to copy yet", true)
		return nil, true
	}
	p.say(fmt.Sprintf("copied %d lines", strings.Count(p.install.Proxy.Shell, "\n")), false)
	return tea.SetClipboard(p.install.Proxy.Shell), true
}

func (p *proxyTab) view(width, height int) []string {
	if p.install.Fault != "" {
		return faultLines(p.install.Fault, width)
	}
	x := p.install.Proxy
	pairs := []pair{
		{"one command", text("latchgate exec --action ACTION -- COMMAND")},
		{"this shell", text(`eval "$(latchgate env --action ACTION)"`)},
		{"a container", text("latchgate env --action ACTION --format docker > agent.env")},
		{"listens at", text(x.Listen)},
	}
	switch {
	case len(x.DefaultActions) > 0:
		pairs = append(pairs, pair{"without a run", text("a client on this machine may use " + list(x.DefaultActions))})
	default:
		pairs = append(pairs, pair{"without a run", dim("refused: proxy.default_actions is empty")})
	}
	pairs = append(pairs, pair{"", text("")})
	for _, v := range x.Variables {
		pairs = append(pairs, pair{v[0], text(v[1])})
	}
	if len(x.Variables) == 0 {
		pairs = append(pairs, pair{"variables", dim("when the certificate authority is made: start `latchgate proxy` once")})
	}
	p.scroll.pairs = pairs
	return p.scroll.view(width, height)
}
