package proxy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

// Code is the stable name of an answer that latchgate itself gives.
type Code string

// The codes of the wire, with the status each is answered with.
const (
	BadRequest          Code = "bad_request"          // 400
	EgressDenied        Code = "egress_denied"        // 403
	PolicyDenied        Code = "policy_denied"        // 403
	InsecureTransport   Code = "insecure_transport"   // 403
	Tripwire            Code = "tripwire"             // 403
	PrivateAddress      Code = "private_address"      // 403
	RunUnknown          Code = "run_unknown"          // 407
	TooLarge            Code = "too_large"            // 413
	TargetMismatch      Code = "target_mismatch"      // 421
	BudgetExhausted     Code = "budget_exhausted"     // 429
	ClientGone          Code = "client_gone"          // 499, which nobody is there to read
	SecretUnavailable   Code = "secret_unavailable"   // 502
	UpstreamUnreachable Code = "upstream_unreachable" // 502
	UpstreamTLS         Code = "upstream_tls"         // 502
	Unscannable         Code = "unscannable"          // 502
	Draining            Code = "draining"             // 503
	Overloaded          Code = "overloaded"           // 503
	UpstreamTimeout     Code = "upstream_timeout"     // 504
)

var statusOf = map[Code]int{
	BadRequest: 400, EgressDenied: 403, PolicyDenied: 403, InsecureTransport: 403, Tripwire: 403, PrivateAddress: 403,
	RunUnknown: 407, TooLarge: 413, TargetMismatch: 421, BudgetExhausted: 429, ClientGone: 499,
	SecretUnavailable: 502, UpstreamUnreachable: 502, UpstreamTLS: 502, Unscannable: 502,
	Draining: 503, Overloaded: 503, UpstreamTimeout: 504,
}

// Denial is a refusal as data. The answer to the client, the log line, the
// metric and the audit event are all printed from it.
//
// Message and Hint are read by the agent: neither ever holds a value, a full
// URL or a header that the agent sent. Cause is the operator's alone.
type Denial struct {
	Code    Code
	Message string
	Hint    string
	Cause   error
	// Trip is what the tripwire caught; nil for every other code.
	Trip *Trip
}

// Trip says whose placeholder stood where no binding allows it.
type Trip struct {
	Action string // that declares the secret
	Secret string // that the placeholder stands for
	Part   string // of the request: "host", "path", "header", ...
}

func (d *Denial) Error() string { return string(d.Code) + ": " + d.Message }

// Unwrap gives the operator's cause.
func (d *Denial) Unwrap() error { return d.Cause }

// errorBody is the JSON of design section 7.11.
type errorBody struct {
	Error struct {
		Code    Code   `json:"code"`
		Message string `json:"message"`
		Run     string `json:"run,omitempty"`
		Action  string `json:"action,omitempty"`
		Host    string `json:"host,omitempty"`
		Hint    string `json:"hint,omitempty"`
	} `json:"error"`
}

// response is the denial as the answer to r.
func (d *Denial) response(r *http.Request, run, action, host string) *http.Response {
	var b errorBody
	b.Error.Code, b.Error.Message, b.Error.Hint = d.Code, d.Message, d.Hint
	b.Error.Run, b.Error.Action, b.Error.Host = run, action, host
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(b) // strings alone: cannot fail
	h := http.Header{
		"Content-Type":    {"application/json"},
		"Content-Length":  {strconv.Itoa(buf.Len())},
		"Cache-Control":   {"no-store"},
		"Latchgate-Error": {string(d.Code)},
	}
	if d.Code == RunUnknown {
		// Without the challenge .NET's client loops (RFC 9110 section 15.5.8 demands it).
		h["Proxy-Authenticate"] = []string{`Basic realm="latchgate"`}
	}
	status := statusOf[d.Code]
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(&buf), ContentLength: int64(buf.Len()), Request: r,
	}
}
