package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/proxy"
)

// Renew lets a run that expires live for ttl from now on, unless it lives
// longer already. What the run may do stays what it was opened with, so that has
// to be what a run of its actions would be given now: the manifests and the
// policy in force are asked again, and where they say anything else, code
// run_outdated sends the caller to open another.
//
// A run that was opened with an approval is not renewed: what was approved is
// its life too.
func (g *Gate) Renew(ctx context.Context, id string, ttl time.Duration) error {
	r, ok := g.runs.Get(id)
	switch {
	case !ok:
		return unknownRun()
	case ttl <= 0:
		return &Error{Code: CodeBadRequest, Run: id, Message: "ttl_seconds must be greater than 0"}
	case r.Deadline().IsZero():
		return &Error{Code: CodeRunEndless, Run: id, Message: "the run does not expire: it ends when it is closed"}
	case r.Ticket != "":
		return &Error{Code: CodeApprovalRequired, Run: id, Message: "the run was approved for its time, and can't be given more", Hint: "open another run, which needs another approval"}
	}
	if err := g.decideAgain(ctx, r); err != nil {
		return err
	}
	deadline := time.Now().Add(ttl)
	if !g.runs.Renew(id, deadline) {
		return unknownRun() // it ended meanwhile
	}
	g.audit.Record(audit.Event{Time: time.Now(), Kind: audit.RunRenewed, Run: id, Principal: r.Principal, Actions: r.Actions})
	g.log.Info("run renewed", "run", id, "expires", r.Deadline())
	return nil
}

func (g *Gate) decideAgain(ctx context.Context, r *proxy.Run) error {
	st := g.state.Load()
	for i := range r.Grants {
		had := &r.Grants[i]
		id := had.Manifest.ActionID
		a, err := st.actions.find(id)
		if err != nil {
			return err
		}
		has, why, err := g.decide(ctx, OpenRequest{Principal: r.Principal, Door: r.Door, Actions: r.Actions}, a.Manifest)
		switch {
		case err != nil:
			return err
		case why != "":
			return &Error{Code: CodeApprovalRequired, Run: r.ID, Action: id, Message: fmt.Sprintf("action %s needs approval now: %s", id, why), Hint: "open another run, which asks for it"}
		case inFull(&has) != inFull(had):
			return &Error{Code: CodeRunOutdated, Run: r.ID, Action: id, Message: fmt.Sprintf("action %s, or what the policy approves of it, has changed since the run was opened", id),
				Hint: "open another run: this one ends at its time"}
		}
	}
	return nil
}
