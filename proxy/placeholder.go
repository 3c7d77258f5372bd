package proxy

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy/scrub"
)

// placeholders are the worthless tokens that a run's client was given in place
// of secrets. They are immutable; a nil one holds none.
type placeholders struct {
	tokens   []placeholder
	shortest int
	find     func() *scrub.Set // finds the tokens in every form; compiled when first needed
}

// placeholder is one token.
type placeholder struct {
	env, token     string
	action, secret string // that declare it first
	declared       string // where, as file:line
}

func newPlaceholders(c RunConfig) *placeholders {
	ph := &placeholders{}
	var values []scrub.Named
	for _, g := range c.Grants {
		for _, s := range g.Manifest.Secrets {
			token := c.Placeholders[s.Env]
			if token == "" || ph.index(s.Env) >= 0 {
				continue
			}
			ph.tokens = append(ph.tokens, placeholder{s.Env, token, g.Manifest.ActionID, s.Name, place(g.Manifest)})
			values = append(values, scrub.Named{Name: s.Name, Value: []byte(token)})
			if ph.shortest == 0 || len(token) < ph.shortest {
				ph.shortest = len(token)
			}
		}
	}
	if len(ph.tokens) == 0 {
		return nil
	}
	ph.find = sync.OnceValue(func() *scrub.Set { return scrub.Compile(values) })
	return ph
}

// index is the place of the variable's token, -1 where it has none.
func (ph *placeholders) index(env string) int {
	if ph == nil {
		return -1
	}
	return slices.IndexFunc(ph.tokens, func(p placeholder) bool { return p.env == env })
}

// folded is the index of a token that stands in a text which lost its case, as
// a host or a header's name; -1 where there is none.
func (ph *placeholders) folded(text string) int {
	if ph == nil || len(text) < ph.shortest {
		return -1
	}
	return slices.IndexFunc(ph.tokens, func(p placeholder) bool {
		for i := 0; i+len(p.token) <= len(text); i++ {
			if strings.EqualFold(text[i:i+len(p.token)], p.token) {
				return true
			}
		}
		return false
	})
}

// tripInHost refuses a target whose name holds a placeholder: whoever resolves
// it would be told.
func (r *Run) tripInHost(host string) *Denial {
	if i := r.placeholders.folded(host); i >= 0 {
		return r.placeholders.tokens[i].trip("host")
	}
	return nil
}

// trip is the tripwire: a placeholder stands where no binding allows it, so
// somebody tried to carry a credential away.
func (p *placeholder) trip(part string) *Denial {
	d := &Denial{Code: Tripwire, Trip: &Trip{Action: p.action, Secret: p.secret, Part: part},
		Message: fmt.Sprintf("the placeholder of secret %s stands in the request's %s, where no binding allows it; nothing was sent", p.secret, part)}
	if part == manifests.InHeader || part == manifests.InQuery || part == manifests.InBody {
		d.Hint = fmt.Sprintf("if it belongs there, add {as: placeholder, in: [%s]} for this host to inject of %s in %s", part, p.secret, p.declared)
	}
	return d
}

// replacePlaceholders is step 7: where a binding of this request allows it a
// placeholder gives way to its secret, in one pass and in the encoding of its
// surroundings; anywhere else it trips.
func (x *exchange) replacePlaceholders(r *http.Request) *Denial {
	ph := x.run.placeholders
	if ph == nil {
		return nil
	}
	for name := range r.Header {
		if i := ph.folded(name); i >= 0 {
			return ph.tokens[i].trip("header name")
		}
	}
	for name := range r.Trailer {
		if i := ph.folded(name); i >= 0 {
			return ph.tokens[i].trip("trailer")
		}
	}
	if ph.inHead(r) {
		if denied := x.replaceInHead(r); denied != nil {
			return denied
		}
	}
	return x.replaceInBody(r)
}

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// inHead reports whether a token stands anywhere in the request's head. It
// looks at all of it at once, which is what nearly every request costs.
func (ph *placeholders) inHead(r *http.Request) bool {
	pooled := heads.Get().(*[]byte)
	b := append((*pooled)[:0], r.Method...)
	b = append(append(b, '\n'), r.URL.Opaque...)
	b = append(append(b, '\n'), r.URL.RawQuery...)
	basic := false
	for _, values := range r.Header {
		for _, v := range values {
			b = append(append(b, '\n'), v...)
			basic = basic || isBasic(v)
		}
	}
	found := basic || ph.find().Contains(b)
	*pooled = b
	heads.Put(pooled)
	return found
}

func (x *exchange) replaceInHead(r *http.Request) *Denial {
	if _, denied := x.replaceIn(r.Method, "method", literal); denied != nil {
		return denied
	}
	if _, denied := x.replaceIn(r.URL.Opaque, "path", literal); denied != nil {
		return denied
	}
	var denied *Denial
	if r.URL.RawQuery, denied = x.replaceIn(r.URL.RawQuery, manifests.InQuery, form); denied != nil {
		return denied
	}
	for name, values := range r.Header {
		for i, v := range values {
			changed, denied := x.replaceInField(v)
			if denied != nil {
				return denied
			}
			if changed != v {
				// The slice is shared with the request that the client sent.
				values = slices.Clone(values)
				values[i] = changed
				r.Header[name] = values
			}
		}
	}
	return nil
}

// replaceInField replaces in a header's value, and within the base64 of Basic
// credentials (RFC 7617), where git and curl put what stands in a URL.
func (x *exchange) replaceInField(v string) (string, *Denial) {
	if !isBasic(v) {
		return x.replaceIn(v, manifests.InHeader, literal)
	}
	encoded := strings.Trim(v[len("Basic "):], " \t")
	enc := base64.StdEncoding
	if !strings.HasSuffix(encoded, "=") && len(encoded)%4 != 0 {
		enc = base64.RawStdEncoding
	}
	plain, err := enc.DecodeString(encoded)
	if err != nil {
		return x.replaceIn(v, manifests.InHeader, literal)
	}
	changed, denied := x.replaceIn(string(plain), manifests.InHeader, literal)
	if denied != nil || changed == string(plain) {
		return v, denied
	}
	return v[:len("Basic ")] + enc.EncodeToString([]byte(changed)), nil
}

func isBasic(v string) bool { return len(v) > 6 && strings.EqualFold(v[:6], "Basic ") }

// replaceIn replaces the placeholders in text, a part of the request in that
// encoding.
func (x *exchange) replaceIn(text, part string, enc encoding) (string, *Denial) {
	out, changed, denied := x.replaceBytes([]byte(text), part, enc)
	switch {
	case denied != nil:
		return "", denied
	case !changed:
		return text, nil
	}
	defer clear(out)
	return string(out), nil
}

// replaceBytes is replaceIn; where nothing is replaced it returns text itself.
func (x *exchange) replaceBytes(text []byte, part string, enc encoding) (out []byte, changed bool, denied *Denial) {
	matches := x.run.placeholders.find().Matches(nil, text)
	if len(matches) == 0 {
		return text, false, nil
	}
	done := 0
	for _, m := range matches {
		out = append(out, text[done:m.Lo]...)
		if out, denied = x.replace(out, text[m.Lo:m.Hi], m.Index, part, enc); denied != nil {
			clear(out)
			return nil, false, denied
		}
		done = m.Hi
	}
	return append(out, text[done:]...), true, nil
}

// replace appends to dst what stands for match, which is placeholder number i
// in some form.
func (x *exchange) replace(dst, match []byte, i int, part string, enc encoding) ([]byte, *Denial) {
	p := &x.run.placeholders.tokens[i]
	at := x.allows(i, part)
	as, ok := enc.of(match, p.token)
	if at < 0 || !ok {
		return dst, p.trip(part)
	}
	b := x.matched[at]
	switch s := x.creds.stamp(b); {
	case !s.ready:
		return dst, missing(b)
	case s.fault != "":
		return dst, unfit(b, s.fault)
	default:
		x.replaced.Or(1 << min(at, 63))
		return as.append(dst, s.value), nil
	}
}

// allows is the place in x.matched of the binding that lets placeholder number i
// stand in that part of the request, -1 where there is none.
func (x *exchange) allows(i int, part string) int {
	return slices.IndexFunc(x.matched, func(b *binding) bool {
		return b.As == manifests.Placeholder && b.token == i && slices.Contains(b.In, part)
	})
}
