package provider

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The two documents at a guest's border are read and written here where they
// are plain, at a tenth of encoding/json's cost; it does the rest.

// readPlain reads a request document that is written as our own guest does it:
// without spaces, in this order, and of plain strings. It reports false for any
// other, which may be a good one all the same, and reads no document in another
// way than encoding/json.
func readPlain(doc string) (r requestDoc, ok bool) {
	p := plainReader{rest: doc}
	p.expect(`{"method":`)
	r.Method = p.string()
	p.expect(`,"url":`)
	r.URL = p.string()
	p.expect(`,"headers":[`)
	for more := !strings.HasPrefix(p.rest, "]"); more && !p.failed; more = p.accept(",") {
		p.expect("[")
		name := p.string()
		p.expect(",")
		r.Headers = append(r.Headers, [2]string{name, p.string()})
		p.expect("]")
	}
	p.expect("]}")
	if p.failed || p.rest != "" {
		return requestDoc{}, false
	}
	return r, true
}

// plainReader reads from the front of rest until something is not as expected.
type plainReader struct {
	rest   string
	failed bool
}

func (p *plainReader) accept(token string) bool {
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *plainReader) expect(token string) { p.failed = !p.accept(token) || p.failed }

func (p *plainReader) string() string {
	p.expect(`"`)
	end := strings.IndexByte(p.rest, '"')
	if p.failed || end < 0 || !isPlain(p.rest[:end]) {
		p.failed = true
		return ""
	}
	s := p.rest[:end]
	p.rest = p.rest[end+1:]
	return s
}

// isPlain reports whether s stands in a JSON string as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// describe makes the document that response_read gives back: the status, and the
// headers sorted by name. Names are in lower case; a header that came twice is
// listed twice.
func describe(resp *http.Response) []byte {
	type header struct{ lower, name string }
	var space [24]header
	headers := space[:0]
	for name := range resp.Header {
		headers = append(headers, header{strings.ToLower(name), name})
	}
	slices.SortFunc(headers, func(a, b header) int { return strings.Compare(a.lower, b.lower) })
	doc := make([]byte, 0, 512)
	doc = strconv.AppendInt(append(doc, `{"status":`...), int64(resp.StatusCode), 10)
	doc = append(doc, `,"headers":[`...)
	for _, h := range headers {
		for _, v := range resp.Header[h.name] {
			doc = appendString(append(doc, '['), h.lower)
			doc = append(appendString(append(doc, ','), v), ']', ',')
		}
	}
	if doc[len(doc)-1] == ',' {
		doc = doc[:len(doc)-1]
	}
	return append(doc, "]}"...)
}

func appendString(doc []byte, s string) []byte {
	if !isPlain(s) {
		quoted, _ := json.Marshal(s) // a string always marshals
		return append(doc, quoted...)
	}
	return append(append(append(doc, '"'), s...), '"')
}
