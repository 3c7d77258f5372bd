package gate

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/latchgate/latchgate/audit"
)

// EventFilter says which events of the record are wanted. The zero value is all
// that come from now on.
type EventFilter struct {
	// Recent is how many of the record's last events are looked at first, at
	// most 10,000; those that match come before the live ones.
	Recent int
	// Kinds, Runs and Actions each let only what they list through; empty: all.
	Kinds   []audit.Kind
	Runs    []string
	Actions []string
}

const maxRecent = 10_000

// matches reports whether the filter lets e through.
func (f *EventFilter) matches(e *audit.Event) bool {
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(len(f.Runs) == 0 || slices.Contains(f.Runs, e.Run)) &&
		(len(f.Actions) == 0 || slices.Contains(f.Actions, e.Action) ||
			slices.ContainsFunc(e.Actions, func(a string) bool { return slices.Contains(f.Actions, a) }))
}

// query is the filter as GET /v1/events takes it.
func (f *EventFilter) query() url.Values {
	q := url.Values{"run": f.Runs, "action": f.Actions}
	if f.Recent > 0 {
		q.Set("recent", strconv.Itoa(f.Recent))
	}
	for _, k := range f.Kinds {
		q.Add("kind", string(k))
	}
	return q
}

func filterOf(q url.Values) (f EventFilter, err error) {
	for name, values := range q {
		switch name {
		case "recent":
			if f.Recent, err = strconv.Atoi(values[0]); err != nil || f.Recent < 0 {
				return f, &Error{Code: CodeBadRequest, Message: "recent is a number of events"}
			}
			f.Recent = min(f.Recent, maxRecent)
		case "kind":
			for _, k := range values {
				f.Kinds = append(f.Kinds, audit.Kind(k))
			}
		case "run":
			f.Runs = values
		case "action":
			f.Actions = values
		default:
			return f, &Error{Code: CodeBadRequest, Message: "events takes recent, kind, run and action"}
		}
	}
	return f, nil
}

// heartbeat is how often a stream without events sends an empty line, so that
// either side notices that the other is gone.
const heartbeat = 15 * time.Second

// events streams the record: a line of JSON an event, until the client goes
// away or the daemon shuts down.
func (c *Control) events(w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := filterOf(r.URL.Query())
	if err != nil {
		return err
	}
	file := c.gate.auditFile
	if file == "" {
		return &Error{Code: CodeAuditUnavailable, Message: "audit.file is empty: there are no events", Hint: "set audit.file in latchgate.toml"}
	}
	ctx, stop := c.untilClosing(r)
	defer stop()
	entries := make(chan audit.Entry)
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for e, err := range audit.Follow(ctx, file, filter.Recent) {
			if err != nil {
				failed <- err
				return
			}
			if !filter.matches(&e.Event) {
				continue
			}
			select {
			case entries <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { stop(); <-failed }()
	w.Header().Set("Content-Type", "application/x-ndjson")
	return c.stream(ctx, w, entries, failed)
}

// stream writes entries until following them failed, ctx is done or the client
// went away. The end of the answer is all that can be said of the first.
func (c *Control) stream(ctx context.Context, w http.ResponseWriter, entries <-chan audit.Entry, failed <-chan error) error {
	enc, flush := json.NewEncoder(w), http.NewResponseController(w).Flush
	enc.SetEscapeHTML(false)
	if flush() != nil {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if err != nil {
				c.gate.log.Error("event stream ended", "err", err)
			}
			return nil
		case e := <-entries:
			err = enc.Encode(e)
		case <-beat.C:
			_, err = w.Write([]byte("\n"))
		}
		if err != nil || flush() != nil {
			return nil
		}
	}
}

// untilClosing is the request's context, done at a shutdown too.
func (c *Control) untilClosing(r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(c.closing, cancel)
	return ctx, func() { stop(); cancel() }
}
