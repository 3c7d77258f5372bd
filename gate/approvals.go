package gate

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/policy"
)

// ApprovalTTL is how long a ticket is valid, from when it is asked for: the
// decision and its use both have to come within it.
const ApprovalTTL = 300 * time.Second

// keepEnded is how long a ticket that was used, denied or expired is still
// shown, and maxApprovals bounds those that wait or were not used yet.
const (
	keepEnded    = time.Hour
	maxApprovals = 256
)

// States of an [Approval].
const (
	ApprovalPending  = "pending"
	ApprovalApproved = "approved"
	ApprovalDenied   = "denied"
	ApprovalUsed     = "used"
	ApprovalExpired  = "expired"
)

// Approval is a ticket: one request for a run that a person has to agree to.
type Approval struct {
	Ticket    string `json:"ticket"`
	State     string `json:"state"` // pending, approved, denied, used or expired
	Principal string `json:"principal"`
	Door      string `json:"door"`
	// Actions are those of the run; Reasons is why the policy asks, a line an
	// action that needs approval.
	Actions []string `json:"actions"`
	Reasons []string `json:"reasons"`
	Hosts   []string `json:"hosts"`   // patterns that the run could reach
	Secrets []string `json:"secrets"` // names that the run could use
	// Arguments are those that the action would run with, by name.
	Arguments   []Argument `json:"arguments"`
	TTLSeconds  float64    `json:"ttl_seconds,omitempty"`  // life of the run; 0: until it is closed
	MaxRequests int64      `json:"max_requests,omitempty"` // 0: no bound
	MaxBytes    int64      `json:"max_bytes,omitempty"`    // 0: no bound
	// Digest is the SHA-256 of all that the approval is bound to: principal,
	// door, actions with their manifests, arguments with their values, hosts,
	// secrets and budget.
	Digest    string    `json:"digest"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	DecidedBy string    `json:"decided_by,omitempty"`
	Decided   time.Time `json:"decided,omitzero"`
}

// Argument is one argument as an approver sees it.
type Argument struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
	// Value is never on disk: it is there while the gate that was asked runs.
	Value any `json:"value,omitempty"`
}

// live reports whether the ticket can still open a run.
func (a *Approval) live() bool { return a.State == ApprovalPending || a.State == ApprovalApproved }

// Approvals keeps the tickets, in one file that every gate with the same
// configuration shares, so that they outlive a restart and can be decided on
// without a daemon. It is safe for concurrent use.
type Approvals struct {
	file  ticketFile
	audit *audit.Log
	now   func() time.Time

	mu      sync.Mutex
	values  map[string]map[string]any // arguments of live tickets, for ApprovalTTL at most; in memory alone
	changed chan struct{}             // closed and replaced when this process changes a ticket
}

// ApprovalsFile is where the tickets of a configuration are: beside ca.dir.
// Whoever can write it can approve.
func ApprovalsFile(c *configs.Config) string {
	return filepath.Join(filepath.Dir(c.CA.Dir), "approvals.json")
}

// OpenApprovals finds the tickets of a configuration. Nothing is read or written
// before the first one is asked for.
func OpenApprovals(c *configs.Config, log *audit.Log) *Approvals {
	return &Approvals{file: ticketFile{ApprovalsFile(c)}, audit: log, now: time.Now,
		values: map[string]map[string]any{}, changed: make(chan struct{})}
}

// List returns the tickets, newest first: those that wait, those that were
// approved, and the ones that ended in the last hour.
func (as *Approvals) List() ([]Approval, error) {
	held := as.held()
	all, err := as.file.read()
	if err != nil {
		return nil, err
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	for i := range all {
		as.complete(&all[i])
	}
	as.forgetEnded(held, all)
	slices.SortFunc(all, func(a, b Approval) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Ticket, b.Ticket))
	})
	return all, nil
}

// Get returns one ticket. Errors have code approval_unknown.
func (as *Approvals) Get(ticket string) (*Approval, error) {
	all, err := as.List()
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.Ticket == ticket {
			return &a, nil
		}
	}
	return nil, unknownTicket()
}

func unknownTicket() *Error {
	return &Error{Code: CodeApprovalUnknown, Message: "there is no ticket of that id", Hint: "`latchgate approvals list` shows them"}
}

// complete makes of a ticket as it is on disk the one that is shown: expired
// where its time is over, and with the arguments' values where they are known.
func (as *Approvals) complete(a *Approval) {
	if a.live() && !as.now().Before(a.Expires) {
		a.State = ApprovalExpired
	}
	if !a.live() {
		return
	}
	args := as.values[a.Ticket]
	for i := range a.Arguments {
		a.Arguments[i].Value = args[a.Arguments[i].Name]
	}
}

// Approve lets the request of a ticket run, once, until the ticket expires.
// Errors have the codes approval_unknown and approval_ended.
func (as *Approvals) Approve(ticket, by string) (*Approval, error) {
	return as.decide(ticket, by, ApprovalApproved)
}

// Deny refuses the request of a ticket, one that was approved and not used yet
// too. Asked again, it stays refused until the ticket expires.
func (as *Approvals) Deny(ticket, by string) (*Approval, error) {
	return as.decide(ticket, by, ApprovalDenied)
}

func (as *Approvals) decide(ticket, by, state string) (*Approval, error) {
	var decided Approval
	before := ""
	err := as.update(func(all []Approval) ([]Approval, error) {
		a := find(all, func(a *Approval) bool { return a.Ticket == ticket })
		switch {
		case a == nil:
			return nil, unknownTicket()
		case !a.live():
			return nil, &Error{Code: CodeApprovalEnded, Ticket: ticket, Message: fmt.Sprintf("ticket %s is %s already", ticket, a.State),
				Hint: "whoever asked has to ask again, for another ticket"}
		}
		if before = a.State; before != state {
			a.State, a.DecidedBy, a.Decided = state, by, as.now()
		}
		decided = *a
		return all, nil
	})
	if err != nil {
		return nil, err
	}
	if before != state {
		as.audit.Record(audit.Event{Kind: audit.Approval, Code: state, Ticket: ticket, Principal: by, Actions: decided.Actions})
	}
	return &decided, nil
}

// Wait returns the ticket once it is decided or has expired, at the latest
// after that time or when ctx is done: then it is pending still.
func (as *Approvals) Wait(ctx context.Context, ticket string, atMost time.Duration) (*Approval, error) {
	over := time.NewTimer(atMost)
	defer over.Stop()
	poll := time.NewTicker(approvalPoll) // another process may decide
	defer poll.Stop()
	for {
		as.mu.Lock()
		changed := as.changed
		as.mu.Unlock()
		a, err := as.Get(ticket)
		if err != nil || a.State != ApprovalPending {
			return a, err
		}
		select {
		case <-changed:
		case <-poll.C:
		case <-over.C:
			return a, nil
		case <-ctx.Done():
			return a, nil
		}
	}
}

const approvalPoll = 250 * time.Millisecond

// ask returns the live or denied ticket for what want is bound to, and makes it
// where there is none.
func (as *Approvals) ask(want Approval, args map[string]any) (*Approval, error) {
	var got Approval
	isNew := false
	err := as.update(func(all []Approval) ([]Approval, error) {
		open := 0
		for i := range all {
			a := &all[i]
			if a.live() {
				open++
			}
			if a.Digest == want.Digest && (a.live() || a.State == ApprovalDenied && as.now().Before(a.Expires)) {
				got = *a
				return all, nil
			}
		}
		if open >= maxApprovals {
			return nil, &Error{Code: CodeOverloaded, Message: fmt.Sprintf("%d requests wait for approval already", open),
				Hint: "decide on some: `latchgate approvals list`"}
		}
		got, isNew = want, true
		got.Ticket, got.State, got.Created = newTicket(), ApprovalPending, as.now()
		got.Expires = got.Created.Add(ApprovalTTL)
		return append(all, got), nil
	})
	if err != nil {
		return nil, err
	}
	if isNew {
		as.audit.Record(audit.Event{Kind: audit.Approval, Code: "requested", Ticket: got.Ticket, Principal: got.Principal, Actions: got.Actions, Secrets: got.Secrets})
	}
	if got.live() && len(args) > 0 {
		as.hold(&got, args)
	}
	return &got, nil
}

// hold keeps the arguments of a live ticket, at the latest until it expires:
// another process may decide on it, or remove it, and nobody ask here again.
func (as *Approvals) hold(a *Approval, args map[string]any) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.values[a.Ticket] == nil {
		time.AfterFunc(a.Expires.Sub(as.now()), func() {
			as.mu.Lock()
			defer as.mu.Unlock()
			delete(as.values, a.Ticket)
		})
	}
	as.values[a.Ticket] = args
}

// held are the tickets whose arguments are held: each of them is on disk.
func (as *Approvals) held() []string {
	as.mu.Lock()
	defer as.mu.Unlock()
	return slices.Collect(maps.Keys(as.values))
}

// forgetEnded lets go of the arguments of those held whose ticket, as all of
// them on disk show, has ended or is gone. as.mu is held.
func (as *Approvals) forgetEnded(held []string, all []Approval) {
	for _, ticket := range held {
		if find(all, func(a *Approval) bool { return a.Ticket == ticket && a.live() }) == nil {
			delete(as.values, ticket)
		}
	}
}

// claim uses an approved ticket up, or says that somebody else did. It is on
// disk before the run is opened: a crash between the two loses the approval,
// and never uses it twice.
func (as *Approvals) claim(ticket string) (claimed bool, err error) {
	return as.move(ticket, ApprovalApproved, ApprovalUsed)
}

// giveBack undoes a claim whose run could not be opened.
func (as *Approvals) giveBack(ticket string) error {
	_, err := as.move(ticket, ApprovalUsed, ApprovalApproved)
	return err
}

func (as *Approvals) move(ticket, from, to string) (moved bool, err error) {
	err = as.update(func(all []Approval) ([]Approval, error) {
		if a := find(all, func(a *Approval) bool { return a.Ticket == ticket && a.State == from }); a != nil {
			a.State, moved = to, true
		}
		return all, nil
	})
	return moved && err == nil, err
}

// update changes the tickets as they are on disk, in one step, and forgets the
// arguments of those that can't open a run any more.
func (as *Approvals) update(change func([]Approval) ([]Approval, error)) error {
	held := as.held()
	var now []Approval
	err := as.file.update(func(all []Approval) (_ []Approval, err error) {
		at := as.now()
		for i := range all {
			if a := &all[i]; a.live() && !at.Before(a.Expires) {
				a.State = ApprovalExpired
			}
		}
		now, err = change(slices.DeleteFunc(all, func(a Approval) bool { return at.After(a.Expires.Add(keepEnded)) }))
		return now, err
	})
	as.mu.Lock()
	defer as.mu.Unlock()
	if err == nil {
		as.forgetEnded(held, now)
		close(as.changed)
		as.changed = make(chan struct{})
	}
	return err
}

func find(all []Approval, is func(*Approval) bool) *Approval {
	for i := range all {
		if is(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

func newTicket() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return "apr-" + hex.EncodeToString(b)
}

// argumentsOf lists arguments by name and size; values stay behind.
func argumentsOf(args map[string]any) []Argument {
	list := []Argument{}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		list = append(list, Argument{Name: name, Bytes: policy.SizeOf(args[name])})
	}
	return list
}
