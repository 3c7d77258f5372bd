package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/latchgate/latchgate/gate/provider"
	"github.com/latchgate/latchgate/proxy"
	"github.com/latchgate/latchgate/secrets"
)

// Codes of refusals that the gate itself gives; those of packages secrets,
// proxy and provider pass through as they are.
const (
	CodeBadRequest       = "bad_request"
	CodeActionUnknown    = "action_unknown"
	CodeArgumentsInvalid = "arguments_invalid"
	CodePolicyDenied     = "policy_denied"
	CodeApprovalRequired = "approval_required" // Ticket says which, where there is one
	CodeApprovalDenied   = "approval_denied"
	CodeApprovalUnknown  = "approval_unknown"
	CodeApprovalEnded    = "approval_ended"
	CodeNoProvider       = "no_provider"
	CodeProviderMissing  = "provider_not_found"
	CodeResultInvalid    = "result_invalid"
	CodeOverloaded       = "overloaded"
	CodeRunUnknown       = "run_unknown"
	CodeRunEndless       = "run_endless"
	CodeRunOutdated      = "run_outdated"
	CodeAuditUnavailable = "audit_unavailable"
	CodeDraining         = "draining"
	CodeCancelled        = "cancelled" // who asked gave up
	CodeInternal         = "internal"
)

// Error is a refusal of the gate: what the caller may see of it. Message and
// Hint never hold a secret value; Err is the operator's cause.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Run     string `json:"run,omitempty"`
	Action  string `json:"action,omitempty"`
	// Ticket is the approval that the request needs: it can be waited for.
	Ticket string `json:"ticket,omitempty"`
	// Detail is the error document of a provider, where it wrote one.
	Detail json.RawMessage `json:"detail,omitempty"`
	Err    error           `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the operator's cause.
func (e *Error) Unwrap() error { return e.Err }

// status is the HTTP status with which the control API answers.
func (e *Error) status() int {
	switch e.Code {
	case CodeBadRequest, CodeArgumentsInvalid, CodeNoProvider, CodeRunEndless:
		return http.StatusBadRequest
	case CodeActionUnknown, CodeRunUnknown, CodeApprovalUnknown:
		return http.StatusNotFound
	case CodePolicyDenied, CodeApprovalRequired, CodeApprovalDenied:
		return http.StatusForbidden
	case CodeApprovalEnded, CodeRunOutdated:
		return http.StatusConflict
	case CodeOverloaded, CodeDraining, CodeAuditUnavailable:
		return http.StatusServiceUnavailable
	case CodeCancelled:
		return 499 // nobody is there to read it; nginx has this number
	case CodeInternal:
		return http.StatusInternalServerError
	}
	return http.StatusBadGateway
}

// cancelled is the failure of a call whose caller gave up, whatever that broke. It
// wraps context.Canceled.
func cancelled(err error) *Error {
	if !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", context.Canceled, err)
	}
	return &Error{Code: CodeCancelled, Message: "the call was cancelled", Err: err}
}

// asError makes the gate's error of what the packages below return.
func asError(err error, action string) *Error {
	var (
		own  *Error
		sec  *secrets.Error
		prov *provider.Error
	)
	switch {
	case errors.As(err, &own):
		if own.Action == "" {
			own.Action = action
		}
		return own
	case errors.As(err, &sec):
		return &Error{Code: string(sec.Code), Message: sec.Error(), Action: action, Err: err, Hint: "run `latchgate doctor` for the cause"}
	case errors.As(err, &prov):
		return &Error{Code: string(prov.Code), Message: prov.Message, Action: action, Err: err}
	case errors.Is(err, proxy.ErrDraining):
		return &Error{Code: CodeDraining, Message: "latchgate is shutting down", Action: action, Err: err, Hint: "try again in a moment"}
	case errors.Is(err, proxy.ErrTooManyRuns):
		return &Error{Code: CodeOverloaded, Message: err.Error(), Action: action, Err: err,
			Hint: "close one (latchgate runs list) or raise gate.max_runs in latchgate.toml"}
	}
	return &Error{Code: CodeInternal, Message: "internal error; the daemon's log has the cause", Action: action, Err: err}
}
