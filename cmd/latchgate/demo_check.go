package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/secrets"
)

// demoCheck is one expectation of the demo.
type demoCheck struct {
	What  string `json:"what"`
	OK    bool   `json:"ok"`
	Found string `json:"found,omitempty"` // where it does not hold
}

// checks is what must be true for the demo to have shown anything.
func (e *demoEvidence) checks() []demoCheck {
	var all []demoCheck
	expect := func(what string, ok bool, found string, args ...any) {
		c := demoCheck{What: what, OK: ok}
		if !ok {
			c.Found = strings.ReplaceAll(fmt.Sprintf(found, args...), e.token, demoMasked)
		}
		all = append(all, c)
	}
	for _, r := range []clientRun{e.without, e.agent, e.denied} {
		if r.Err != nil {
			expect("the client got an answer", false, "%v", r.Err)
		}
	}
	expect("without latchgate the upstream answers 401", len(e.atWithout) == 1 && e.atWithout[0].Status == 401, "%s", arrivals(e.atWithout))
	carried := carriesCredential(e.agent.Sent)
	expect("the client sent no credential", len(e.agent.Sent) > 0 && !carried && !e.leaks([]byte(strings.Join(e.agentEnv, "\n"))), "it sent %q", fieldNames(e.agent.Sent))
	expect("exactly one Authorization arrived, the right one", arrivedStamped(e.atAgent), "%s", arrivals(e.atAgent))
	expect("the token came back to the client as "+secrets.Redacted, e.clean(e.agent.Raw, 2), "the client saw something else")
	expect("the provider's request arrived with exactly one, too", arrivedStamped(e.atProvider), "%s", arrivals(e.atProvider))
	expect("the token came back to the provider as "+secrets.Redacted, e.clean(e.provider, 2), "the provider saw something else")
	expect("a host that is not allowed is refused, and nothing arrives there", len(e.atElsewhere) == 0 && isRefusal(e.denied.Back), "%d requests arrived", len(e.atElsewhere))
	expect("the metrics moved as they should", e.counted() == "", "%s", e.counted())
	expect("the audit record is unbroken", e.auditErr == nil, "%v", e.auditErr)
	leak := e.leakedTo
	if leak == "" && e.leaks(e.metricsPage) {
		leak = "/metrics"
	}
	expect("the token is in no file and no metric", leak == "", "it is in %s", leak)
	return all
}

// failed is the demo's error: the expectations that do not hold.
func (f *demoFacts) failed() error {
	var wrong []string
	for _, c := range f.Checks {
		if !c.OK {
			wrong = append(wrong, fmt.Sprintf("%q does not hold: %s", c.What, c.Found))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return withHint(errors.New("the demo failed: "+strings.Join(wrong, "; ")), "this is a fault in latchgate or on this machine; please report it with the output above")
}

func (e *demoEvidence) leaks(seen []byte) bool { return bytes.Contains(seen, []byte(e.token)) }

// clean reports whether the token was taken out of an answer, at least n times.
func (e *demoEvidence) clean(seen []byte, n int) bool {
	return !e.leaks(seen) && bytes.Count(seen, []byte(secrets.Redacted)) >= n
}

// carriesCredential reports whether a request head has a field for credentials
// to the upstream.
func carriesCredential(head []string) bool {
	return slices.ContainsFunc(fieldNames(head), func(name string) bool {
		return name == "authorization" || name == "cookie" || strings.Contains(name, "key") || strings.Contains(name, "token")
	})
}

// fieldNames are the lower-case field names of a message head.
func fieldNames(head []string) []string {
	var all []string
	for _, line := range head[min(1, len(head)):] {
		if name, _, found := strings.Cut(line, ":"); found {
			all = append(all, strings.ToLower(name))
		}
	}
	return all
}

func arrivedStamped(seen []received) bool {
	return len(seen) == 1 && seen[0].Status == 200 && seen[0].Authorizations == 1 && seen[0].Authorized
}

func arrivals(seen []received) string {
	if len(seen) == 0 {
		return "nothing arrived"
	}
	var all []string
	for _, r := range seen {
		all = append(all, fmt.Sprintf("%d Authorization arrived, right: %t, answered %d", r.Authorizations, r.Authorized, r.Status))
	}
	return strings.Join(all, "; ")
}

// isRefusal reports whether an answer is latchgate's own 403 with a hint.
func isRefusal(back []string) bool {
	i := slices.Index(back, "")
	if i < 0 || !strings.Contains(back[0], "403") {
		return false
	}
	var body struct {
		Error struct{ Code, Hint string }
	}
	return json.Unmarshal([]byte(strings.Join(back[i:], "\n")), &body) == nil && body.Error.Code == "egress_denied" && body.Error.Hint != ""
}

// counted says which counter did not move as it should, "" when all did.
func (e *demoEvidence) counted() string {
	for _, want := range []struct {
		name  string
		least float64
		label string
	}{
		{"latchgate_secrets_decrypt_cache_misses_total", 1, ""},
		{"latchgate_secrets_decrypt_cache_hits_total", 1, ""},
		{"latchgate_secrets_injections_total", 1, `action="` + demoAction + `"`},
		{"latchgate_secrets_injections_total", 1, `action="` + demoCall + `"`},
		{"latchgate_proxy_scrubbed_total", 1, `action="` + demoAction + `"`},
		{"latchgate_proxy_scrubbed_total", 1, `action="` + demoCall + `"`},
		{"latchgate_proxy_requests_total", 2, `code="200"`},
		{"latchgate_proxy_denied_total", 1, `code="egress_denied"`},
		{"latchgate_runs_total", 2, ""},
	} {
		if delta := e.after.sum(want.name, want.label) - e.before.sum(want.name, want.label); delta < want.least {
			return fmt.Sprintf("%s{%s} moved by %v and not by %v", want.name, want.label, delta, want.least)
		}
	}
	return ""
}

// auditRecord waits until the record holds what the demo did (events reach the
// disk within 50 ms), verifies its chain and returns its events.
func (h *demoHouse) auditRecord(ctx context.Context) (events []audit.Entry, err error) {
	file := h.daemon.gate.Config().Audit.File
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	missing := []audit.Kind{audit.Request, audit.Request, audit.Denied, audit.Execution, audit.RunClosed, audit.RunClosed}
	for entry, err := range audit.Follow(ctx, file, 1000) {
		if err != nil {
			return events, err
		}
		events = append(events, entry)
		if i := slices.Index(missing, entry.Kind); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		}
		if len(missing) == 0 {
			break
		}
	}
	if len(missing) > 0 {
		return events, fmt.Errorf("there is no event %v in it", missing)
	}
	_, err = audit.Verify(file)
	return events, err
}

// fileWithToken looks for the token in every file of the folder.
func (h *demoHouse) fileWithToken() (found string, err error) {
	err = filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		var data []byte
		if err == nil && d.Type().IsRegular() {
			data, err = os.ReadFile(path)
		}
		if bytes.Contains(data, []byte(h.token)) {
			found = path
		}
		if errors.Is(err, fs.ErrNotExist) { // a file that was replaced meanwhile
			return nil
		}
		return err
	})
	return found, err
}
