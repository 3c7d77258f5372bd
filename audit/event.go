// Package audit keeps the record of what was decided and done, never of a
// value: JSON lines, each chained to the one before by its hash.
//
// [Open] a [Log] and [Log.Record] events; look at [Log.Healthy] before a run is
// opened, and [Log.Close] at the end. [Verify] checks a record, [Read] and
// [Follow] print one. An [Event] has no field for a URL, a header or a value;
// do not put one into Reason either.
package audit

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// Kind says what an event is about.
type Kind string

// The kinds of events.
const (
	RunOpened    Kind = "run_opened"    // the policy said yes and the run exists
	RunRenewed   Kind = "run_renewed"   // its deadline was moved
	RunClosed    Kind = "run_closed"    // it ended, expired or was revoked: Reason
	RunRefused   Kind = "run_refused"   // it was never opened: Code
	Request      Kind = "request"       // a request went upstream and was answered
	Denied       Kind = "denied"        // a request was refused: Code
	Tripwire     Kind = "tripwire"      // a placeholder stood where no binding allows it
	Execution    Kind = "execution"     // an action ran through its provider
	Policy       Kind = "policy"        // a decision of the policy: Code is allow, deny, approval or error
	Approval     Kind = "approval"      // a ticket: Code is requested, approved or denied
	Reload       Kind = "reload"        // configuration, manifests or policy were read again
	SecretEdited Kind = "secret_edited" // a secret was set or removed: Secrets
	Note         Kind = "note"          // the record about itself: recovery, missing lines, loss
)

// Event is one line of the record. Zero fields are left out.
//
// Text is cut to 512 bytes, names in lists to 128 bytes and lists to 256 items
// when it is written, so that nothing that an agent controls makes a line long.
type Event struct {
	Time          time.Time     `json:"time"`                     // when it happened; zero: when it was recorded
	Kind          Kind          `json:"kind"`                     //
	Run           string        `json:"run,omitempty"`            // id of the run, not its token
	Principal     string        `json:"principal,omitempty"`      // who opened the run
	Actions       []string      `json:"actions,omitempty"`        // action ids of the run
	Action        string        `json:"action,omitempty"`         // the action that matched
	Host          string        `json:"host,omitempty"`           // host, with the port where it is not the default
	Method        string        `json:"method,omitempty"`         // HTTP method
	Status        int           `json:"status,omitempty"`         // HTTP status that the client got
	Code          string        `json:"code,omitempty"`           // error code of the contract's §7, or what Kind says
	Ticket        string        `json:"ticket,omitempty"`         // id of the approval that it is about
	Secrets       []string      `json:"secrets,omitempty"`        // names of the secrets that were stamped, approved or edited
	Reason        string        `json:"reason,omitempty"`         // rule or cause in words; never a value, URL or header
	RequestBytes  int64         `json:"request_bytes,omitempty"`  // body bytes from the client
	ResponseBytes int64         `json:"response_bytes,omitempty"` // body bytes to the client
	Duration      time.Duration `json:"duration_ns,omitempty"`    // from the first byte to the last
}

const (
	maxText  = 512
	maxName  = 128
	maxNames = 256
	// maxLine bounds a line: every byte may become six (\u0000).
	maxLine = 1 << 20
)

// appendEvent appends the fields of e, as encoding/json would write them, to
// an object that is open and not empty. It exists because encoding/json takes
// two allocations and three times as long, for every request on the wire.
func appendEvent(b []byte, e *Event) []byte {
	b = append(b, `,"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","kind":`...)
	b = appendString(b, string(e.Kind), maxText)
	b = appendText(b, "run", e.Run)
	b = appendText(b, "principal", e.Principal)
	b = appendNames(b, "actions", e.Actions)
	b = appendText(b, "action", e.Action)
	b = appendText(b, "host", e.Host)
	b = appendText(b, "method", e.Method)
	b = appendInt(b, "status", int64(e.Status))
	b = appendText(b, "code", e.Code)
	b = appendText(b, "ticket", e.Ticket)
	b = appendNames(b, "secrets", e.Secrets)
	b = appendText(b, "reason", e.Reason)
	b = appendInt(b, "request_bytes", e.RequestBytes)
	b = appendInt(b, "response_bytes", e.ResponseBytes)
	return appendInt(b, "duration_ns", int64(e.Duration))
}

func appendKey(b []byte, key string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendInt(b []byte, key string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(appendKey(b, key), n, 10)
}

func appendText(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(appendKey(b, key), s, maxText)
}

func appendNames(b []byte, key string, names []string) []byte {
	if len(names) == 0 {
		return b
	}
	b = append(appendKey(b, key), '[')
	for i, name := range names[:min(len(names), maxNames)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name, maxName)
	}
	return append(b, ']')
}

// appendString appends s as a JSON string, cut to limit bytes.
func appendString(b []byte, s string, limit int) []byte {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit] + "…"
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
