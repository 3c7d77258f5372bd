package tui

import (
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate"
)

// activity is the record of the daemon as it is written.
type activity struct {
	*shared
	browser
}

func newActivity(s *shared) *activity {
	a := &activity{shared: s}
	a.table.live = true
	return a
}

func (a *activity) title() string { return "Activity" }
func (a *activity) hints() []hint { return a.browser.hints() }

func (a *activity) help() []string {
	return []string{
		"Requests and decisions as they happen, the newest first. While the cursor is on the first line it stays there; moved down, it stays on its event.",
		"The filter keeps the lines that hold its text, in any column. What is shown is the audit record: names, never a value. `latchgate audit tail` prints the same.",
	}
}

func (a *activity) update(msg tea.Msg) (tea.Cmd, bool) { return nil, a.browser.update(msg) }

func (a *activity) load() {
	a.table.columns = []string{"TIME", "EVENT", "ACTION", "REQUEST", "RESULT", "TOOK"}
	rows := make([]row, 0, len(a.entries))
	for i := range a.entries {
		rows = append(rows, a.row(&a.entries[i]))
	}
	a.set(rows)
}

func (a *activity) view(width, height int) []string {
	heading := boldStyle.Render("Live")
	empty := a.without("nothing happened yet")
	switch {
	case !a.live():
		heading = dimStyle.Render("Not live")
	case a.feedFault != nil && !errors.Is(a.feedFault, gate.ErrNoDaemon): // which answers again
		heading, empty = warnStyle.Render(warnSign+" Not live: "+Clean(a.feedFault.Error())), ""
	}
	return a.browser.view(width, height, heading, empty, a.about)
}

func (a *activity) row(e *audit.Entry) row {
	took := ""
	if e.Duration > 0 {
		took = roundTime(e.Duration)
	}
	return row{eventID(e), []cell{dim(a.at(e.Time)), text(strings.ReplaceAll(string(e.Kind), "_", " ")), text(actionOf(e)), text(strings.TrimSpace(e.Method + " " + e.Host)), resultOf(e), dim(took)}}
}

// eventID tells an event from one of the same number in a record that was begun anew.
func eventID(e *audit.Entry) string { return fmt.Sprint(e.Seq, e.Time.UnixNano()) }

func actionOf(e *audit.Entry) string {
	if e.Action != "" {
		return e.Action
	}
	return strings.Join(e.Actions, ", ")
}

// resultOf says how an event ended.
func resultOf(e *audit.Entry) cell {
	switch e.Kind {
	case audit.Denied, audit.Tripwire, audit.RunRefused:
		return cell{deniedSign + " " + Clean(e.Code), deniedStyle}
	case audit.Policy, audit.Approval:
		return decision(e.Code)
	case audit.Request, audit.Execution:
		what := strings.TrimSpace(fmt.Sprintf("%s %s", orNone(e.Status), Clean(e.Code)))
		switch {
		case e.Status >= 500 || e.Status == 0 && e.Code != "":
			return cell{errorSign + " " + what, errorStyle}
		case e.Status >= 400:
			return cell{warnSign + " " + what, warnStyle}
		}
		return cell{strings.TrimSpace(okSign + " " + what), okStyle}
	}
	return text(strings.TrimSpace(e.Code + " " + e.Reason))
}

func orNone(status int) string {
	if status == 0 {
		return ""
	}
	return fmt.Sprint(status)
}

// decision is a code of the policy or of a ticket.
func decision(code string) cell {
	switch code {
	case "allow", "approved", "ok":
		return cell{okSign + " " + code, okStyle}
	case "approval", "requested", "pending":
		return cell{waitingSign + " " + code, warnStyle}
	case "error":
		return cell{errorSign + " " + code, errorStyle}
	case "deny", "denied":
		return cell{deniedSign + " " + code, deniedStyle}
	}
	return text(code)
}

func roundTime(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func (a *activity) about(id string) []pair {
	for i := range a.entries {
		if eventID(&a.entries[i]) == id {
			return a.event(&a.entries[i])
		}
	}
	return nil
}

// event is all that the record has of an event.
func (s *shared) event(e *audit.Entry) []pair {
	pairs := []pair{{"event", text(fmt.Sprintf("%s, number %d of the record", strings.ReplaceAll(string(e.Kind), "_", " "), e.Seq))},
		{"time", text(e.Time.In(s.now().Location()).Format("2006-01-02 15:04:05.000 MST"))}, {"result", resultOf(e)}}
	for _, p := range [][2]string{{"reason", e.Reason}, {"action", e.Action}, {"run's actions", strings.Join(e.Actions, ", ")}, {"method", e.Method}, {"host", e.Host},
		{"secrets", strings.Join(e.Secrets, ", ")}, {"run", e.Run}, {"principal", e.Principal}, {"ticket", e.Ticket}} {
		if p[1] != "" {
			pairs = append(pairs, pair{p[0], text(p[1])})
		}
	}
	if e.RequestBytes+e.ResponseBytes > 0 {
		pairs = append(pairs, pair{"bytes", text(fmt.Sprintf("%s sent, %s received", count(float64(e.RequestBytes)), count(float64(e.ResponseBytes))))})
	}
	if e.Duration > 0 {
		pairs = append(pairs, pair{"took", text(roundTime(e.Duration))})
	}
	return append(pairs, pair{"hash", dim(e.Hash)})
}
