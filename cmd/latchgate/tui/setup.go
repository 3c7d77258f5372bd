package tui

import (
	tea "charm.land/bubbletea/v2"
)

// setup is how latchgate is set up: five tabs, of what is on disk.
type setup struct {
	*shared
	tabs    []screen
	at      int
	secrets *secretsTab
}

func newSetup(s *shared, keys *keyboard) *setup {
	secrets := &secretsTab{shared: s, keys: keys}
	return &setup{shared: s, secrets: secrets, tabs: []screen{&overview{shared: s}, &proxyTab{shared: s}, &certificates{shared: s}, &manifestsTab{shared: s}, secrets}}
}

func (s *setup) title() string   { return "Setup" }
func (s *setup) capturing() bool { return s.tabs[s.at].capturing() }
func (s *setup) help() []string  { return s.tabs[s.at].help() }

func (s *setup) hints() []hint {
	h := s.tabs[s.at].hints()
	if !s.capturing() {
		h = append(h, hint{"1…5", "tabs"})
	}
	return h
}

func (s *setup) update(msg tea.Msg) (tea.Cmd, bool) {
	k, isKey := msg.(tea.KeyPressMsg)
	if !isKey {
		if _, pasted := msg.(tea.PasteMsg); pasted {
			return s.tabs[s.at].update(msg)
		}
		return nil, false
	}
	if cmd, handled := s.tabs[s.at].update(k); handled || s.capturing() {
		return cmd, true
	}
	switch name := k.String(); name {
	case "1", "2", "3", "4", "5":
		s.at = int(name[0] - '1')
	case "6": // Setup is shown
	case "tab", "right", "l":
		s.at = (s.at + 1) % len(s.tabs)
	case "shift+tab", "left", "h":
		s.at = (s.at + len(s.tabs) - 1) % len(s.tabs)
	default:
		return nil, false
	}
	return nil, true
}

func (s *setup) load() {
	if s.install != nil {
		s.tabs[s.at].load()
	}
}

func (s *setup) view(width, height int) []string {
	lines := []string{tabs("  ", s.tabs, s.at, width), ""}
	if s.install == nil {
		return append(lines, "  …")
	}
	return append(lines, s.tabs[s.at].view(width, height-2)...)
}
