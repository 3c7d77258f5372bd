package secrets

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what stands wherever a secret value would have been printed.
const Redacted = "***REDACTED***"

// Value is one secret. It can be handed around, compared and printed (as
// [Redacted]); its bytes come out of [Value.Reveal] only. The zero Value is
// empty.
//
// The bytes sit in a closure, where no printer finds them that goes by reflection
// and not by methods: a Value in an unexported field under a verb that does not
// fit, or a dump of a whole structure.
type Value struct{ reveal func() []byte }

// NewValue returns a Value with a copy of b.
func NewValue(b []byte) Value { return newValue(append([]byte(nil), b...)) }

// newValue returns a Value of b itself.
func newValue(b []byte) Value { return Value{func() []byte { return b }} }

// Reveal returns the bytes themselves, not a copy; they must not be changed. A
// value that came from a [Set] is valid until the last holder of that Set has
// released it, and is overwritten with zeros then.
func (v Value) Reveal() []byte { return v.bytes() }

// bytes is for this package, which must compare and encrypt.
func (v Value) bytes() []byte {
	if v.reveal == nil {
		return nil
	}
	return v.reveal()
}

// Len returns the length of the value in bytes.
func (v Value) Len() int { return len(v.bytes()) }

// Equal reports whether both values hold the same bytes, in a time that depends
// on their lengths only.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare(v.bytes(), w.bytes()) == 1
}

// String returns [Redacted].
func (Value) String() string { return Redacted }

// Format writes [Redacted] for every verb and flag.
func (Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue makes slog print [Redacted].
func (Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText makes encoders of text (XML, flags, TOML) write [Redacted].
func (Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON makes encoding/json write [Redacted].
func (Value) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalYAML makes YAML encoders write [Redacted].
func (Value) MarshalYAML() (any, error) { return Redacted, nil }

// MarshalBinary makes encoding/gob write [Redacted].
func (Value) MarshalBinary() ([]byte, error) { return []byte(Redacted), nil }
