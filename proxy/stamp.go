package proxy

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/secrets"
)

// stamp is what one binding writes, made once for each decryption: a request
// copies nothing.
type stamp struct {
	ready  bool   // the secret is approved and there
	fault  string // why its value can't be sent, "" where it can
	header []string
	text   string // of a query parameter, or before the path
	value  []byte // in place of a placeholder; overwritten when the credentials are let go of
}

// newStamp makes what b writes of v. CR, LF and NUL are refused everywhere.
func newStamp(b *binding, v secrets.Value) stamp {
	switch {
	case bytes.ContainsAny(v.Reveal(), "\r\n\x00"):
		return stamp{ready: true, fault: "holds a line break or NUL"}
	case !b.holds(v.Reveal()):
		return stamp{ready: true, fault: "can't stand where its binding puts it"}
	}
	s := stamp{ready: true}
	switch b.As {
	case manifests.Bearer:
		s.header = []string{glue("Bearer ", v, "")}
	case manifests.Basic:
		raw := make([]byte, 0, len(b.Username)+1+v.Len())
		raw = append(append(append(raw, b.Username...), ':'), v.Reveal()...)
		s.header = []string{"Basic " + base64.StdEncoding.EncodeToString(raw)}
		clear(raw)
	case manifests.Header:
		before, after, _ := strings.Cut(b.Format, "{value}")
		s.header = []string{glue(before, v, after)}
	case manifests.Query:
		s.text = url.QueryEscape(b.Param) + "=" + url.QueryEscape(string(v.Reveal()))
	case manifests.Path:
		s.text = strings.Replace(b.Format, "{value}", url.PathEscape(string(v.Reveal())), 1)
	case manifests.Placeholder:
		s.value = bytes.Clone(v.Reveal())
	}
	return s
}

// glue makes one string of three parts, and no other copy of the value.
func glue(before string, v secrets.Value, after string) string {
	var s strings.Builder
	s.Grow(len(before) + v.Len() + len(after))
	s.WriteString(before)
	s.Write(v.Reveal())
	s.WriteString(after)
	return s.String()
}

// holds reports whether the value can stand where the binding writes it as it
// is. With an empty one "/{value}" would make "//" of the path's beginning, and
// of the agent's first segment an authority.
func (b *binding) holds(value []byte) bool {
	switch b.As {
	case manifests.Bearer, manifests.Header:
		return !slices.ContainsFunc(value, func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f })
	case manifests.Path:
		return len(value) > 0
	}
	return true
}

// stampAll is step 6: it puts the secrets of the matched bindings on the
// request. Of several bindings that write the same place the first declared
// whose secret is available writes it. A required secret that is missing
// refuses the request: it is never sent unauthenticated. It returns wrote with
// the bindings that did.
func stampAll(h http.Header, u *url.URL, matched []*binding, c *credentials, wrote []*binding) ([]*binding, *Denial) {
	var few [4]uint64 // a bit for each place that is taken
	taken := few[:]
	if c != nil && len(c.stamps) > 64*len(few) {
		taken = make([]uint64, len(c.stamps)/64+1)
	}
	for _, b := range matched {
		s := c.stamp(b)
		word, bit := b.place/64, uint64(1)<<(b.place%64)
		switch {
		case !s.ready && b.required:
			return wrote, missing(b)
		case !s.ready, b.As == manifests.Placeholder, taken[word]&bit != 0:
			continue
		case s.fault != "":
			return wrote, unfit(b, s.fault)
		}
		b.write(h, u, s)
		taken[word] |= bit
		wrote = append(wrote, b)
	}
	return wrote, nil
}

// missing refuses a request that wants b's secret, which is not there.
func missing(b *binding) *Denial {
	return &Denial{Code: SecretUnavailable, Message: fmt.Sprintf("secret %s is required here and not available", b.secret),
		Hint: fmt.Sprintf("operator: latchgate secrets set %s", b.secret)}
}

// unfit refuses a request that wants b's secret, whose value can't be sent.
func unfit(b *binding, fault string) *Denial {
	return &Denial{Code: SecretUnavailable, Message: fmt.Sprintf("secret %s %s, and is never sent", b.secret, fault),
		Hint: fmt.Sprintf("operator: set it again, without a trailing newline or control characters: latchgate secrets set %s", b.secret)}
}

// written names what the binding writes: two write the same where a lenient server
// takes the one for the other.
func (b *binding) written() string {
	switch b.As {
	case manifests.Query:
		return "query " + foldedName(b.Param)
	case manifests.Path:
		return "path"
	}
	return "header " + foldedName(b.field())
}

// write puts the stamp where the binding says.
func (b *binding) write(h http.Header, u *url.URL, s *stamp) {
	switch b.As {
	case manifests.Bearer, manifests.Basic:
		h["Authorization"] = s.header
	case manifests.Header:
		h[b.Header] = s.header // canonical since it was parsed
	case manifests.Query:
		if u.RawQuery != "" && !strings.HasSuffix(u.RawQuery, "&") {
			u.RawQuery += "&"
		}
		u.RawQuery += s.text
	case manifests.Path:
		u.Opaque = s.text + u.Opaque // the wire sends Opaque as it stands: see prepare
	}
}

// signed reports whether the query already carries a signature. Storage
// services answer 400 to a request that is authenticated twice.
func signed(query string) bool {
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if strings.EqualFold(name, "X-Amz-Signature") || strings.EqualFold(name, "X-Goog-Signature") || strings.EqualFold(name, "sig") {
			return true
		}
	}
	return false
}

// loopbackHost reports whether a canonical host names this machine, by its
// own spelling and not by what a resolver says of it.
func loopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return localName(host) || err == nil && ip.Unmap().IsLoopback()
}

func localName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
