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

// stamp is step 6: it puts the secrets of the matched bindings on the request.
// Of several bindings that write the same place the first declared whose
// secret is available writes it. A required secret that is missing refuses the
// request: it is never sent unauthenticated. It returns the bindings that wrote.
func stamp(h http.Header, u *url.URL, matched []*binding, set *secrets.Set, wrote []*binding) ([]*binding, *Denial) {
	for _, b := range matched {
		if b.As == manifests.Placeholder {
			// Sending the request without replacing anything would send it unauthenticated.
			return wrote, &Denial{Code: SecretUnavailable, Message: fmt.Sprintf("secret %s is bound as a placeholder, which this version does not replace", b.secret),
				Hint: "use a bearer, basic, header, query or path binding"}
		}
		v, ok := available(b, set)
		if !ok {
			if b.required {
				return wrote, &Denial{Code: SecretUnavailable,
					Message: fmt.Sprintf("secret %s is required here and not available", b.secret),
					Hint:    fmt.Sprintf("operator: latchgate secrets set %s", b.secret)}
			}
			continue
		}
		if taken(b, wrote) {
			continue
		}
		if bytes.ContainsAny(v.Reveal(), "\r\n\x00") {
			return wrote, &Denial{Code: SecretUnavailable,
				Message: fmt.Sprintf("secret %s holds a line break or NUL and is never sent", b.secret),
				Hint:    fmt.Sprintf("operator: set it again without the trailing newline: latchgate secrets set %s", b.secret)}
		}
		if !b.holds(v.Reveal()) {
			return wrote, &Denial{Code: SecretUnavailable,
				Message: fmt.Sprintf("secret %s can't stand where its binding puts it, and is never sent", b.secret),
				Hint:    fmt.Sprintf("operator: a header holds no control characters, a path no empty secret: latchgate secrets set %s", b.secret)}
		}
		b.write(h, u, v)
		wrote = append(wrote, b)
	}
	return wrote, nil
}

func available(b *binding, set *secrets.Set) (secrets.Value, bool) {
	if !b.approved || set == nil {
		return secrets.Value{}, false
	}
	return set.Get(b.secret)
}

// taken reports whether another binding already wrote b's place.
func taken(b *binding, wrote []*binding) bool {
	for _, w := range wrote {
		if f := b.field(); f != "" && sameName(f, w.field()) {
			return true
		}
		if b.As == w.As && (b.As == manifests.Query && sameName(b.Param, w.Param) || b.As == manifests.Path) {
			return true
		}
	}
	return false
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

// write puts the value where the binding says.
func (b *binding) write(h http.Header, u *url.URL, v secrets.Value) {
	switch b.As {
	case manifests.Bearer:
		h["Authorization"] = []string{"Bearer " + string(v.Reveal())}
	case manifests.Basic:
		raw := make([]byte, 0, len(b.Username)+1+v.Len())
		raw = append(append(append(raw, b.Username...), ':'), v.Reveal()...)
		h["Authorization"] = []string{"Basic " + base64.StdEncoding.EncodeToString(raw)}
		clear(raw)
	case manifests.Header:
		h[http.CanonicalHeaderKey(b.Header)] = []string{strings.Replace(b.Format, "{value}", string(v.Reveal()), 1)}
	case manifests.Query:
		if u.RawQuery != "" && !strings.HasSuffix(u.RawQuery, "&") {
			u.RawQuery += "&"
		}
		u.RawQuery += url.QueryEscape(b.Param) + "=" + url.QueryEscape(string(v.Reveal()))
	case manifests.Path:
		// The wire sends Opaque as it stands: see prepare.
		u.Opaque = strings.Replace(b.Format, "{value}", url.PathEscape(string(v.Reveal())), 1) + u.Opaque
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
