package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy/target"
)

// attackTunnel attacks an intercepted tunnel, which no CONNECT makes anybody
// dial for. Should the rule in question not hold, the path, which no canonical
// form stands for, and the placeholder in a field's name still keep the request
// from going on: it is about a real host.
func (d *doctor) attackTunnel(ctx context.Context, s *subject, m *manifests.Manifest) {
	authority := hostAndPort(m)
	if authority == "" {
		d.ok("tunnel", "no secret is stamped anywhere", "")
		return
	}
	run, ok := d.openFor(ctx, s, m)
	if !ok {
		return
	}
	defer s.end(run.ID)
	if !d.reaches(ctx, s, run, authority) {
		return
	}
	net := netOf(run)
	for _, at := range []struct{ name, serverName, raw, want string }{
		{"inner Host", "", message("GET /%00 HTTP/1.1", "Host: "+attackHost, net), "target_mismatch"},
		{"inner port", "", message("GET /%00 HTTP/1.1", "Host: "+authority+"9", net), "target_mismatch"},
		{"server name", attackHost, message("GET /%00 HTTP/1.1", "Host: "+authority, net), "target_mismatch"},
		{"absolute URL", "", message("GET https://"+attackHost+"/%00 HTTP/1.1", "Host: "+authority, net), "target_mismatch"},
		{"CONNECT in tunnel", "", message("CONNECT "+attackHost+":443 HTTP/1.1", "Host: "+attackHost+":443", net), "bad_request"},
		{"path with NUL", "", message("GET /%00 HTTP/1.1", "Host: "+authority, net), "bad_request"},
		{"path with \\", "", message("GET /a\\..\\b HTTP/1.1", "Host: "+authority, net), "bad_request"},
		{"overlong path", "", message("GET /%c0%ae%c0%ae/ HTTP/1.1", "Host: "+authority, net), "bad_request"},
	} {
		got, err := s.sendInside(ctx, run, authority, at.serverName, at.raw)
		d.judge(s, at.name, got, err, broken, at.want)
	}
	got, err := s.sendHTTP2(ctx, run, authority, attackHost, "/%00")
	d.judge(s, ":authority", got, err, broken, "target_mismatch")
	d.attackRevoked(ctx, s, run, authority, net)
}

// reaches: a policy may have taken the action's own host away.
func (d *doctor) reaches(ctx context.Context, s *subject, run *gate.OpenedRun, authority string) bool {
	c, got, err := s.tunnel(ctx, run, authority)
	switch {
	case err != nil:
		d.judge(s, "tunnel", got, err, broken)
	case c == nil:
		d.ok("tunnel", fmt.Sprintf("refused by %s, so there is nothing to attack: %s", s.name, got), "")
	default:
		_ = c.Close()
	}
	return c != nil
}

// netOf is a field whose name holds a placeholder, which no binding ever allows.
func netOf(run *gate.OpenedRun) string {
	return "X-" + cmp.Or(labelIn(run), "Latchgate-Attack") + ": 1"
}

// attackRevoked ends a run while its tunnel is open.
func (d *doctor) attackRevoked(ctx context.Context, s *subject, run *gate.OpenedRun, authority, net string) {
	c, err := s.inside(ctx, run, authority, "", "http/1.1")
	if err != nil {
		d.judge(s, "ended run, open tunnel", reply{}, err, broken)
		return
	}
	defer func() { _ = c.Close() }()
	s.end(run.ID)
	got, err := ask(c, message("GET /%00 HTTP/1.1", "Host: "+authority, net))
	if err != nil { // cut
		d.ok("ended run, open tunnel", "cut by "+s.name, "")
		return
	}
	d.judge(s, "ended run, open tunnel", got, nil, broken, "run_unknown")
}

// attackAction attacks what the manifest says, through the closed proxy.
func (d *doctor) attackAction(ctx context.Context, s *subject, m *manifests.Manifest) {
	authority := hostAndPort(m)
	if authority == "" {
		return
	}
	run, ok := d.openFor(ctx, s, m)
	if !ok {
		return
	}
	defer s.end(run.ID)
	if !d.reaches(ctx, s, run, authority) {
		return
	}
	inside := func(raw string) (reply, error) { return s.sendInside(ctx, run, authority, "", raw) }
	method := http.MethodGet
	if len(m.Egress.AllowedMethods) > 0 {
		method = m.Egress.AllowedMethods[0]
	}
	if host, path := strings.TrimSuffix(authority, ":443"), pathIn(m, "x"); stamps(m, host, method, path) {
		got, err := s.send(ctx, message(fmt.Sprintf("%s http://%s%s HTTP/1.1", method, host, path), "Host: "+host, authorizing(run), "Content-Length: 0"))
		d.judge(s, "plain http", got, err, broken, "insecure_transport")
	} else {
		d.ok("plain http", "not tried: no secret would be stamped on "+path, "")
	}
	d.attackMethods(s, m, inside, authority)
	d.attackPaths(s, m, inside, authority, method)
	d.attackPlaceholders(s, m, run, inside, authority, method)
}

// stamps reports whether a binding covers this request over plain http.
func stamps(m *manifests.Manifest, host, method, path string) bool {
	match := func(p manifests.PathPattern) bool { return p.Match(path) }
	for _, s := range m.Secrets {
		for _, b := range s.Inject {
			if slices.ContainsFunc(b.Hosts, func(h manifests.HostPattern) bool { return h.Match(host, 80) }) &&
				(len(b.Methods) == 0 || slices.Contains(b.Methods, method)) &&
				(len(b.Paths) == 0 || slices.ContainsFunc(b.Paths, match)) && !slices.ContainsFunc(b.ExceptPaths, match) {
				return true
			}
		}
	}
	return false
}

// pathIn is a path that the action may ask for, with fill where it may be anything.
func pathIn(m *manifests.Manifest, fill string) string {
	if len(m.Egress.AllowedPaths) == 0 {
		return "/" + fill
	}
	return strings.ReplaceAll(strings.ReplaceAll(m.Egress.AllowedPaths[0].String(), "**", fill), "*", fill)
}

func (d *doctor) attackMethods(s *subject, m *manifests.Manifest, inside func(string) (reply, error), host string) {
	if len(m.Egress.AllowedMethods) == 0 {
		d.ok("method", "any: the manifest lists none", "where only reading is meant: egress.allowed_methods: [GET]")
		return
	}
	i := slices.IndexFunc(methodsOutside, func(x string) bool { return !slices.Contains(m.Egress.AllowedMethods, x) })
	got, err := inside(message(methodsOutside[i]+" "+pathIn(m, "x")+" HTTP/1.1", "Host: "+host, "Content-Length: 0"))
	d.judge(s, "method "+methodsOutside[i], got, err, broken, "egress_denied")
}

// tricks take a path that is allowed for one that is not.
var tricks = []string{"%s/../../../../../../latchgate-attack", "%s/%%2e%%2e/%%2e%%2e/%%2e%%2e/%%2e%%2e/%%2e%%2e/latchgate-attack",
	"%s%%2f..%%2f..%%2f..%%2f..%%2flatchgate-attack", "//latchgate-attack%.0s", "/latchgate-attack?%s", "/./latchgate-attack/.%.0s", "%s/..;/..;/..;/latchgate-attack"}

func (d *doctor) attackPaths(s *subject, m *manifests.Manifest, inside func(string) (reply, error), host, method string) {
	if len(m.Egress.AllowedPaths) == 0 {
		d.ok("path", "any: the manifest lists none", "where only some are meant: egress.allowed_paths")
		return
	}
	tried := 0
	for _, trick := range append([]string{"/latchgate-attack%.0s"}, tricks...) {
		path := fmt.Sprintf(trick, pathIn(m, "x"))
		bare, _, _ := strings.Cut(path, "?")
		canonical, err := target.CanonicalPath(bare)
		if err == nil && slices.ContainsFunc(m.Egress.AllowedPaths, func(p manifests.PathPattern) bool { return p.Match(canonical) }) {
			continue // a pattern as wide as that means it
		}
		got, err := inside(message(method+" "+path+" HTTP/1.1", "Host: "+host, "Content-Length: 0"))
		if left := s.out.take(); err != nil || len(left) > 0 || got.code != "egress_denied" && got.code != "bad_request" {
			d.fail("path", fmt.Sprintf("NOT REFUSED by %s: %s, answered %s", s.name, path, got), broken)
			return
		}
		tried++
	}
	d.ok("path", fmt.Sprintf("refused outside of egress.allowed_paths, in %d spellings", tried), "")
}

// attackPlaceholders carries a placeholder where no binding lets it stand.
func (d *doctor) attackPlaceholders(s *subject, m *manifests.Manifest, run *gate.OpenedRun, inside func(string) (reply, error), host, method string) {
	for i := range m.Secrets {
		secret := &m.Secrets[i]
		placeholder := run.Placeholders[secret.Env]
		if placeholder == "" {
			continue
		}
		parts := map[string]bool{}
		for _, b := range secret.Inject {
			for _, in := range b.In {
				parts[in] = true
			}
		}
		path := pathIn(m, "x")
		for _, at := range []struct{ part, path, line, body string }{
			{"path", pathIn(m, placeholder), "Content-Length: 0", ""},
			{manifests.InQuery, path + "?q=" + placeholder, "Content-Length: 0", ""},
			{manifests.InHeader, path, "X-Latchgate-Attack: " + placeholder, ""},
			{manifests.InBody, path, fmt.Sprintf("Content-Length: %d", len(placeholder)), placeholder},
		} {
			if parts[at.part] || at.part == "path" && !strings.Contains(at.path, placeholder) ||
				at.part == manifests.InBody && method == http.MethodGet {
				continue
			}
			got, err := inside(message(method+" "+at.path+" HTTP/1.1", "Host: "+host, at.line, "", at.body))
			d.judge(s, "placeholder in "+at.part, got, err, broken, "tripwire", "bad_request")
		}
		return // one secret stands for all
	}
}
