package proxy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// encoding is how text stands in a part of a request, so that what replaces a
// placeholder there means the value again when it is read.
type encoding int

const (
	literal     encoding = iota // as it is: header values, bodies of no known structure
	percented                   // percent-encoded within a literal text, as in a cookie
	form                        // a query or form field: percent-encoded, "+" for a space
	jsonEscaped                 // within a JSON string (RFC 8259 section 7)
)

// bodyEncoding tells from a Content-Type how text stands in the body.
func bodyEncoding(contentType string) encoding {
	kind, _, _ := strings.Cut(contentType, ";") // faulty parameters change nothing
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch {
	case kind == "application/x-www-form-urlencoded":
		return form
	case strings.HasSuffix(kind, "json"), strings.HasSuffix(kind, "json-seq"): // json, x-ndjson, problem+json, ...
		return jsonEscaped
	}
	return literal
}

// of reports in which encoding match is the token, where enc allows it. A
// token in base64, in hex, or escaped as its surroundings are not, is not.
func (enc encoding) of(match []byte, token string) (as encoding, ok bool) {
	text := string(match)
	if text == token {
		return enc, true
	}
	switch enc {
	case literal, form:
		plain, err := url.QueryUnescape(text)
		if enc == literal {
			enc = percented
		}
		return enc, err == nil && plain == token
	case jsonEscaped:
		var plain string
		return enc, json.Unmarshal([]byte(`"`+text+`"`), &plain) == nil && plain == token
	}
	return enc, false
}

// append appends the value to dst in the encoding.
func (enc encoding) append(dst, value []byte) []byte {
	for _, c := range value {
		switch {
		case enc == literal:
			dst = append(dst, c)
		case enc == form && c == ' ':
			dst = append(dst, '+')
		case enc == form || enc == percented:
			if unreserved(c) {
				dst = append(dst, c)
			} else {
				dst = fmt.Appendf(dst, "%%%02X", c)
			}
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// unreserved are the characters that never need percent-encoding (RFC 3986
// section 2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
