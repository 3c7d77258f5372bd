package secrets

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Code is the stable name of what went wrong, for metrics, JSON and callers that
// decide.
type Code string

// The codes of an [Error].
const (
	SopsNotFound          Code = "sops_not_found"          // the backend needs sops and it is not on PATH
	DecryptFailed         Code = "decrypt_failed"          // wrong key, corrupt file, MAC mismatch, KMS refused, deadline
	SecretsUnparsable     Code = "secrets_unparsable"      // not a map after decryption
	KeyFileNotFound       Code = "key_file_not_found"      // sops_key_file does not exist
	SecretsFileNotFound   Code = "secrets_file_not_found"  // sops_secrets_file does not exist
	RequiredSecretMissing Code = "required_secret_missing" // declared required, not in the file
)

var codeText = map[Code]string{
	SopsNotFound:        "sops binary not found",
	DecryptFailed:       "sops decryption failed",
	SecretsUnparsable:   "failed to parse sops output as JSON",
	KeyFileNotFound:     "key file not found",
	SecretsFileNotFound: "secrets file not found",
}

// ErrClosed is returned by a Store after [Store.Close].
var ErrClosed = errors.New("secrets store is closed")

// Error is a failure that denies a run. Its text is for anyone, the agent
// included: it names no path and holds nothing that a program printed. What an
// operator needs is in Detail.
type Error struct {
	Code   Code
	Names  []string // RequiredSecretMissing: every missing name, sorted
	Detail string   // operator only: the cause, at most 500 bytes of what sops printed
	Err    error    // the cause for errors.Is, may be nil; its text is not for agents
}

// Error returns the text that belongs to the code.
func (e *Error) Error() string {
	if e.Code != RequiredSecretMissing {
		return codeText[e.Code]
	}
	if len(e.Names) == 0 {
		return "required secret not found in sops file"
	}
	text := fmt.Sprintf("required secret '%s' not found in sops file", e.Names[0])
	if len(e.Names) > 1 {
		text += " (also missing: '" + strings.Join(e.Names[1:], "', '") + "')"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// LogValue gives the log what the operator needs: text, code and detail.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("error", e.Error()), slog.String("code", string(e.Code))}
	if e.Detail != "" {
		attrs = append(attrs, slog.String("detail", e.Detail))
	}
	return slog.GroupValue(attrs...)
}

// fail makes an Error whose Detail is err's text: err must hold no value.
func fail(code Code, err error) *Error {
	return &Error{Code: code, Detail: clip(err.Error()), Err: err}
}

func missing(names []string) *Error {
	slices.Sort(names)
	return &Error{Code: RequiredSecretMissing, Names: names}
}

const detailLimit = 500 // bytes

func clip(s string) string {
	if len(s) > detailLimit {
		s = strings.ToValidUTF8(s[:detailLimit], "")
	}
	return s
}
