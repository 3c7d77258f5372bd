package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy/target"
)

// authority is a canonical host and port, the key under which a run remembers
// what it may do there.
type authority struct {
	host string
	port uint16
}

func (a authority) String() string {
	return target.Target{Host: a.host, Port: a.port}.Authority()
}

// rule is one action of a run, compiled at open.
type rule struct {
	action      *manifests.Manifest
	hosts       []manifests.HostPattern
	passthrough bool
	bindings    []binding
}

// binding is one entry of a manifest's inject list with the secret it belongs to.
type binding struct {
	*manifests.Binding
	action   string
	secret   string
	required bool
	approved bool          // the policy said yes to this secret
	index    int           // among all bindings of the run
	place    int           // what it writes, among all that bindings of the run write
	secrets  []string      // the secret alone, for the record
	injected *counterCache // of a route's bindings
	token    int           // among the run's placeholders; -1: none
}

func newRule(g Grant, ph *placeholders) *rule {
	m := g.Manifest
	ru := &rule{action: m}
	if m.Egress.Profile == manifests.ProfileNone {
		return ru
	}
	ru.hosts, ru.passthrough = m.Egress.AllowedDomains, m.Egress.Profile == manifests.ProfilePassthrough
	if g.Hosts != nil {
		ru.hosts, ru.passthrough = g.Hosts, false
	}
	for i := range m.Secrets {
		s := &m.Secrets[i]
		for j := range s.Inject {
			ru.bindings = append(ru.bindings, binding{
				Binding: &s.Inject[j], action: m.ActionID, secret: s.Name, required: s.Required, secrets: []string{s.Name},
				approved: slices.Contains(g.Secrets, s.Name), token: ph.index(s.Env),
			})
		}
	}
	return ru
}

// maxRoutes bounds the routes that a run remembers; past it they are worked
// out anew each time, so an agent that tries a million names fills no memory.
const maxRoutes = 1024

// route is all that a run may do at one authority. It is immutable.
type route struct {
	paths     []routePath // the actions that may reach it, in the run's order
	intercept bool        // a rule or a binding looks inside
	blind     bool        // only a passthrough action covers it: never a credential
	authority string      // host and port
	prefixes  []string    // of a path, which a path binding owns: its format with the placeholder in it
}

type routePath struct {
	*rule
	meters   *meters
	domain   string // the declared domain that matched: the only host label that metrics see
	bindings []binding
}

// route returns what the run may do at a, nil when nothing.
func (r *Run) route(a authority) *route {
	r.routeMu.RLock()
	rt := r.routes[a]
	r.routeMu.RUnlock()
	if rt != nil {
		return rt
	}
	if rt = r.findRoute(a); rt == nil {
		return nil
	}
	rt.authority = a.String()
	for i := range rt.paths {
		rt.paths[i].meters = &meters{}
	}
	r.routeMu.Lock()
	defer r.routeMu.Unlock()
	if len(r.routes) < maxRoutes {
		r.routes[a] = rt
	}
	return rt
}

func (r *Run) findRoute(a authority) *route {
	var rt *route
	for _, ru := range r.rules {
		i := slices.IndexFunc(ru.hosts, func(p manifests.HostPattern) bool { return p.Match(a.host, a.port) })
		if i < 0 {
			continue
		}
		if rt == nil {
			rt = &route{}
		}
		p := routePath{rule: ru, domain: ru.hosts[i].String()}
		for _, b := range ru.bindings {
			if slices.ContainsFunc(b.Hosts, func(h manifests.HostPattern) bool { return h.Match(a.host, a.port) }) {
				b.injected = &counterCache{}
				p.bindings = append(p.bindings, b)
				if b.As == manifests.Path && b.token >= 0 {
					rt.prefixes = append(rt.prefixes, strings.Replace(b.Format, "{value}", r.placeholders.tokens[b.token].token, 1))
				}
			}
		}
		rt.paths = append(rt.paths, p)
		rt.intercept = rt.intercept || len(p.bindings) > 0 ||
			len(ru.action.Egress.AllowedMethods) > 0 || len(ru.action.Egress.AllowedPaths) > 0
	}
	if rt != nil {
		return rt
	}
	for _, ru := range r.rules {
		if ru.passthrough {
			return &route{blind: true, paths: []routePath{{rule: ru, domain: "(passthrough)"}}}
		}
	}
	return nil
}

// permits reports whether the action lets this method go to this canonical path.
func (p *routePath) permits(method, path string) bool {
	e := &p.action.Egress
	return (len(e.AllowedMethods) == 0 || slices.Contains(e.AllowedMethods, method)) &&
		(len(e.AllowedPaths) == 0 || slices.ContainsFunc(e.AllowedPaths, func(g manifests.PathPattern) bool { return g.Match(path) }))
}

// The fields by which some servers let a request be another one than its first
// line says.
var (
	methodOverrides = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}
	pathOverrides   = []string{"X-Original-Url", "X-Rewrite-Url"}
)

// overrides refuses a request that asks the upstream to take it for one that
// the action does not permit, where the action has rules for that.
func (p *routePath) overrides(h http.Header, path string) *Denial {
	e := &p.action.Egress
	refuse := func(name string) *Denial {
		return &Denial{Code: EgressDenied, Message: "the header " + name + " asks for another request than the one that was checked",
			Hint: "send the request itself, without that header"}
	}
	if len(e.AllowedMethods) > 0 {
		for _, name := range methodOverrides {
			for _, method := range h[name] {
				if !p.permits(strings.ToUpper(method), path) {
					return refuse(name)
				}
			}
		}
	}
	if len(e.AllowedPaths) > 0 {
		for _, name := range pathOverrides {
			if len(h[name]) > 0 {
				return refuse(name)
			}
		}
	}
	return nil
}

// withoutPrefix takes from a path what a path binding owns: a client that was
// told to put its key there puts its placeholder.
func (rt *route) withoutPrefix(path string) string {
	if rt == nil {
		return path
	}
	for _, prefix := range rt.prefixes {
		if rest, ok := strings.CutPrefix(path, prefix); ok && rest == "" {
			return "/"
		} else if ok && rest[0] == '/' {
			return rest
		}
	}
	return path
}

// covers reports whether the binding applies to this method and canonical path.
func (b *binding) covers(method, path string) bool {
	match := func(g manifests.PathPattern) bool { return g.Match(path) }
	return (len(b.Methods) == 0 || slices.Contains(b.Methods, method)) &&
		(len(b.Paths) == 0 || slices.ContainsFunc(b.Paths, match)) &&
		!b.excepts(path)
}

// excepts reports whether the path is one that the binding stays away from. An
// upstream that decodes more than the canonical form does must not be reached
// at an excepted path by another spelling.
func (b *binding) excepts(path string) bool {
	if len(b.ExceptPaths) == 0 {
		return false
	}
	loose := target.Loosened(path)
	return slices.ContainsFunc(b.ExceptPaths, func(g manifests.PathPattern) bool { return g.Match(path) || g.Match(loose) })
}

// denyHost is the refusal of an authority that no action of the run covers.
func (r *Run) denyHost(a authority) *Denial {
	d := &Denial{Code: EgressDenied, Message: "no action of this run may reach " + a.String()}
	var allowed []string
	for _, ru := range r.rules {
		for _, h := range ru.hosts {
			if !slices.Contains(allowed, h.String()) {
				allowed = append(allowed, h.String())
			}
		}
	}
	switch {
	case len(r.rules) == 0:
		d.Hint = "the run has no action; open one with --action"
	case len(allowed) == 0:
		d.Hint = fmt.Sprintf("allowed: no host; to allow it, set egress.profile and egress.allowed_domains in %s", place(r.rules[0].action))
	default:
		d.Hint = fmt.Sprintf("allowed: %s; to allow it, add it to egress.allowed_domains in %s", list(allowed), place(r.rules[0].action))
	}
	return d
}

// denyRequest is the refusal of a method or path at a host that is allowed.
func (rt *route) denyRequest(method string) *Denial {
	var methods, paths []string
	pathAlone := false
	for i := range rt.paths {
		e := &rt.paths[i].action.Egress
		ok := len(e.AllowedMethods) == 0 || slices.Contains(e.AllowedMethods, method)
		pathAlone = pathAlone || ok
		if ok {
			for _, g := range e.AllowedPaths {
				paths = append(paths, g.String())
			}
		}
		methods = append(methods, e.AllowedMethods...)
	}
	where := place(rt.paths[0].action)
	if !pathAlone {
		return &Denial{Code: EgressDenied, Message: "this method is not allowed at this host",
			Hint: fmt.Sprintf("allowed: %s; to allow it, add it to egress.allowed_methods in %s", list(methods), where)}
	}
	return &Denial{Code: EgressDenied, Message: "this path is not allowed at this host",
		Hint: fmt.Sprintf("allowed: %s; to allow it, add it to egress.allowed_paths in %s", list(paths), where)}
}

// place says where a manifest stands, as file:line.
func place(m *manifests.Manifest) string { return fmt.Sprintf("%s:%d", m.File, m.Line) }

// list joins names for a hint, the first ten of them.
func list(names []string) string {
	names = slices.Compact(slices.Clone(names))
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + fmt.Sprintf(" and %d more", len(names)-10)
	}
	return strings.Join(names, ", ")
}
