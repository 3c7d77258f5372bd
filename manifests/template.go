package manifests

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// variable is an argument in a template: {{name}}, or {{word:name}} where the
// renderer is to treat it in a way of its own.
var variable = regexp.MustCompile(`\{\{\s*(?:[a-z_]+:)?([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}`)

func (r *reader) template(parent object, m *Manifest) *Template {
	builtin := m.ProviderModuleDigest == BuiltinHTTPAPI
	switch {
	case !parent.has("template") && builtin:
		r.errorf(parent.near("provider_module_digest"), "write template: with method and url_template", "template is missing: %s has nothing to send", BuiltinHTTPAPI)
		return nil
	case !parent.has("template"):
		return nil
	case !builtin:
		r.errorf(parent.values["template"], "write provider_module_digest: "+BuiltinHTTPAPI, "template is sent by %s only", BuiltinHTTPAPI)
	}
	o := parent.child("template", "method", "url_template", "headers", "body_template")
	if !o.ok {
		return nil
	}
	t := &Template{URLTemplate: o.text("url_template"), Method: strings.ToUpper(o.text("method"))}
	r.templateMethod(o, t.Method, &m.Egress)
	r.templateURL(o, t.URLTemplate, &m.Egress)
	r.variables(o.values["url_template"], o.at("url_template"), t.URLTemplate, m.IO.RequestSchema)
	t.Headers = r.templateHeaders(o, m.IO.RequestSchema)
	if body := o.values["body_template"]; body != nil {
		var ok bool
		if t.BodyTemplate, ok = r.json(body, o.at("body_template")); ok {
			r.bodyVariables(body, o.at("body_template"), m.IO.RequestSchema)
		}
	}
	return t
}

func (r *reader) templateMethod(o object, method string, e *Egress) {
	switch {
	case method == "":
		r.errorf(o.near("method"), "write method: GET, or another", "template.method is missing")
	case !isToken(method):
		r.errorf(o.values["method"], "write a method such as GET", "template.method: %q is not a method", method)
	case len(e.AllowedMethods) > 0 && !slices.Contains(e.AllowedMethods, method):
		r.errorf(o.values["method"], "add it to egress.allowed_methods", "template.method: egress does not allow %s", method)
	}
}

// templateURL checks the scheme, and the host as far as it is known: where a
// variable names it, some allowed domain must be able to end as it does.
func (r *reader) templateURL(o object, url string, e *Egress) {
	n := o.near("url_template")
	if url == "" {
		r.errorf(n, `write url_template: "https://…"`, "template.url_template is missing")
		return
	}
	fixed := variable.ReplaceAllString(url, "")
	if strings.Contains(fixed, "{{") || strings.Contains(fixed, "}}") {
		r.errorf(n, "write {{name}}", "template.url_template: braces that hold no variable")
		return
	}
	if strings.HasPrefix(url, "{{") && !strings.Contains(url, "://") {
		return // the whole of it is an argument; the wire checks it
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme != "https" && scheme != "http" || strings.ContainsAny(fixed, "\\ \t\r\n") {
		r.errorf(n, `write url_template: "https://…"`, "template.url_template: %q is not an https URL", url)
		return
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	if e.Profile == ProfilePassthrough && scheme == "https" {
		return
	}
	target, err := templateTarget(authority, scheme)
	switch {
	case err != nil:
		r.errorf(n, "write https://, a host and a path", "template.url_template: %q: %v", authority, err)
	case scheme == "http" && !isLoopback(target.host):
		r.errorf(n, "write https://", "template.url_template: plain http to another machine")
	case len(e.AllowedDomains) == 0 && e.Profile == ProfileAllowlist:
		// said already, by a note
	case !slices.ContainsFunc(e.AllowedDomains, func(p HostPattern) bool { return reaches(p, target) }):
		r.errorf(n, "add the host to egress.allowed_domains", "template.url_template: egress does not allow %s", authority)
	}
}

// templateTarget returns the host and port of a URL. Of a host that a variable
// begins it returns the pattern of what follows the variable.
func templateTarget(authority, scheme string) (HostPattern, error) {
	_, tail, named := cutLast(authority, "}}")
	if named {
		authority = "v" + tail // any label stands for the variable
	}
	target, err := ParseHostPattern(authority)
	if err != nil {
		return HostPattern{}, err
	}
	if target.port == 0 {
		target.port = 443
		if scheme == "http" {
			target.port = 80
		}
	}
	if named {
		target.host, target.wild = target.host[1:], true
	}
	return target, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// reaches reports whether some host of the target is one that p matches.
func reaches(p, target HostPattern) bool {
	if !p.matchPort(target.port) {
		return false
	}
	if !target.wild {
		return p.matchHost(target.host)
	}
	return strings.HasSuffix(p.host, target.host) || p.wild && strings.HasSuffix(target.host, p.host)
}

func isLoopback(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "127.") || host == "::1"
}

func (r *reader) templateHeaders(o object, schema map[string]any) map[string]string {
	n := o.values["headers"]
	if n == nil || !r.kind(n, yaml.MappingNode, o.at("headers")) {
		return nil
	}
	headers := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, path := n.Content[i], o.at("headers")+"."+n.Content[i].Value
		name, ok := r.headerName(key, path)
		value, fine := r.scalarText(n.Content[i+1], path)
		switch {
		case !ok || !fine:
			continue
		case hasControl(value):
			r.errorf(n.Content[i+1], "write one line", "%s: a control character cannot stand in a header", path)
		}
		if _, twice := headers[name]; twice {
			r.errorf(key, "keep one", "%s: header %s stands twice", path, name)
		}
		r.variables(n.Content[i+1], path, value, schema)
		headers[name] = value
	}
	return headers
}

// headerName checks the name of a header that latchgate is to write and
// returns it in canonical form.
func (r *reader) headerName(n *yaml.Node, path string) (string, bool) {
	name, ok := r.scalarText(n, path)
	if !ok {
		return "", false
	}
	if !isToken(name) {
		r.errorf(n, "write a name such as X-Api-Key", "%s: %q is not a header name", path, name)
		return "", false
	}
	name = http.CanonicalHeaderKey(name)
	// SECURITY: whoever writes one of these decides where a message ends or
	// which host it is for.
	if slices.Contains(framing, name) || strings.HasPrefix(name, "Proxy-") {
		r.errorf(n, "write the header that the service authenticates by", "%s: %s belongs to the connection", path, name)
		return "", false
	}
	return name, true
}

// framing are the headers that only the wire writes (RFC 9110 section 7.6.1,
// RFC 9112 section 6).
var framing = []string{"Connection", "Content-Length", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

func (r *reader) bodyVariables(n *yaml.Node, path string, schema map[string]any) {
	if n.Kind == yaml.ScalarNode {
		r.variables(n, path, n.Value, schema)
	}
	for _, c := range n.Content {
		r.bodyVariables(c, path, schema)
	}
}

// variables checks that what a template names is an argument. It can tell only
// where the schema lists them and lets in no others.
func (r *reader) variables(n *yaml.Node, path, text string, schema map[string]any) {
	properties, ok := schema["properties"].(map[string]any)
	if more, said := schema["additionalProperties"].(bool); !ok || !said || more {
		return
	}
	for _, v := range variable.FindAllStringSubmatch(text, -1) {
		if _, ok := properties[v[1]]; ok || placeholderVariable.MatchString(v[0]) {
			continue
		}
		hint := "add it to io.request_schema.properties"
		if near := nearest(v[1], slices.Sorted(maps.Keys(properties))); near != "" {
			hint = "write {{" + near + "}}"
		}
		r.errorf(n, hint, "%s: %s is not an argument of the action", path, v[0])
	}
}
