package manifests

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// placeholderVariable is {{placeholder:NAME}} in a template: the run's token
// for the secret of that name, which the wire replaces where a binding says so.
var placeholderVariable = regexp.MustCompile(`\{\{\s*placeholder:([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}`)

// WithPlaceholders returns the template with a run's tokens where it says
// {{placeholder:NAME}}; token gives the one for a secret. The provider that
// sends the template sees the token and never the secret. t is not changed.
func (t *Template) WithPlaceholders(token func(secret string) string) *Template {
	if !t.placeholders {
		return t
	}
	fill := func(s string, encode func(string) string) string {
		return placeholderVariable.ReplaceAllStringFunc(s, func(v string) string {
			return encode(token(placeholderVariable.FindStringSubmatch(v)[1]))
		})
	}
	plain := func(s string) string { return s }
	filled := *t
	filled.URLTemplate = fill(t.URLTemplate, url.QueryEscape)
	filled.Headers = maps.Clone(t.Headers)
	for name, value := range filled.Headers {
		filled.Headers[name] = fill(value, plain)
	}
	filled.BodyTemplate = mapText(t.BodyTemplate, func(s string) string { return fill(s, plain) })
	return &filled
}

// mapText returns a copy of a JSON value with every text in it changed; names
// of members stay.
func mapText(v any, change func(string) string) any {
	switch v := v.(type) {
	case string:
		return change(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = mapText(v[i], change)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for name := range v {
			m[name] = mapText(v[name], change)
		}
		return m
	}
	return v
}

// templatePlaceholders checks that each {{placeholder:NAME}} stands where the
// wire will put the secret: anywhere else it would trip.
func (r *reader) templatePlaceholders(o object, m *Manifest) {
	n := o.values["template"]
	if m.Template == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		path := o.at("template") + "." + key
		switch key {
		case "url_template":
			before, query, _ := strings.Cut(value.Value, "?")
			if placeholderVariable.MatchString(before) {
				r.errorf(value, "write it into the query, a header or the body", "%s: a placeholder cannot stand in a host or path", path)
			}
			r.placeholdersIn(value, path, query, InQuery, m)
		case "headers":
			eachText(value, func(n *yaml.Node) { r.placeholdersIn(n, path, n.Value, InHeader, m) })
		case "body_template":
			eachText(value, func(n *yaml.Node) { r.placeholdersIn(n, path, n.Value, InBody, m) })
		}
	}
}

func eachText(n *yaml.Node, visit func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode {
		visit(n)
	}
	for _, c := range n.Content {
		eachText(c, visit)
	}
}

func (r *reader) placeholdersIn(n *yaml.Node, path, text, place string, m *Manifest) {
	for _, v := range placeholderVariable.FindAllStringSubmatch(text, -1) {
		m.Template.placeholders = true
		i := slices.IndexFunc(m.Secrets, func(s Secret) bool { return s.Name == v[1] })
		if i < 0 {
			r.errorf(n, "declare it under secrets", "%s: %s is no secret of the action", path, v[1])
			continue
		}
		if !slices.ContainsFunc(m.Secrets[i].Inject, func(b Binding) bool { return b.As == Placeholder && slices.Contains(b.In, place) }) {
			r.errorf(n, "add {as: placeholder, in: ["+place+"]} to its inject", "%s: the wire does not replace the placeholder of %s in the %s", path, v[1], place)
		}
	}
}
