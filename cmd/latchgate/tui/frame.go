package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/latchgate/latchgate/gate"
)

// screen is one of the six. Its methods run on the program's goroutine and must
// not block: what takes time is a command.
type screen interface {
	title() string
	// update takes a message; handled says that a key means nothing to others.
	update(msg tea.Msg) (cmd tea.Cmd, handled bool)
	// capturing is when what is typed is text, or an answer, and no command.
	capturing() bool
	// load takes into its rows what came; it is called after each message, for
	// the screen that is shown: a key may follow the last one before a drawing.
	load()
	// view draws at most height lines of at most width cells.
	view(width, height int) []string
	hints() []hint
	help() []string // about what is seen
}

// The smallest terminal that the screens are drawn for.
const minWidth, minHeight = 60, 16

// model is the frame around the screens.
type model struct {
	*shared
	screens       []screen
	setup         *setup
	at, before    int
	width, height int
	helping       bool
}

func newModel(ctx context.Context, b Backend, f *feed, keys *keyboard, now func() time.Time) *model {
	s := &shared{ctx: ctx, backend: b, now: now, feed: f}
	m := &model{shared: s, setup: newSetup(s, keys)}
	m.screens = []screen{&dashboard{shared: s}, newActivity(s), newApprovals(s), &actions{shared: s}, newPolicy(s), m.setup}
	return m
}

// wipe forgets what was typed of a secret, however the program ends.
func (m *model) wipe() { m.setup.secrets.wipe() }

// Init satisfies tea.Model.
func (m *model) Init() tea.Cmd { return tea.Batch(m.poll(), m.lookAtDisk(), tick()) }

// Update satisfies tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	cmd := m.take(msg)
	m.screens[m.at].load()
	return m, cmd
}

// take does what a message asks for.
func (m *model) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return nil
	case tea.KeyPressMsg:
		return m.key(msg)
	case tea.PasteMsg:
		if m.screens[m.at].capturing() && !m.helping {
			cmd, _ := m.screens[m.at].update(msg)
			return cmd
		}
		return nil // what is pasted by mistake is no command
	case tickMsg:
		m.drain()
		cmds := []tea.Cmd{tick()}
		if !m.polling && m.now().Sub(m.polled) >= pollEvery {
			cmds = append(cmds, m.poll())
		}
		return tea.Batch(cmds...)
	case sampleMsg:
		m.sampled(msg)
	case installMsg:
		m.install, m.looked = &msg.found, msg.at
	case secretsMsg:
		m.secrets, m.secretsErr, m.secretsIn = msg.all, msg.err, true
	case doneMsg:
		if m.say(msg.text, false); msg.err != nil {
			m.say(msg.err.Error(), true)
		}
		m.setup.secrets.done(msg)
		cmds := []tea.Cmd{m.poll()}
		if msg.reload {
			cmds = append(cmds, m.lookAtDisk())
		}
		return tea.Batch(cmds...)
	}
	var cmds []tea.Cmd
	for _, s := range m.screens {
		cmd, _ := s.update(msg)
		cmds = append(cmds, cmd)
	}
	return tea.Batch(cmds...)
}

// key gives a key to the screen, and takes it where that has no use for it.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	if name == "ctrl+c" {
		m.wipe()
		return tea.Quit
	}
	now := m.screens[m.at]
	if m.helping && !now.capturing() {
		if m.helping = false; name == "?" || name == "esc" || name == "enter" {
			return nil
		}
	}
	m.say("", false)
	if cmd, handled := now.update(k); handled || now.capturing() {
		return cmd
	}
	switch name {
	case "q":
		return tea.Quit
	case "?":
		m.helping = true
	case "1", "2", "3", "4", "5", "6":
		return m.show(int(name[0] - '1'))
	case "tab", "right", "l":
		return m.show((m.at + 1) % len(m.screens))
	case "shift+tab", "left", "h":
		return m.show((m.at + len(m.screens) - 1) % len(m.screens))
	case "ctrl+r":
		m.say("looking again", false)
		return tea.Batch(m.lookAtDisk(), m.poll())
	case "esc":
		if m.at == setupScreen {
			return m.show(m.before)
		}
	}
	return nil
}

// setupScreen is the place of Setup among the screens.
const setupScreen = 5

// show turns to a screen. What is on disk is looked at anew where it is shown.
func (m *model) show(at int) tea.Cmd {
	if at == m.at {
		return nil
	}
	if m.at != setupScreen {
		m.before = m.at
	}
	if m.at = at; at == setupScreen || m.screens[at].title() == "Actions" {
		return m.lookAtDisk()
	}
	return nil
}

// View satisfies tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

func (m *model) lines() []string {
	if m.width == 0 {
		return nil // the terminal has not said yet
	}
	if m.width < minWidth || m.height < minHeight {
		return pad(wrap(fmt.Sprintf("This terminal is %d×%d. The screens need %d×%d; 80×24 is good. q quits.", m.width, m.height, minWidth, minHeight), m.width), m.height)
	}
	lines := []string{m.tabs(), dimStyle.Render(strings.Repeat("─", m.width))}
	body := m.height - 4
	if m.helping {
		lines = append(lines, pad(m.helpLines(), body)...)
	} else {
		lines = append(lines, pad(m.screens[m.at].view(m.width, body), body)...)
	}
	lines = append(lines, m.status(), m.foot())
	for i := range lines {
		lines[i] = strings.TrimRight(ansi.Truncate(lines[i], m.width, "…"), " ")
	}
	return lines
}

func (m *model) tabs() string {
	return tabs(boldStyle.Render("latchgate")+" ", m.screens, m.at, m.width)
}

// tabs names screens; where that is wider than width, only the one that is shown.
func tabs(lead string, all []screen, at, width int) string {
	names, numbers := lead, lead
	for i, s := range all {
		number := fmt.Sprintf(" %d ", i+1)
		name := fmt.Sprintf(" %d %s ", i+1, s.title())
		if i == at {
			name = hotStyle.Render("[" + strings.TrimSpace(name) + "]")
			number = name
		}
		names, numbers = names+name, numbers+number
	}
	if ansi.StringWidth(names) <= width {
		return names
	}
	return numbers
}

// status is the daemon's state, or what came of the last command.
func (m *model) status() string {
	if m.note != "" {
		if m.noteBad {
			return errorStyle.Render(errorSign + " " + Clean(m.note))
		}
		return okStyle.Render(okSign + " " + Clean(m.note))
	}
	s := m.sample.Status
	switch {
	case !m.asked:
		return dimStyle.Render("… asking the daemon")
	case errors.Is(m.daemon, gate.ErrNoDaemon):
		return warnStyle.Render("○ no daemon: start it with `latchgate proxy`; Setup and Actions work without")
	case m.daemon != nil:
		return errorStyle.Render(errorSign + " the daemon does not answer: " + Clean(m.daemon.Error()))
	case m.stale():
		return warnStyle.Render(fmt.Sprintf("%s the daemon has not answered since %s; what is shown is of then", warnSign, m.shared.at(m.polled)))
	case !s.Ready:
		return errorStyle.Render(errorSign + " not ready: " + Clean(s.Fault))
	}
	line := okStyle.Render("●") + fmt.Sprintf(" daemon %s, process %d, proxy at %s", Clean(s.Version), s.PID, Clean(s.Proxy))
	switch n := m.waiting(); {
	case n == 1:
		line += "   " + warnStyle.Render(waitingSign+" 1 approval waits")
	case n > 1:
		line += "   " + warnStyle.Render(fmt.Sprintf("%s %d approvals wait", waitingSign, n))
	}
	return line
}

// waiting is how many tickets need a decision.
func (s *shared) waiting() (n int) {
	for _, a := range s.sample.Approvals {
		if a.State == gate.ApprovalPending {
			n++
		}
	}
	return n
}

func (m *model) foot() string {
	now := m.screens[m.at]
	hints := now.hints()
	if m.helping {
		hints = []hint{{"esc", "back"}}
	}
	var last []hint
	if !now.capturing() {
		last = []hint{{"?", "help"}, {"q", "quit"}}
	}
	line, end := "", footer(last)
	for _, h := range hints { // those that fit; help has all
		if next := line + footer([]hint{h}); ansi.StringWidth(next+end) <= m.width+gap {
			line = next
		}
	}
	return line + end
}

func footer(hints []hint) string {
	var b strings.Builder
	for _, h := range hints {
		b.WriteString(hotStyle.Render(h.key) + " " + h.does + "  ")
	}
	return b.String()
}

// everywhere are the keys of the frame.
var everywhere = []hint{
	{"1…6", "a screen; in Setup 1…5 is a tab"}, {"tab ←→", "the next or last one"}, {"esc", "back"},
	{"ctrl+r", "look at everything again"}, {"?", "this help"}, {"q ctrl+c", "quit"},
}

func (m *model) helpLines() []string {
	now := m.screens[m.at]
	lines := []string{"  " + boldStyle.Render(now.title())}
	for _, p := range now.help() {
		for _, l := range wrap(p, m.width-2*gap) {
			lines = append(lines, "  "+l)
		}
	}
	lines = append(lines, "", "  "+boldStyle.Render("Keys here")+strings.Repeat(" ", 21)+boldStyle.Render("Everywhere"))
	here := now.hints()
	for i := range max(len(here), len(everywhere)) {
		left, right := "", ""
		if i < len(here) {
			left = hotStyle.Render(fit(here[i].key, 8)) + " " + here[i].does
		}
		if i < len(everywhere) {
			right = hotStyle.Render(fit(everywhere[i].key, 9)) + " " + everywhere[i].does
		}
		lines = append(lines, "  "+fit(left, 30)+right)
	}
	return append(lines, "", "  "+okStyle.Render(okSign+" good")+"   "+warnStyle.Render(warnSign+" look at it")+"   "+errorStyle.Render(errorSign+" wrong or missing")+
		"   "+deniedStyle.Render(deniedSign+" refused")+"   "+warnStyle.Render(waitingSign+" waits for a person"))
}
