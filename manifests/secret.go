package manifests

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/latchgate/latchgate/secrets"
)

var (
	envForm        = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	envForbidden   = regexp.MustCompile(`[^A-Za-z0-9_]`)
	randomPart     = regexp.MustCompile(`\{random:([0-9]{1,3})\}`)
	placeholderFix = regexp.MustCompile(`^[A-Za-z0-9._~:@/+=-]*$`)
)

// A placeholder must not be guessable: 22 characters of base62 hold 131 bits.
const (
	leastRandom = 22
	mostRandom  = 256
)

func (r *reader) secrets(parent object, e *Egress) []Secret {
	var found []Secret
	var nodes []*yaml.Node
	names, envs := map[string]int{}, map[string]int{}
	for _, it := range parent.list("secrets") {
		o := r.object(it.node, it.path, "name", "required", "env", "placeholder", "inject")
		if !o.ok {
			continue
		}
		s := Secret{Name: r.secretName(o), Required: o.flag("required"), Placeholder: r.placeholder(o)}
		s.Env = r.env(o, s.Name)
		once(r, o, "name", s.Name, names)
		once(r, o, "env", s.Env, envs)
		s.Inject = r.inject(o, &s, e)
		found, nodes = append(found, s), append(nodes, it.node)
	}
	r.shadowed(found, nodes)
	return found
}

func once(r *reader, o object, key, value string, seen map[string]int) {
	if line := seen[value]; line != 0 && value != "" {
		r.errorf(o.near(key), "write another", "%s: %q is on line %d already", o.at(key), value, line)
		return
	}
	seen[value] = o.near(key).Line
}

func (r *reader) secretName(o object) string {
	if !o.has("name") {
		r.errorf(o.node, "write name: and the key of the secrets file", "%s.name is missing", o.path)
	}
	return o.match("name", secrets.ValidName, "write a letter or _ and then up to 127 of A-Z a-z 0-9 _ . -")
}

func (r *reader) env(o object, name string) string {
	env, ok := name, name != ""
	if o.has("env") {
		env, ok = r.scalarText(o.values["env"], o.at("env"))
	}
	if ok && !envForm.MatchString(env) {
		r.errorf(o.near("env"), "write env: "+envLike(env), "%s: %q is not the name of a variable", o.at("env"), env)
		return ""
	}
	return env
}

// envLike gives a variable's name that resembles s.
func envLike(s string) string {
	switch s = envForbidden.ReplaceAllString(s, "_"); {
	case s == "":
		return "MY_TOKEN"
	case '0' <= s[0] && s[0] <= '9':
		return "_" + s
	}
	return s
}

// placeholder checks the shape: enough random characters, and around them only
// such as pass through a header, a query and a JSON string as they are.
func (r *reader) placeholder(o object) string {
	if !o.has("placeholder") {
		return DefaultPlaceholder
	}
	shape, ok := r.scalarText(o.values["placeholder"], o.at("placeholder"))
	if !ok {
		return ""
	}
	random := 0
	for _, part := range randomPart.FindAllStringSubmatch(shape, -1) {
		n, _ := strconv.Atoi(part[1])
		random += n
	}
	n, path := o.values["placeholder"], o.at("placeholder")
	switch fixed := randomPart.ReplaceAllString(shape, ""); {
	case random < leastRandom:
		r.errorf(n, fmt.Sprintf("write {random:%d} or more", leastRandom), "%s: %d random characters can be guessed, 128 bits need %d", path, random, leastRandom)
	case random > mostRandom || len(fixed) > mostRandom:
		r.errorf(n, fmt.Sprintf("at most %d characters", mostRandom), "%s: too long", path)
	case !placeholderFix.MatchString(fixed):
		r.errorf(n, "write {random:N}, and beside it only A-Z a-z 0-9 and . _ ~ : @ / + = -", "%s: %q cannot be a token", path, shape)
	}
	return shape
}

// inject reads the bindings of a secret, or makes the default one, and says so
// where the secret can never be sent.
func (r *reader) inject(o object, s *Secret, e *Egress) []Binding {
	before := len(r.problems)
	var bindings []Binding
	for _, it := range o.list("inject") {
		if b, ok := r.binding(it, e); ok {
			bindings = append(bindings, b)
		}
	}
	if !o.has("inject") && len(e.AllowedDomains) > 0 {
		bindings = []Binding{{As: Bearer, Hosts: e.AllowedDomains, Line: o.node.Line}}
	}
	if len(bindings) > 0 || HasErrors(r.problems[before:]) {
		return bindings
	}
	why, hint := "inject is an empty list", "leave inject out, or write a binding"
	if len(e.AllowedDomains) == 0 {
		why, hint = "the action reaches no host that may have it", "write the hosts into egress.allowed_domains"
	}
	switch {
	case s.Required:
		r.errorf(o.near("inject"), hint, "secret %s is required and no binding can place it: %s", s.Name, why)
	default:
		r.notef(o.near("inject"), hint, "secret %s is never sent: %s", s.Name, why)
	}
	return nil
}

// shadowed reports required secrets that are never sent because every one of
// their bindings writes where an earlier required secret always writes first.
func (r *reader) shadowed(found []Secret, nodes []*yaml.Node) {
	for i := range found {
		s := &found[i]
		if !s.Required || len(s.Inject) == 0 {
			continue
		}
		by := ""
		for j := range s.Inject {
			if by = overwrites(found[:i], &s.Inject[j]); by == "" {
				break
			}
		}
		if by != "" {
			r.errorf(nodes[i], "write an inject with the header that the service wants",
				"secret %s is required and no binding can place it: %s is written to the same place first", s.Name, by)
		}
	}
}

// overwrites returns the name of the required secret among earlier that writes
// b's place on every request that b covers; "" where there is none.
func overwrites(earlier []Secret, b *Binding) string {
	for _, s := range earlier {
		for i := range s.Inject {
			a := &s.Inject[i]
			if s.Required && a.place() == b.place() && b.place() != "" && len(a.Methods)+len(a.Paths)+len(a.ExceptPaths) == 0 && covered(b.Hosts, a.Hosts) {
				return s.Name
			}
		}
	}
	return ""
}

// place names the one field of a request that b writes, so that two bindings
// can be compared; "" for a kind that can share its place.
func (b *Binding) place() string {
	switch b.As {
	case Bearer, Basic:
		return "header authorization"
	case Header:
		return "header " + strings.ToLower(strings.ReplaceAll(b.Header, "_", "-"))
	case Query:
		return "query " + b.Param
	case Path:
		return "path"
	}
	return ""
}
