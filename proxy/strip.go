package proxy

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/latchgate/latchgate/manifests"
)

// isHopByHop reports whether a field ends at each hop (RFC 9110 section 7.6.1, and
// the obsolete ones that clients still send).
func isHopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return len(name) > 6 && strings.EqualFold(name[:6], "Proxy-")
}

// stripHopByHop removes the hop-by-hop fields from h, those that Connection
// names, and every Proxy-* field. "TE: trailers" stays: gRPC servers insist on
// it and net/http speaks trailers on both sides.
func stripHopByHop(h http.Header) {
	for _, names := range h["Connection"] {
		for name := range strings.SplitSeq(names, ",") {
			if name = strings.Trim(name, " \t"); name != "" {
				h.Del(name)
			}
		}
	}
	trailers := false
	for _, te := range h["Te"] {
		for coding := range strings.SplitSeq(te, ",") {
			trailers = trailers || strings.EqualFold(strings.Trim(coding, " \t"), "trailers")
		}
	}
	for name := range h {
		if isHopByHop(name) {
			delete(h, name)
		}
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
}

// field is the header that the binding writes, "" when it writes none.
func (b *binding) field() string {
	switch b.As {
	case manifests.Bearer, manifests.Basic:
		return "Authorization"
	case manifests.Header:
		return b.Header
	}
	return ""
}

// stripOwned is step 5: an agent can't choose the credential. Every header and
// query parameter that a binding of this request owns is removed, whatever its
// case and whether it is spelled with "_" or "-", and whether or not there is
// a secret to put in its place.
func stripOwned(h http.Header, u *url.URL, matched []*binding) {
	for _, b := range matched {
		if field := b.field(); field != "" {
			for name := range h {
				if sameName(name, field) {
					delete(h, name)
				}
			}
		}
		if b.As == manifests.Query && u.RawQuery != "" {
			u.RawQuery = dropParam(u.RawQuery, b.Param)
		}
	}
}

// stripTrailer leaves of a request's trailer what was announced, is fit for a
// trailer (RFC 9110 section 6.5.1) and is owned by no binding. A server that
// merges the trailer into the header would take the agent's credential for ours.
func stripTrailer(r *http.Request, matched []*binding) {
	if len(r.Trailer) == 0 || r.Body == nil {
		r.Trailer = nil
		return
	}
	kept := http.Header{}
	for name := range r.Trailer {
		owned := slices.ContainsFunc(matched, func(b *binding) bool { return sameName(name, b.field()) })
		if !owned && httpguts.ValidTrailerHeader(name) {
			kept[name] = nil
		}
	}
	r.Body = &trailedBody{ReadCloser: r.Body, received: r.Trailer, kept: kept}
	r.Trailer = kept
}

// trailedBody copies the trailer that comes with the body's end; net/http puts
// fields into the received one that nobody announced.
type trailedBody struct {
	io.ReadCloser
	received, kept http.Header
}

func (b *trailedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		for name := range b.kept {
			b.kept[name] = b.received[name]
		}
	}
	return n, err
}

// sameName compares two header or parameter names as lenient servers do: CGI
// and WSGI fold case and turn "-" into "_". It begins at the end: names that
// differ often have a beginning in common.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := len(a) - 1; i >= 0; i-- {
		if foldName(a[i]) != foldName(b[i]) {
			return false
		}
	}
	return true
}

// foldedName is equal for names that are [sameName].
func foldedName(s string) string {
	folded := []byte(s)
	for i, c := range folded {
		folded[i] = foldName(c)
	}
	return string(folded)
}

func foldName(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + ('a' - 'A')
	case c == '_':
		return '-'
	}
	return c
}

// dropParam removes each parameter of that name from a raw query and leaves
// the order and the encoding of all others as they are. Both "&" and ";" end a
// parameter: some servers still split on the latter. A name that does not
// decode is kept only if its raw spelling differs too.
func dropParam(query, param string) string {
	var kept strings.Builder
	for rest := query; rest != ""; {
		end := strings.IndexAny(rest, "&;")
		part, sep := rest, ""
		if end >= 0 {
			part, sep = rest[:end], rest[end:end+1]
			rest = rest[end+1:]
		} else {
			rest = ""
		}
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if sameName(name, param) {
			continue
		}
		kept.WriteString(part)
		kept.WriteString(sep)
	}
	return strings.TrimRight(kept.String(), "&")
}

// keepScannable leaves only what makes an answer that can be searched: no part
// of a body (a secret could be read out piece by piece), no coding that can't be
// decoded, and no charset of the client's choice. RFC 9110 sections 12.5.2,
// 12.5.3 and 14.2.
func keepScannable(h http.Header) {
	delete(h, "Range")
	delete(h, "If-Range")
	delete(h, "Grpc-Accept-Encoding") // no message is decoded: identity is what is left
	delete(h, "Accept-Charset")       // values are searched for in UTF-8
	accepted := h["Accept-Encoding"]
	if len(accepted) == 0 {
		return
	}
	if len(accepted) == 1 && !strings.ContainsRune(accepted[0], ',') && scannable(accepted[0]) {
		return
	}
	var kept []string
	for coding := range strings.SplitSeq(strings.Join(accepted, ","), ",") {
		if scannable(coding) {
			kept = append(kept, strings.Trim(coding, " \t"))
		}
	}
	if len(kept) == 0 {
		kept = []string{"identity"}
	}
	h["Accept-Encoding"] = []string{strings.Join(kept, ", ")}
}

// scannable reports whether an element of Accept-Encoding names a coding that we
// can decode.
func scannable(element string) bool {
	coding, _, _ := strings.Cut(element, ";")
	coding = strings.Trim(coding, " \t")
	return slices.ContainsFunc(scannableCodings, func(c string) bool { return strings.EqualFold(c, coding) })
}

var scannableCodings = []string{"gzip", "x-gzip", "deflate", "br", "zstd", "identity"}
