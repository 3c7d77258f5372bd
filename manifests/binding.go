package manifests

import (
	"errors"
	"slices"
	"strings"
)

// fields are the keys that each kind of binding needs, beside those that all
// may have. Only format of a header may be left out.
var fields = map[Kind][]string{
	Bearer:      nil,
	Basic:       {"username"},
	Header:      {"header", "format"},
	Query:       {"param"},
	Path:        {"format"},
	Placeholder: {"in"},
}

// example is what to write for a key that a kind needs.
var example = map[string]string{
	"username": "username: x-access-token",
	"header":   "header: X-Api-Key",
	"param":    "param: key",
	"format":   `format: "/bot{value}"`,
	"in":       "in: [header]",
}

// binding reads one entry of inject; ok is false where it has an error.
func (r *reader) binding(it item, e *Egress) (b Binding, ok bool) {
	before := len(r.problems)
	o := r.object(it.node, it.path, "as", "hosts", "username", "header", "format", "param", "in", "methods", "paths", "except_paths")
	b = Binding{Line: it.node.Line}
	kinds := []string{string(Bearer), string(Basic), string(Header), string(Query), string(Path), string(Placeholder)}
	if b.As = Kind(o.oneOf("as", "", kinds...)); b.As == "" {
		if !o.has("as") && !HasErrors(r.problems[before:]) {
			r.errorf(it.node, "write as: bearer, or one of "+strings.Join(kinds[1:], ", "), "%s.as is missing", it.path)
		}
		return b, false
	}
	r.bindingFields(o, &b)
	b.Hosts = r.bindingHosts(o, e)
	b.Paths = r.paths(o.texts("paths"))
	b.ExceptPaths = r.paths(o.texts("except_paths"))
	for _, m := range o.texts("methods") {
		one := r.methods([]item{m})
		b.Methods = append(b.Methods, one...)
		if len(one) > 0 && len(e.AllowedMethods) > 0 && !slices.Contains(e.AllowedMethods, one[0]) {
			r.errorf(m.node, "add it to egress.allowed_methods, or remove it here", "%s: egress does not allow %s", m.path, one[0])
		}
	}
	return b, !HasErrors(r.problems[before:])
}

// bindingFields reads what the kind needs and refuses what it has no use for:
// a key that is ignored is a credential that goes elsewhere than its author thinks.
func (r *reader) bindingFields(o object, b *Binding) {
	for _, key := range []string{"username", "header", "format", "param", "in"} {
		needed := slices.Contains(fields[b.As], key)
		switch {
		case o.has(key) && !needed:
			r.errorf(o.values[key], "remove it, or write the as: that it belongs to", "%s does not go with as: %s", o.at(key), b.As)
		case !o.has(key) && needed && !(key == "format" && b.As == Header):
			r.errorf(o.node, "write "+example[key], "%s is missing", o.at(key))
		}
	}
	switch b.As {
	case Basic:
		b.Username = r.username(o)
	case Header:
		if o.has("header") {
			b.Header, _ = r.headerName(o.values["header"], o.at("header"))
		}
		b.Format = "{value}"
		if o.has("format") {
			b.Format = r.format(o)
		}
	case Query:
		b.Param = o.text("param")
		if o.has("param") && (b.Param == "" || hasControl(b.Param)) {
			r.errorf(o.values["param"], "write "+example["param"], "%s: %q is not a parameter", o.at("param"), b.Param)
		}
	case Path:
		b.Format = r.format(o)
		r.pathFormat(o, b.Format)
	case Placeholder:
		b.In = r.in(o)
	}
}

func (r *reader) username(o object) string {
	name := o.text("username")
	if strings.Contains(name, ":") || hasControl(name) || strings.Contains(name, "\t") {
		r.errorf(o.values["username"], "write "+example["username"], "%s: a user name of Basic holds no ':' and no control character (RFC 7617)", o.at("username"))
	}
	return name
}

func (r *reader) format(o object) string {
	format := o.text("format")
	n := o.values["format"]
	switch {
	case n == nil:
	case strings.Count(format, "{value}") != 1:
		r.errorf(n, `write for example "Token {value}"`, "%s: want {value} exactly once in %q", o.at("format"), format)
	case hasControl(format):
		r.errorf(n, "write one line", "%s: a control character cannot stand in a request", o.at("format"))
	}
	return format
}

// pathFormat checks that what is prefixed to a path is a path itself.
func (r *reader) pathFormat(o object, format string) {
	if strings.Count(format, "{value}") != 1 {
		return // reported
	}
	if strings.HasSuffix(format, "/") {
		r.errorf(o.values["format"], "remove the last /", "%s: the path that follows begins with /", o.at("format"))
		return
	}
	if _, err := ParsePathPattern(strings.Replace(format, "{value}", "v", 1)); err != nil || strings.Contains(format, "*") {
		if err == nil {
			err = errNoWildcard
		}
		r.errorf(o.values["format"], "write "+example["format"], "%s: %v", o.at("format"), err)
	}
}

func (r *reader) in(o object) []string {
	places := []string{InHeader, InQuery, InBody}
	var in []string
	for _, it := range o.texts("in") {
		switch {
		case !slices.Contains(places, it.text):
			r.errorf(it.node, "write one of "+strings.Join(places, ", "), "%s: %q is not a part of a request", it.path, it.text)
		case !slices.Contains(in, it.text):
			in = append(in, it.text)
		}
	}
	if o.has("in") && len(o.list("in")) == 0 {
		r.errorf(o.values["in"], "write "+example["in"], "%s is empty", o.at("in"))
	}
	return in
}

// bindingHosts returns the hosts of a binding: those that it names, or all that
// the action may reach.
//
// SECURITY: a secret is bound to hosts that its own action declares. Without
// this, it would follow the action, or another of the same run, to any host.
func (r *reader) bindingHosts(o object, e *Egress) []HostPattern {
	if !o.has("hosts") {
		if len(e.AllowedDomains) == 0 {
			r.errorf(o.node, "write the hosts into egress.allowed_domains", "%s: the action reaches no host that may have the secret", o.path)
		}
		return e.AllowedDomains
	}
	var hosts []HostPattern
	for _, it := range o.texts("hosts") {
		for _, p := range r.hosts([]item{it}) {
			if !covered([]HostPattern{p}, e.AllowedDomains) {
				r.errorf(it.node, "add it to egress.allowed_domains, or remove it here", "%s: the action may not reach %s", it.path, p)
			}
			hosts = append(hosts, p)
		}
	}
	if len(o.list("hosts")) == 0 {
		r.errorf(o.values["hosts"], "leave hosts out for all allowed domains, or name some", "%s is empty", o.at("hosts"))
	}
	return hosts
}

// covered reports whether each pattern lies within one of the others.
func covered(inner, outer []HostPattern) bool {
	return !slices.ContainsFunc(inner, func(q HostPattern) bool {
		return !slices.ContainsFunc(outer, func(p HostPattern) bool { return p.Covers(q) })
	})
}

var errNoWildcard = errors.New("a wildcard cannot be sent")
