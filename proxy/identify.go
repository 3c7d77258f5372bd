package proxy

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// identify is step 1, who: it finds the run that the request's
// Proxy-Authorization names (RFC 9110 section 11.7.2; Basic run-id:token, or
// Bearer with the token or run-id:token). A request without the header belongs
// to the default run where there is one. nil means 407.
func (rs *Runs) identify(h http.Header, now time.Time) *Run {
	fields := h["Proxy-Authorization"]
	if len(fields) == 0 {
		if r := rs.dflt.Load(); r != nil && r.alive(now) {
			return r
		}
		return nil
	}
	if len(fields) != 1 {
		return nil
	}
	id, token, ok := proxyCredentials(fields[0])
	if !ok {
		return nil
	}
	var r *Run
	if id == "" {
		r, ok = rs.byToken(token)
	} else {
		r, ok = rs.Get(id)
	}
	if !ok || !r.tokenIs(token) || !r.alive(now) {
		return nil
	}
	return r
}

// proxyCredentials takes a Proxy-Authorization field apart. id is empty for a
// bare Bearer token.
func proxyCredentials(field string) (id, token string, ok bool) {
	scheme, rest, found := strings.Cut(field, " ")
	if !found {
		return "", "", false
	}
	rest = strings.Trim(rest, " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		raw, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return "", "", false
		}
		id, token, ok = strings.Cut(string(raw), ":")
		return id, token, ok && id != "" && token != ""
	case strings.EqualFold(scheme, "Bearer"):
		if id, token, ok = strings.Cut(rest, ":"); ok {
			return id, token, id != "" && token != ""
		}
		return "", rest, rest != ""
	}
	return "", "", false
}
