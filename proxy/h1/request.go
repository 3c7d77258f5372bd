package h1

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ParseRequest makes a request of a head as [Head] found it, with ctx as its
// context. The request is what net/http's server would make of the same bytes,
// but for RemoteAddr; its Body is http.NoBody, or nil where Content-Length says
// that one follows: the caller sets it.
//
// ok is false for everything that is not a plain HTTP/1.1 request: one that
// net/http refuses or may refuse, and one that needs more than an exchange of
// messages (Upgrade, Expect, Transfer-Encoding, Trailer).
func ParseRequest(ctx context.Context, head []byte) (r *http.Request, ok bool) {
	text := string(head) // the one copy; every string of the request is a part of it
	line, block, found := strings.Cut(text[:len(text)-2], "\r\n")
	method, rest, found2 := strings.Cut(line, " ")
	written, proto, found3 := strings.Cut(rest, " ")
	if !found || !found2 || !found3 || proto != "HTTP/1.1" || !isToken(method) {
		return nil, false
	}
	u, ok := parseTarget(method, written)
	if !ok {
		return nil, false
	}
	h, ok := parseFields(block)
	if !ok || len(h["Host"]) != 1 {
		return nil, false
	}
	for _, name := range beyondPlain {
		if h[name] != nil {
			return nil, false
		}
	}
	length, ok := contentLength(h)
	if !ok {
		return nil, false
	}
	host := u.Host
	if host == "" {
		host = h["Host"][0]
	}
	if !isHost(host) || !isHost(h["Host"][0]) {
		return nil, false
	}
	delete(h, "Host")
	fixPragma(h)
	body := io.ReadCloser(http.NoBody)
	if length > 0 {
		body = nil
	}
	return (&http.Request{
		Method: method, URL: u, RequestURI: written, Host: host, Header: h, Body: body, ContentLength: max(length, 0),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Close: closes(h),
	}).WithContext(ctx), true
}

// beyondPlain are the fields with which a request is more than a head and so
// many bytes.
var beyondPlain = []string{"Transfer-Encoding", "Upgrade", "Expect", "Trailer", "Http2-Settings"}

// parseTarget takes a request target in origin, absolute or authority form (RFC
// 9112 section 3.2).
func parseTarget(method, written string) (*url.URL, bool) {
	switch {
	case method == http.MethodConnect:
		return &url.URL{Host: written}, isHost(written) && written != ""
	case written == "" || written == "*" || strings.HasPrefix(written, "//"):
		return nil, false
	case written[0] != '/':
		u, err := url.ParseRequestURI(written)
		return u, err == nil && u.Host != "" && u.User == nil
	}
	path, query, found := strings.Cut(written, "?")
	for i := range len(path) {
		if !pathChar[path[i]] { // an escape, or something that has to be one
			u, err := url.ParseRequestURI(written)
			return u, err == nil
		}
	}
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c == 0x7f {
			return nil, false
		}
	}
	return &url.URL{Path: path, RawQuery: query, ForceQuery: found && query == ""}, true
}

// isHost reports whether s is made of what stands in a host and port that need
// no second look; any other goes to net/http.
func isHost(s string) bool {
	for i := range len(s) {
		if !hostChar[s[i]] {
			return false
		}
	}
	return true
}

var (
	// pathChar are those that net/url never escapes in a path.
	pathChar = charTable("-_.~$&+,/:;=@", 'a', 'z', 'A', 'Z', '0', '9')
	hostChar = charTable("-._:[]", 'a', 'z', 'A', 'Z', '0', '9')
)

// SetBody gives r a body that is all there. It can be sent again, which GetBody
// says.
func SetBody(r *http.Request, b []byte) {
	r.Body = &whole{*bytes.NewReader(b)}
	r.GetBody = func() (io.ReadCloser, error) { return &whole{*bytes.NewReader(b)}, nil }
}

type whole struct{ bytes.Reader }

func (*whole) Close() error { return nil }
