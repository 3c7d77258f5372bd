package tui

import (
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// cell is text with what its colour means.
type cell struct {
	text  string
	style lipgloss.Style
}

func text(s string) cell { return cell{Clean(s), plainStyle} }
func dim(s string) cell  { return cell{Clean(s), dimStyle} }

// row is a line of a table; id stays the same when rows come and go.
type row struct {
	id    string
	cells []cell
}

// table is a list with a cursor, as wide as it may be and no wider. It is our
// own because a cell of the library's has no colour.
type table struct {
	columns []string
	keep    int // column that gives last: it may be twice as wide as the widest other
	rows    []row
	cursor  int    // -1: on no row
	on      string // row that the cursor is on, or was when that went away
	top     int    // first row that is shown
	live    bool   // a cursor on the first row stays there when rows come
	strict  bool   // a cursor whose row goes away is on no other
	seen    int    // rows that fitted when it was drawn
	want    string // row to go to when it is there
}

// set replaces the rows. The cursor stays on its row, wherever that goes: a
// decision must not hit what moved under it.
func (t *table) set(rows []row) {
	t.rows = rows
	at := func(id string) int { return slices.IndexFunc(rows, func(r row) bool { return id != "" && r.id == id }) }
	if i := at(t.want); i >= 0 {
		t.cursor, t.on, t.want = i, rows[i].id, ""
	}
	switch i := at(t.on); {
	case t.live && t.cursor == 0:
	case i >= 0:
		t.cursor = i
	case t.strict && t.on != "":
		t.cursor = -1
		return
	}
	t.move(0)
}

// release lets the cursor of a strict table be on the row that comes to its place.
func (t *table) release() { t.on = "" }

func (t *table) selected() *row {
	if t.cursor < 0 || t.cursor >= len(t.rows) {
		return nil
	}
	return &t.rows[t.cursor]
}

func (t *table) selectedID() string {
	if r := t.selected(); r != nil {
		return r.id
	}
	return ""
}

func (t *table) move(by int) {
	t.cursor = max(0, min(t.cursor+by, len(t.rows)-1))
	t.on = t.selectedID()
}

// key moves the cursor, and reports whether the key was one that does.
func (t *table) key(k string) bool {
	page := max(t.seen-1, 1)
	switch k {
	case "up", "k":
		t.move(-1)
	case "down", "j":
		t.move(1)
	case "pgup", "ctrl+b":
		t.move(-page)
	case "pgdown", "ctrl+f":
		t.move(page)
	case "home", "g":
		t.move(-len(t.rows))
	case "end", "G":
		t.move(len(t.rows))
	default:
		return false
	}
	return true
}

const gap = 2 // between columns

// widths are those of the columns: what their text needs, and where that is too
// much the widest give first.
func (t *table) widths(width int) []int {
	w := make([]int, len(t.columns))
	for i, c := range t.columns {
		w[i] = ansi.StringWidth(c)
	}
	for _, r := range t.rows {
		for i, c := range r.cells {
			w[i] = max(w[i], ansi.StringWidth(c.text))
		}
	}
	total := gap * len(w) // the cursor's cells and the gaps
	for _, n := range w {
		total += n
	}
	need := func(i int) int {
		if i == t.keep {
			return w[i] / 2
		}
		return w[i]
	}
	for ; total > width; total-- {
		widest := 0
		for i := range w {
			if need(i) >= need(widest) {
				widest = i
			}
		}
		if w[widest] <= 1 {
			break
		}
		w[widest]--
	}
	return w
}

// view draws header and rows in exactly height lines.
func (t *table) view(width, height int, empty string) []string {
	if len(t.rows) == 0 {
		var lines []string
		for _, l := range wrap(empty, width-gap) {
			lines = append(lines, "  "+dimStyle.Render(l))
		}
		return pad(lines, height)
	}
	w := t.widths(width)
	head := make([]string, len(w))
	for i, c := range t.columns {
		head[i] = fit(c, w[i])
	}
	lines := []string{dimStyle.Render(strings.TrimRight("  "+strings.Join(head, "  "), " "))}
	t.seen = max(height-1, 1)
	t.top = max(min(t.top, len(t.rows)-t.seen), 0)
	if t.cursor >= 0 {
		t.top = max(min(t.top, t.cursor), t.cursor-t.seen+1)
	}
	for i := t.top; i < min(t.top+t.seen, len(t.rows)); i++ {
		lines = append(lines, t.line(i, w, width))
	}
	return pad(lines, height)
}

func (t *table) line(i int, w []int, width int) string {
	cells := make([]string, len(w))
	mark := "  "
	if i == t.cursor {
		mark = hotStyle.Render("▸") + " "
	}
	for j, c := range t.rows[i].cells {
		s := c.style
		if i == t.cursor {
			s = s.Bold(true)
		}
		cells[j] = s.Render(fit(c.text, w[j]))
	}
	return fit(mark+strings.Join(cells, "  "), width)
}

// place says where the cursor is, for a line above the table.
func (t *table) place() (at, of int) {
	if len(t.rows) == 0 {
		return 0, 0
	}
	return t.cursor + 1, len(t.rows)
}

// details are labelled lines that can be longer than the screen.
type details struct {
	pairs []pair
	top   int
	max   int // last line that can be the first
}

type pair struct {
	label string
	value cell
}

func (d *details) key(k string) bool {
	switch k {
	case "up", "k":
		d.top--
	case "down", "j":
		d.top++
	case "pgup":
		d.top -= 10
	case "pgdown":
		d.top += 10
	case "home", "g":
		d.top = 0
	case "end", "G":
		d.top = d.max
	default:
		return false
	}
	d.top = max(0, min(d.top, d.max))
	return true
}

func (d *details) view(width, height int) []string {
	label := 0
	for _, p := range d.pairs {
		label = max(label, ansi.StringWidth(p.label))
	}
	label = min(label, width/3)
	var lines []string
	for _, p := range d.pairs {
		for i, l := range wrap(p.value.text, width-label-2*gap) {
			name := p.label
			if i > 0 {
				name = ""
			}
			lines = append(lines, "  "+dimStyle.Render(fit(Clean(name), label))+"  "+p.value.style.Render(l))
		}
	}
	d.max = max(0, len(lines)-height)
	d.top = min(d.top, d.max)
	lines = lines[d.top:]
	if len(lines) > height {
		lines = append(lines[:max(height-1, 0):max(height-1, 0)], dimStyle.Render("  ↓ more"))
	}
	return pad(lines, height)
}
