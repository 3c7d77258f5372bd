package provider

import "fmt"

// Code says which of the things that can go wrong with a provider did. Codes
// are stable: callers, the audit record and users see them.
type Code string

// The codes of an [Error].
const (
	CodeDigestMismatch Code = "provider_digest_mismatch"  // the module's SHA-256 is not the one the manifest names
	CodeImportDenied   Code = "provider_import_denied"    // the module imports something that this host does not offer, or the manifest does not declare
	CodeInvalid        Code = "provider_invalid"          // not a module, or not one of this ABI
	CodeTrap           Code = "provider_trap"             // the guest trapped, panicked, overflowed its stack or exited
	CodeTimeout        Code = "provider_timeout"          // Limits.Timeout or the caller's deadline passed
	CodeMemory         Code = "provider_memory"           // the guest failed after it was refused memory beyond Limits.MemoryMB
	CodeTooManyCalls   Code = "provider_too_many_calls"   // the guest asked for more HTTP requests than Limits.MaxIOCalls
	CodeOutputInvalid  Code = "provider_output_invalid"   // the guest succeeded and wrote no output, or none that is JSON
	CodeOutputTooLarge Code = "provider_output_too_large" // the output is larger than Limits.MaxResponseBytes
	CodeCancelled      Code = "provider_cancelled"        // the caller gave up, or the runtime was closed
	CodeFailed         Code = "provider_failed"           // the guest reported a failure of its own; see Error.Detail
)

// An Error is how a compilation or an execution fails. Every error that this
// package returns from them is one.
type Error struct {
	Code    Code
	Message string // for a user; says what happened in latchgate's or the guest's words
	Err     error  // the cause, for the operator's log; may be nil
	// Detail is the error document that the guest wrote, valid JSON, where Code
	// is provider_failed and it wrote one.
	Detail []byte
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
