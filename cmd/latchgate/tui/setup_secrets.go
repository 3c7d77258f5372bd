package tui

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/latchgate/latchgate/secrets"
)

// secretsTab shows which secrets there are and who wants them, and changes them.
type secretsTab struct {
	*shared
	browser
	asking  *question
	naming  bool // the name of a secret is typed
	name    field
	valuing bool // its value is typed
	target  string
	early   value     // what came of it before the keyboard was asked to keep it
	keys    *keyboard // that keeps the rest
	said    []string  // of init, until the next key

	stored, lacking int // secrets that are set, or that an action in use can't do without
}

func (t *secretsTab) title() string { return "Secrets" }

func (t *secretsTab) capturing() bool {
	return t.asking != nil || t.naming || t.valuing || t.browser.capturing()
}

func (t *secretsTab) hints() []hint {
	switch {
	case t.asking != nil:
		return questionHints
	case t.naming:
		return []hint{{"enter", "to the value"}, {"esc", "back"}}
	case t.valuing:
		return []hint{{"enter", "set"}, {"ctrl+j", "new line"}, {"ctrl+u", "begin again"}, {"esc", "back"}}
	case t.filtering:
		return t.browser.hints()
	}
	return append([]hint{{"i", "init"}, {"s", "set"}, {"r", "remove"}}, t.browser.hints()...)
}

func (t *secretsTab) help() []string {
	return []string{
		"Which secrets are set, and which actions want them. Those that are set, or missing for an action in use (your own manifests, proxy.default_actions), stand first; then what the bundled actions would want.",
		"i makes a key, an encrypted file and the settings that name them, as `latchgate secrets init` does; what exists is kept. s sets a secret: its name, then its value, which is never shown. A pasted value may have many lines; one newline at its end is left out. r removes one after asking. A running daemon uses the change from the next request on.",
	}
}

// wipe overwrites what was typed of a value.
func (t *secretsTab) wipe() {
	t.early.wipe()
	t.keys.forget()
}

func (t *secretsTab) update(msg tea.Msg) (tea.Cmd, bool) {
	k, isKey := msg.(tea.KeyPressMsg)
	t.said = nil
	switch {
	case t.valuing:
		return t.typeValue(msg), true
	case t.naming:
		return nil, t.typeName(msg)
	case t.asking != nil:
		if !isKey {
			return nil, true
		}
		cmd, over := t.asking.answer(k.String())
		if over {
			t.asking = nil
		}
		return cmd, true
	case !isKey || t.filtering:
		return nil, t.browser.update(msg)
	}
	switch k.String() {
	case "i":
		t.say("making key and file …", false)
		return t.change(func(ctx context.Context) doneMsg {
			lines, err := t.backend.InitSecrets(ctx)
			return doneMsg{text: "the secrets file is there", lines: lines, err: err, reload: true}
		}), true
	case "s":
		t.naming, t.name, t.open = true, field{}, false
	case "r":
		t.askRemoval()
	default:
		return nil, t.browser.update(msg)
	}
	return nil, true
}

// typeName takes the name; nothing typed is the one that the cursor is on.
func (t *secretsTab) typeName(msg tea.Msg) bool {
	k, _ := msg.(tea.KeyPressMsg)
	switch k.String() {
	case "esc":
		t.naming = false
	case "enter":
		if t.target = t.name.text(); t.target == "" {
			t.target = t.table.selectedID()
		}
		if !secrets.ValidName(t.target) {
			t.say("that can't be a name: letters, digits, _ . - and no digit first", true) // it may be a value
			break
		}
		t.naming, t.valuing = false, true
		t.early.wipe()
		t.keys.begin()
	default:
		t.name.update(msg)
	}
	return true
}

// typeValue takes what reaches Bubble Tea: keys that the keyboard lets through,
// and what was typed before it was asked to keep the value.
func (t *secretsTab) typeValue(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.PasteMsg:
		t.early.add([]byte(newlines.Replace(msg.Content))...)
	case tea.KeyPressMsg:
		switch msg.String() {
		case "esc":
			t.valuing = false
			t.wipe()
		case "enter":
			return t.set()
		case "ctrl+j":
			t.early.add('\n')
		case "ctrl+u":
			t.wipe()
			t.keys.begin()
		case "backspace", "ctrl+h":
			t.early.back()
		default:
			t.early.add([]byte(msg.Text)...)
		}
	}
	return nil
}

// newlines are what terminals make of them in a paste.
var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// set hands the value over. The command owns it from then on, and wipes it.
func (t *secretsTab) set() tea.Cmd {
	typed, rest := t.early, t.keys.take()
	t.early = value{}
	typed.add(rest.text...)
	rest.wipe()
	if typed.empty() {
		t.say("nothing was typed; esc goes back", true)
		t.keys.begin()
		return nil
	}
	name := t.target
	t.valuing = false
	t.say("setting "+name+" …", false)
	return t.change(func(ctx context.Context) doneMsg {
		defer typed.wipe()
		err := t.backend.SetSecret(ctx, name, bytes.TrimSuffix(typed.text, []byte("\n")))
		return doneMsg{text: "set " + name, err: err, reload: true, secret: name}
	})
}

func (t *secretsTab) askRemoval() {
	x := t.secret(t.table.selectedID())
	if x == nil || !x.Set {
		t.say("the cursor is on no secret that is set", true)
		return
	}
	q := []string{"Remove " + x.Name + "? Its value is gone then."}
	if len(x.Actions) > 0 {
		q = append(q, "It is used by "+list(x.Actions)+".")
	}
	name := x.Name
	t.asking = &question{q, func() tea.Cmd {
		return t.change(func(ctx context.Context) doneMsg {
			return doneMsg{text: "removed " + name, err: t.backend.RemoveSecret(ctx, name), reload: true}
		})
	}}
}

// done shows what init said, and goes to what was set.
func (t *secretsTab) done(msg doneMsg) {
	t.said = msg.lines
	if msg.err == nil {
		t.table.want = msg.secret
	}
}

func (t *secretsTab) secret(name string) *Secret {
	i := slices.IndexFunc(t.secrets, func(s Secret) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &t.secrets[i]
}

func (t *secretsTab) load() {
	t.table.columns = []string{"SECRET", "STATE", "NEED", "ACTIONS", "HOSTS"}
	var first, rest []row
	t.stored, t.lacking = 0, 0
	for i := range t.secrets {
		x := &t.secrets[i]
		if x.Set {
			t.stored++
		} else if x.InUse && x.Required {
			t.lacking++
		}
		if x.Set || x.InUse {
			first = append(first, secretRow(x))
		} else {
			rest = append(rest, secretRow(x))
		}
	}
	t.browser.set(append(first, rest...))
}

func (t *secretsTab) view(width, height int) []string {
	below := t.below(width)
	if !t.secretsIn {
		return append(pad([]string{"  …"}, height-len(below)), below...)
	}
	var above []string
	if t.secretsErr != nil {
		above = append(faultText(t.secretsErr.Error(), width), "  "+hotStyle.Render("i")+" makes a key and an encrypted secrets file; what exists is kept.", "")
	}
	heading := boldStyle.Render(fmt.Sprintf("%d set", t.stored))
	if t.lacking > 0 {
		heading += "  " + errorStyle.Render(fmt.Sprintf("%s %d missing that actions in use require", errorSign, t.lacking))
	}
	return slices.Concat(above, t.browser.view(width, height-len(above)-len(below), heading, "no secret is set, and no action wants one", t.about), below)
}

func secretRow(x *Secret) row {
	need, state := "optional", cell{okSign + " set", okStyle}
	if x.Required {
		need = "required"
	}
	if len(x.Actions) == 0 {
		need = "nobody's"
	}
	switch {
	case x.Set:
	case x.Required && x.InUse:
		state = cell{errorSign + " missing", errorStyle}
	default:
		state = dim("– missing")
	}
	return row{x.Name, []cell{text(x.Name), state, text(need), text(list(x.Actions)), text(list(x.Hosts))}}
}

// bullets stand for a value, however long it is.
const bullets = "••••••••"

// below is what is asked, or said, under the table.
func (t *secretsTab) below(width int) []string {
	rule := dimStyle.Render("  " + strings.Repeat("─", width-2*gap))
	switch {
	case t.asking != nil:
		return append([]string{rule}, t.asking.view(width)...)
	case t.naming:
		line := "  " + hotStyle.Render("Name: ") + t.name.view()
		if id := t.table.selectedID(); id != "" && len(t.name.value) == 0 {
			line += dimStyle.Render("  enter alone: " + Clean(id))
		}
		return []string{rule, line}
	case t.valuing:
		shown := dimStyle.Render("(type or paste; it is not shown)")
		if !t.early.empty() || !t.keys.empty() {
			shown = bullets
		}
		about := ""
		if x := t.secret(t.target); x != nil && x.Set {
			about = warnStyle.Render("  " + warnSign + " replaces the value that is there")
		}
		return []string{rule, "  " + hotStyle.Render("Value of "+Clean(t.target)+": ") + shown + about}
	case len(t.said) > 0:
		lines := []string{rule}
		for _, s := range t.said {
			for _, l := range wrap(Clean(s), width-2*gap) {
				lines = append(lines, "  "+l)
			}
		}
		return lines
	}
	return nil
}

func (t *secretsTab) about(name string) []pair {
	x := t.secret(name)
	if x == nil {
		return nil
	}
	r := secretRow(x)
	return []pair{{"secret", text(x.Name)}, {"state", r.cells[1]}, {"need", r.cells[2]}, {"actions", text(list(x.Actions))}, {"hosts", text(list(x.Hosts))}}
}
