package proxy

import (
	"log/slog"
	"net/http"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/manifests"
)

// record is step 11: one audit event and the metrics. It is printed from the
// exchange and the denial alone; names, never values.
func (x *exchange) record(d *Denial) {
	m, now := x.wire.metrics, x.wire.now()
	action, domain := "", ""
	if x.action != nil {
		action, domain = x.action.action.ActionID, x.action.domain
	}
	method := knownMethod(x.method)
	e := audit.Event{
		Time: now, Kind: audit.Request, Action: action, Host: x.host, Method: method,
		Status: x.status, Code: string(x.code), Duration: now.Sub(x.started),
		RequestBytes: x.received.Load(), ResponseBytes: x.returned.Load(),
	}
	if x.host == "" {
		e.Host = x.target.HostHeader()
	}
	if x.run != nil {
		e.Run, e.Principal = x.run.ID, x.run.Principal
	}
	injected := func(b *binding) {
		switch len(e.Secrets) {
		case 0:
			e.Secrets = b.secrets // of the binding: nothing to allocate for the most of requests
		case 1:
			e.Secrets = append(make([]string, 0, len(x.matched)), e.Secrets[0], b.secret)
		default:
			e.Secrets = append(e.Secrets, b.secret)
		}
		b.injected.inc(m.injections, "", 0, b.action, b.secret, domain)
	}
	for _, b := range x.wrote {
		if x.sent {
			injected(b)
		}
	}
	replaced := x.replaced.Load()
	for i, b := range x.matched {
		if x.sent && replaced&(1<<min(i, 63)) != 0 && b.As == manifests.Placeholder {
			injected(b)
		}
		if x.asked && !x.creds.stamp(b).ready {
			m.unavailable.WithLabelValues(b.action, b.secret).Inc()
		}
	}
	for i, n := range x.hits {
		m.scrubbed.WithLabelValues(action, x.creds.values[i].Name).Add(float64(n))
	}
	if d != nil && d.Code == ClientGone {
		d = nil // nobody refused anything: the code alone says how it ended
	}
	if d == nil {
		d = x.tripped.Load() // in the rest of a body whose answer was on its way already
	}
	if d != nil {
		e.Kind, e.Code, e.Reason = audit.Denied, string(d.Code), d.Message
		if t := d.Trip; t != nil {
			e.Kind, e.Secrets = audit.Tripwire, []string{t.Secret}
			m.tripwire.WithLabelValues(t.Action, t.Secret).Inc()
		}
		m.denied.WithLabelValues(string(d.Code)).Inc()
		x.log(d, action, method)
	}
	seconds := now.Sub(x.started).Seconds()
	if x.action != nil {
		x.action.meters.requests.inc(m.requests, method, x.status, action, domain)
		x.action.meters.observe(m.duration, action, seconds)
	} else {
		m.requests.WithLabelValues(action, domain, method, statusLabel(x.status)).Inc()
		m.duration.WithLabelValues(action).Observe(seconds)
	}
	if x.head > 0 { // an answer came
		m.overhead.Observe((x.head - x.waited).Seconds())
	}
	x.wire.audit.Record(e)
	x.wire.traces.End(x.span, e, domain)
}

func (x *exchange) log(d *Denial, action, method string) {
	attrs := []any{"code", d.Code, "host", x.target.Authority(), "method", method, "action", action, "reason", d.Message}
	if x.run != nil {
		attrs = append(attrs, "run", x.run.ID)
	}
	if d.Hint != "" {
		attrs = append(attrs, "hint", d.Hint)
	}
	if d.Cause != nil {
		attrs = append(attrs, "cause", x.causeOf(d))
	}
	x.wire.log.Warn("request refused", attrs...)
}

// causeOf is the operator's reason for a refusal. net/http quotes a malformed
// answer in its error, and the upstream may have put a secret into that.
func (x *exchange) causeOf(d *Denial) any {
	if v, ok := d.Cause.(slog.LogValuer); ok {
		return v
	}
	if x.creds == nil {
		return d.Cause.Error()
	}
	return x.creds.scrub.String(d.Cause.Error(), x.hit)
}

// knownMethod keeps an agent from filling the metrics with made-up methods.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return m
	}
	return "other"
}
