package proxy

import (
	"io"

	"github.com/latchgate/latchgate/manifests"
)

// scrubMessages is step 10 for what a WebSocket's upstream sends.
func (x *exchange) scrubMessages() *messageFilter {
	if x.creds == nil || x.creds.scrub == nil {
		return passMessages
	}
	set := x.creds.scrub
	return &messageFilter{
		message: func(r io.Reader, _ byte) io.Reader { return set.Reader(r, x.hit) },
		control: func(b []byte) ([]byte, error) { return set.Bytes(b, x.hit), nil },
	}
}

// substituteMessages is step 7 for what a WebSocket's client sends: a message
// counts as a body. A text that begins like JSON is taken for it.
func (x *exchange) substituteMessages() *messageFilter {
	ph := x.run.placeholders
	if ph == nil {
		return passMessages
	}
	return &messageFilter{
		message: func(r io.Reader, first byte) io.Reader {
			enc := literal
			if first == '{' || first == '[' || first == '"' {
				enc = jsonEscaped
			}
			return ph.find().Rewrite(r, func(dst, match []byte, i int) ([]byte, error) {
				out, denied := x.replace(dst, match, i, manifests.InBody, enc)
				if denied != nil {
					return dst, denied
				}
				return out, nil
			})
		},
		control: func(b []byte) ([]byte, error) {
			if m := ph.find().Matches(nil, b); len(m) > 0 {
				return nil, ph.tokens[m[0].Index].trip("control frame")
			}
			return b, nil
		},
	}
}

var passMessages = &messageFilter{
	message: func(r io.Reader, _ byte) io.Reader { return r },
	control: func(b []byte) ([]byte, error) { return b, nil },
}
