package tui

import (
	"fmt"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"
)

// hint is a key and what it does, for the foot and the help.
type hint struct{ key, does string }

// field is a line that is typed. It is no place for a secret.
type field struct{ value []rune }

// maxField bounds what is typed or pasted into a field, in characters.
const maxField = 200

func (f *field) update(msg tea.Msg) {
	switch msg := msg.(type) {
	case tea.PasteMsg:
		f.add(strings.TrimSpace(msg.Content))
	case tea.KeyPressMsg:
		switch msg.String() {
		case "backspace", "ctrl+h":
			f.value = f.value[:max(len(f.value)-1, 0)]
		case "ctrl+u", "ctrl+w":
			f.value = nil
		default:
			f.add(msg.Text)
		}
	}
}

func (f *field) add(s string) {
	for _, r := range s {
		if unicode.IsPrint(r) && len(f.value) < maxField {
			f.value = append(f.value, r)
		}
	}
}

func (f *field) text() string { return strings.TrimSpace(string(f.value)) }

// view shows the end of the text, and a cursor.
func (f *field) view() string { return Clean(string(f.value)) + "█" }

// question is something that is done only after a yes.
type question struct {
	text []string
	yes  func() tea.Cmd
}

// answer takes a key; the question is over when it returns true.
func (q *question) answer(k string) (tea.Cmd, bool) {
	switch k {
	case "y", "Y":
		return q.yes(), true
	case "n", "N", "esc":
		return nil, true
	}
	return nil, false
}

func (q *question) view(width int) []string {
	var lines []string
	for _, t := range q.text {
		for _, l := range wrap(Clean(t), width-2*gap) {
			lines = append(lines, "  "+boldStyle.Render(l))
		}
	}
	return append(lines, "  "+hotStyle.Render("y")+" yes   "+hotStyle.Render("n")+" no")
}

var questionHints = []hint{{"y", "yes"}, {"n", "no"}, {"esc", "no"}}

// browser is a table that can be filtered, with the details of a row.
type browser struct {
	table     table
	details   details
	open      bool // the details are shown
	filter    field
	filtering bool
	filtered  string // what the rows were last filtered by
}

// capturing is when what is typed is text.
func (b *browser) capturing() bool { return b.filtering }

// update handles a key, and reports whether it was one of its own.
func (b *browser) update(msg tea.Msg) bool {
	k, isKey := msg.(tea.KeyPressMsg)
	if b.filtering {
		switch {
		case isKey && k.String() == "enter":
			b.filtering = false
		case isKey && k.String() == "esc":
			b.filtering, b.filter = false, field{}
		default:
			b.filter.update(msg)
		}
		return true
	}
	if !isKey {
		return false
	}
	if b.open {
		if s := k.String(); s == "esc" || s == "enter" || s == "backspace" {
			b.open, b.details.top = false, 0
			return true
		}
		return b.details.key(k.String())
	}
	switch k.String() {
	case "/":
		b.filtering = true
	case "enter":
		b.open = b.table.selected() != nil
	case "esc":
		if b.filter.text() == "" {
			return false
		}
		b.filter = field{}
	default:
		return b.table.key(k.String())
	}
	return true
}

// set puts those rows in that the filter lets through.
func (b *browser) set(rows []row) {
	want := strings.ToLower(b.filter.text())
	live, strict := b.table.live, b.table.strict
	defer func() { b.table.live, b.table.strict = live, strict }()
	b.table.live = live && !b.open                            // details stay those of their row
	b.table.strict = (strict || b.open) && want == b.filtered // else it is the operator who takes rows away
	if b.filtered = want; want == "" {
		b.table.set(rows)
		return
	}
	var kept []row
	for _, r := range rows {
		var all strings.Builder
		for _, c := range r.cells {
			all.WriteString(strings.ToLower(c.text) + " ")
		}
		if strings.Contains(all.String(), want) {
			kept = append(kept, r)
		}
	}
	b.table.set(kept)
}

// view draws a heading and the table, or the details of its row.
func (b *browser) view(width, height int, heading, empty string, about func(id string) []pair) []string {
	if id := b.table.selectedID(); b.open && id != "" {
		b.details.pairs = about(id)
		return b.details.view(width, height)
	}
	b.open = false
	at, of := b.table.place()
	line := "  " + heading
	if of > 0 {
		line += dimStyle.Render(fmt.Sprintf("   %d of %d", at, of))
	}
	f := b.filter.text()
	if b.filtering {
		line += "   " + hotStyle.Render("/"+b.filter.view())
	} else if f != "" {
		line += "   " + hotStyle.Render("/"+Clean(f)) + dimStyle.Render("  esc: all")
	}
	if f != "" && of == 0 {
		empty = "nothing fits the filter; esc shows all"
	}
	return append([]string{fit(line, width)}, b.table.view(width, height-1, empty)...)
}

// hints are the keys of the browser as it is now.
func (b *browser) hints() []hint {
	switch {
	case b.filtering:
		return []hint{{"enter", "keep filter"}, {"esc", "no filter"}}
	case b.open:
		return []hint{{"esc", "back"}, {"↑↓", "scroll"}}
	}
	return []hint{{"enter", "details"}, {"/", "filter"}, {"↑↓", "move"}}
}
