package tui

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/latchgate/latchgate/gate"
)

// approvals are the tickets, to decide on.
type approvals struct {
	*shared
	browser
	asking *question
}

func newApprovals(s *shared) *approvals {
	a := &approvals{shared: s}
	a.table.strict = true
	return a
}

func (a *approvals) title() string   { return "Approvals" }
func (a *approvals) capturing() bool { return a.asking != nil || a.browser.capturing() }

func (a *approvals) hints() []hint {
	switch {
	case a.asking != nil:
		return append(slices.Clone(questionHints), hint{"↑↓", "scroll"})
	case a.filtering:
		return a.browser.hints()
	}
	return append([]hint{{"a", "approve"}, {"d", "deny"}}, a.browser.hints()...)
}

func (a *approvals) help() []string {
	return []string{
		"Requests that the policy lets run only when a person agrees. A ticket is good for that very request, once, until it expires; what it would do is in its details. Approve and deny ask first, about the ticket that the cursor is on; where that goes away the cursor is on none.",
		"Tickets that were decided on, used or have expired stay for an hour. Without a daemon: `latchgate approvals`.",
	}
}

func (a *approvals) update(msg tea.Msg) (tea.Cmd, bool) {
	k, isKey := msg.(tea.KeyPressMsg)
	if a.asking != nil {
		if !isKey {
			return nil, true
		}
		cmd, over := a.asking.answer(k.String())
		if over {
			a.asking = nil
		} else if cmd == nil {
			a.details.key(k.String()) // all of what is decided on can be read
		}
		return cmd, true
	}
	if isKey && !a.filtering && (k.String() == "a" || k.String() == "d") {
		a.ask(k.String() == "a")
		return nil, true
	}
	return nil, a.browser.update(msg)
}

// ask puts the question about the ticket that the cursor is on.
func (a *approvals) ask(approve bool) {
	t := a.ticket(a.table.selectedID())
	switch {
	case t == nil && len(a.table.rows) > 0:
		a.say("the ticket that the cursor was on is not there any more; ↑↓ goes to another one", true)
		return
	case t == nil:
		a.say("there is no ticket to decide on", true)
		return
	case t.State != gate.ApprovalPending && (approve || t.State != gate.ApprovalApproved):
		a.say(fmt.Sprintf("%s is %s; nothing is left to decide", t.Ticket, t.State), true)
		return
	}
	verb, id := "Deny", t.Ticket
	if approve {
		verb = "Approve"
	}
	a.open = true // what is decided on is seen
	a.asking = &question{
		text: []string{fmt.Sprintf("%s %s: %s for %s, through %s?", verb, id, strings.Join(t.Actions, ", "), t.Principal, t.Door),
			fmt.Sprintf("It may use %s on %s.", list(t.Secrets), list(t.Hosts))},
		yes: func() tea.Cmd {
			return a.change(func(ctx context.Context) doneMsg {
				ctx, cancel := context.WithTimeout(ctx, answerTimeout)
				defer cancel()
				err := a.backend.Decide(ctx, id, approve)
				return doneMsg{text: map[bool]string{true: "approved ", false: "denied "}[approve] + id, err: err}
			})
		},
	}
}

func (a *approvals) ticket(id string) *gate.Approval {
	for i := range a.sample.Approvals {
		if a.sample.Approvals[i].Ticket == id {
			return &a.sample.Approvals[i]
		}
	}
	return nil
}

func (a *approvals) load() {
	a.table.columns = []string{"TICKET", "STATE", "ACTIONS", "PRINCIPAL", "DOOR", "EXPIRES IN"}
	var waiting, rest []row
	for i := range a.sample.Approvals {
		t := &a.sample.Approvals[i]
		expires := "–"
		if t.State == gate.ApprovalPending || t.State == gate.ApprovalApproved {
			expires = a.until(t.Expires)
		}
		r := row{t.Ticket, []cell{text(t.Ticket), decision(t.State), text(strings.Join(t.Actions, ", ")), text(t.Principal), text(t.Door), text(expires)}}
		if t.State == gate.ApprovalPending {
			waiting = append(waiting, r)
		} else {
			rest = append(rest, r)
		}
	}
	if a.live() && len(waiting)+len(rest) == 0 {
		a.table.release() // nothing is seen that another one could take the place of
	}
	a.set(append(waiting, rest...))
}

func (a *approvals) view(width, height int) []string {
	var below []string
	if a.asking != nil {
		below = a.asking.view(width)
	}
	heading := boldStyle.Render(fmt.Sprintf("%d to decide on", a.waiting()))
	lines := a.browser.view(width, height-len(below), heading, a.without("nothing waits for a person"), a.about)
	return append(lines, below...)
}

func (a *approvals) about(id string) []pair {
	t := a.ticket(id)
	if t == nil {
		return nil
	}
	pairs := []pair{{"ticket", text(t.Ticket)}, {"state", decision(t.State)}}
	if t.DecidedBy != "" {
		pairs = append(pairs, pair{"decided by", text(t.DecidedBy)})
	}
	pairs = append(pairs, pair{"principal", text(t.Principal)}, pair{"door", text(t.Door)}, pair{"actions", text(list(t.Actions))}, pair{"why", text(strings.Join(t.Reasons, "; "))},
		pair{"hosts", text(list(t.Hosts))}, pair{"secrets", text(list(t.Secrets))})
	for i := range t.Arguments {
		pairs = append(pairs, pair{"argument " + Clean(t.Arguments[i].Name), argument(&t.Arguments[i])})
	}
	var budget []string
	if t.TTLSeconds > 0 {
		budget = append(budget, time.Duration(t.TTLSeconds*float64(time.Second)).String())
	}
	if t.MaxRequests > 0 {
		budget = append(budget, count(float64(t.MaxRequests))+" requests")
	}
	if t.MaxBytes > 0 {
		budget = append(budget, count(float64(t.MaxBytes))+" bytes")
	}
	return append(pairs, pair{"budget", text(cmp.Or(strings.Join(budget, ", "), "none: until it is closed"))}, pair{"expires in", text(a.until(t.Expires))}, pair{"digest", dim(t.Digest)})
}

// maxShown is how much of a value is shown, in bytes.
const maxShown = 2000

// argument is a value that an agent wrote: quoted, so that nothing hides in it.
func argument(arg *gate.Argument) cell {
	if arg.Value == nil {
		return dim(fmt.Sprintf("%d bytes, the value is not kept any more", arg.Bytes))
	}
	s, isText := arg.Value.(string)
	if !isText {
		raw, _ := json.Marshal(arg.Value) // it came from JSON
		s = string(raw)
	}
	more := ""
	if len(s) > maxShown {
		s, more = s[:maxShown], fmt.Sprintf("… (%d bytes in all; `latchgate approvals show --json` has them)", arg.Bytes)
	}
	if isText {
		s = fmt.Sprintf("%q", s)
	}
	return text(s + more)
}
