package tui

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/latchgate/latchgate/audit"
)

// dashboard is what the daemon does now.
type dashboard struct {
	*shared
	runs table
}

func (d *dashboard) title() string   { return "Dashboard" }
func (d *dashboard) capturing() bool { return false }
func (d *dashboard) hints() []hint   { return []hint{{"↑↓", "runs"}, {"1…6 tab", "screens"}} }

func (d *dashboard) help() []string {
	return []string{
		"What the daemon does, looked at once a second, from its control socket and its metrics. The lines run from the past on the left to now on the right, a mark a second.",
		"Injections are credentials that were put on requests. Denials are requests that latchgate refused, tripwires among them. The cache hit rate is the share of look-ups of a secret that needed no decryption since the daemon started.",
	}
}

func (d *dashboard) update(msg tea.Msg) (tea.Cmd, bool) {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		return nil, d.runs.key(k.String())
	}
	return nil, false
}

func (d *dashboard) load() {
	d.runs.columns = []string{"RUN", "PRINCIPAL", "DOOR", "ACTIONS", "REQUESTS", "EXPIRES IN"}
	d.runs.set(d.runRows())
}

func (d *dashboard) view(width, height int) []string {
	lines := append(d.gauges(width), "", "  "+fit(d.totals(), width-gap), "")
	left := height - len(lines)
	top := min(left/2, len(d.runs.rows)+3)
	lines = append(lines, "  "+boldStyle.Render("Open runs"))
	lines = append(lines, d.runs.view(width, top-2, d.without("no run is open; `latchgate exec --action A -- CMD` opens one"))...)
	refused := table{columns: []string{"TIME", "CODE", "ACTION", "HOST", "RUN"}, rows: d.refused(), cursor: -1}
	return append(append(lines, "", "  "+boldStyle.Render("Last refused")),
		refused.view(width, left-top-1, d.without("nothing was refused"))...)
}

// without is what to say of an empty table.
func (s *shared) without(empty string) string {
	switch {
	case !s.asked:
		return "…"
	case s.daemon != nil:
		return "no daemon; what it does shows here when it runs"
	}
	return empty
}

// gauges are the five lines at the top.
func (d *dashboard) gauges(width int) []string {
	now := func(series []float64, format string) string {
		if !d.live() || len(series) == 0 {
			return "–"
		}
		return fmt.Sprintf(format, series[len(series)-1])
	}
	r := &d.rates
	var lines []string
	for _, g := range []struct {
		name, value string
		points      []float64
		top         float64
		style       lipgloss.Style
	}{
		{"Runs open", now(r.runs, "%.0f"), r.runs, 0, plainStyle},
		{"Requests a second", now(r.requests, "%.1f"), r.requests, 0, okStyle},
		{"Injections a second", now(r.injections, "%.1f"), r.injections, 0, okStyle},
		{"Denials a second", now(r.denials, "%.1f"), r.denials, 0, deniedStyle},
		{"Cache hit rate", now(r.cache, "%.1f %%"), r.cache, 100, plainStyle},
	} {
		lines = append(lines, fmt.Sprintf("  %-20s %s  %s", g.name, boldStyle.Render(fmt.Sprintf("%9s", g.value)), g.style.Render(sparkline(g.points, width-36, g.top))))
	}
	return lines
}

func (d *dashboard) totals() string {
	c := d.sample.Counters
	switch {
	case !d.live():
		return ""
	case c == nil:
		return warnStyle.Render(warnSign + " no numbers: " + Clean(d.sample.MetricsFault))
	}
	return dimStyle.Render(fmt.Sprintf("Since its start: %s, %s, %s", counted(c.Requests, "request"), counted(c.Injections, "injection"), counted(c.Denials, "denial")))
}

func counted(n float64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// count is a number with its thousands apart.
func count(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (d *dashboard) runRows() []row {
	var rows []row
	for _, r := range d.sample.Runs {
		requests, expires := count(float64(r.Requests)), "when closed"
		if r.MaxRequests > 0 {
			requests += " of " + count(float64(r.MaxRequests))
		}
		if !r.Expires.IsZero() {
			expires = d.until(r.Expires)
		}
		rows = append(rows, row{r.ID, []cell{text(r.ID), text(r.Principal), text(r.Door), text(strings.Join(r.Actions, ", ")), text(requests), text(expires)}})
	}
	return rows
}

func (s *shared) until(t time.Time) string {
	if left := t.Sub(s.now()).Round(time.Second); left > 0 {
		return left.String()
	}
	return "over"
}

// at is a time as it is in the operator's zone.
func (s *shared) at(t time.Time) string { return t.In(s.now().Location()).Format(time.TimeOnly) }

func (d *dashboard) refused() []row {
	var rows []row
	for _, e := range d.entries {
		switch e.Kind {
		case audit.Denied, audit.Tripwire, audit.RunRefused:
			rows = append(rows, row{cells: []cell{dim(d.at(e.Time)), {deniedSign + " " + Clean(e.Code), deniedStyle}, text(actionOf(&e)), text(e.Host), dim(e.Run)}})
		}
	}
	return rows
}
