package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy/dialguard"
)

const nowhere = "http://" + attackHost + "/"

// attackDoor attacks what does not depend on an action: who somebody is, where
// nobody may go, and heads that two programs read in two ways. All of it is
// aimed at a name that nothing has.
func (d *doctor) attackDoor(ctx context.Context, s *subject, targets []*manifests.Manifest) {
	d.group = "credentials"
	get := func(lines ...string) string {
		return message("GET "+nowhere+" HTTP/1.1", append([]string{"Host: " + attackHost}, lines...)...)
	}
	d.attackWithoutCredentials(ctx, s, get())
	got, err := s.send(ctx, get(credentials("run-000000000000", "nothing")))
	d.judge(s, "unknown run", got, err, broken, "run_unknown")
	run := d.anyRun(ctx, s, targets)
	if run == nil {
		return
	}
	defer s.end(run.ID)
	got, err = s.send(ctx, get(credentials(run.ID, "wrong"+run.Token[min(5, len(run.Token)):])))
	d.judge(s, "wrong token", got, err, broken, "run_unknown")
	got, err = s.send(ctx, get(authorizing(run), credentials(run.ID, "second")))
	d.judge(s, "two credentials", got, err, broken, "run_unknown")
	d.attackExpired(ctx, s, run.Actions, get)
	d.group = "door"
	if m, ok := d.catalog.Get(run.Actions[0]); ok && m.Egress.Profile == manifests.ProfilePassthrough {
		d.ok("hosts", "not tried: any host is allowed", "")
		return
	}
	for _, at := range []struct {
		name, raw string
		want      []string
	}{
		{"host not allowed", get(authorizing(run)), []string{"egress_denied"}},
		{"tunnel to it", message("CONNECT "+attackHost+":443 HTTP/1.1", "Host: "+attackHost+":443", authorizing(run)), []string{"egress_denied"}},
		{"user info in URL", message("GET http://user:password@"+attackHost+"/ HTTP/1.1", "Host: "+attackHost, authorizing(run)), []string{"bad_request"}},
		{"no absolute URL", message("GET / HTTP/1.1", "Host: "+attackHost, authorizing(run)), []string{"bad_request"}},
		{"backslash in host", message("GET http://"+attackHost+"\\@localhost/ HTTP/1.1", "Host: "+attackHost, authorizing(run)), []string{"bad_request"}},
		{"length twice", get(authorizing(run), "Content-Length: 5", "Content-Length: 6", "", "12345"), []string{"bad_request"}},
		{"length and chunks", get(authorizing(run), "Content-Length: 5", "Transfer-Encoding: chunked", "", "0", "", ""), []string{"bad_request", "egress_denied"}},
		{"unknown coding", get(authorizing(run), "Transfer-Encoding: chunked, identity", "", "0", "", ""), []string{"bad_request"}},
		{"folded field", get(authorizing(run), "X-Folded: one", " Content-Length: 5"), []string{"bad_request", "egress_denied"}},
		{"space before colon", get(authorizing(run), "Content-Length : 5", "", "12345"), []string{"bad_request"}},
		{"CR in a field", get(authorizing(run), "X-Split: one\rX-Other: two"), []string{"bad_request"}},
		{"oversized head", get(authorizing(run), "X-Long: "+strings.Repeat("x", 512<<10)), []string{"head_too_large"}},
	} {
		got, err := s.send(ctx, at.raw)
		d.judge(s, at.name, got, err, broken, at.want...)
	}
	d.attackHostTripwire(ctx, s, run)
}

// attackWithoutCredentials: a default run is meant to be there, and is worth a word.
func (d *doctor) attackWithoutCredentials(ctx context.Context, s *subject, raw string) {
	if s.out == nil && len(d.cfg.Proxy.DefaultActions) > 0 {
		d.warn("none", "a client without any gets a run of "+strings.Join(d.cfg.Proxy.DefaultActions, ", ")+": so does every user and every program of this machine",
			"where others have a login here: proxy.default_actions = [], and `latchgate exec` for each client")
		return
	}
	got, err := s.send(ctx, raw)
	d.judge(s, "none", got, err, broken, "run_unknown")
}

// anyRun is a run of the first action that opens, or nil: of one with hosts of
// its own, where there is one.
func (d *doctor) anyRun(ctx context.Context, s *subject, targets []*manifests.Manifest) *gate.OpenedRun {
	targets = slices.Clone(targets)
	slices.SortStableFunc(targets, func(x, y *manifests.Manifest) int {
		return cmp.Compare(rank(x.Egress.Profile == manifests.ProfilePassthrough), rank(y.Egress.Profile == manifests.ProfilePassthrough))
	})
	for _, m := range targets {
		if run, err := s.open(ctx, []string{m.ActionID}, attackTTL); err == nil {
			return run
		}
	}
	d.ok("a run's own", "not tried: no action opens a run", "`latchgate exec --action ACTION -- true` says why")
	return nil
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// attackExpired uses a run after its end.
func (d *doctor) attackExpired(ctx context.Context, s *subject, actions []string, get func(...string) string) {
	run, err := s.open(ctx, actions, time.Millisecond)
	if err != nil {
		d.fail("expired run", err.Error(), "open one yourself: latchgate env --ttl 1s --action "+actions[0])
		return
	}
	defer s.end(run.ID)
	select {
	case <-ctx.Done():
		return
	case <-time.After(time.Until(run.Expires) + time.Millisecond):
	}
	got, err := s.send(ctx, get(authorizing(run)))
	d.judge(s, "expired run", got, err, broken, "run_unknown")
}

var oneLabel = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// labelIn is a placeholder of the run that can be part of a host or of a field's
// name, "" where there is none.
func labelIn(run *gate.OpenedRun) string {
	for _, env := range slices.Sorted(maps.Keys(run.Placeholders)) {
		if oneLabel.MatchString(run.Placeholders[env]) {
			return run.Placeholders[env]
		}
	}
	return ""
}

// attackHostTripwire has a name that a resolver would be told of.
func (d *doctor) attackHostTripwire(ctx context.Context, s *subject, run *gate.OpenedRun) {
	if label := labelIn(run); label != "" {
		authority := label + "." + attackHost + ":443"
		got, err := s.send(ctx, message("CONNECT "+authority+" HTTP/1.1", "Host: "+authority, authorizing(run)))
		d.judge(s, "placeholder in host", got, err, broken, "tripwire", "bad_request")
	}
}

// inward are addresses that lead to this machine, to its neighbours, or to the
// one that hands out a cloud's credentials; each in several spellings.
var inward = []struct {
	name  string
	hosts []string
}{
	{"loopback", []string{"127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.1", "0.0.0.0", "[::]"}},
	{"private networks", []string{"10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[fd00::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]"}},
	{"link-local", []string{"169.254.0.1", "[fe80::1]", "[::ffff:169.254.0.1]"}},
	{"cloud metadata", []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "2852039166", "0xa9.0xfe.0xa9.0xfe", "169.254.170.2", "100.100.100.200", "168.63.129.16", "[fd00:ec2::254]"}},
}

// attackAddresses asks the closed proxy for addresses, and the dial guard, which
// judges what names resolve to, as the configuration has set it.
func (d *doctor) attackAddresses(ctx context.Context, s *subject, targets []*manifests.Manifest) {
	d.group = "addresses"
	run := d.anyRun(ctx, s, targets)
	if run != nil {
		defer s.end(run.ID)
	}
	guard := dialguard.New(d.cfg.Proxy.AllowPrivate)
	for _, in := range inward {
		var through, open []string
		for _, host := range in.hosts {
			if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && guard.Check(ip) == nil {
				open = append(open, host)
			}
			if run == nil || ctx.Err() != nil {
				continue
			}
			if left, refused := d.askFor(ctx, s, run, host+":9"); left || !refused {
				through = append(through, host)
			}
		}
		through = slices.Compact(through)
		switch {
		case len(through) > 0:
			d.fail(in.name, "NOT REFUSED by "+s.name+": "+firstOf(through), "take them out of egress.allowed_domains, and their networks out of proxy.allow_private")
		case len(open) > 0 && in.name == "link-local":
			d.fail(in.name, "a name that resolves to one may be dialled: "+firstOf(open), "take 169.254.0.0/16 and fe80::/10 out of proxy.allow_private: routers and clouds answer there")
		case len(open) > 0:
			d.ok(in.name, fmt.Sprintf("an action may name them: proxy.allow_private lists %v", d.cfg.Proxy.AllowPrivate), "list single addresses (10.1.2.3/32) where you can")
		default:
			d.ok(in.name, fmt.Sprintf("refused in %d spellings, and when a name resolves to one", len(in.hosts)), "")
		}
	}
}

// askFor asks for an address in both ways that there are. Port 9 is one that no
// action means which means the web. left: something would have gone out.
func (d *doctor) askFor(ctx context.Context, s *subject, run *gate.OpenedRun, authority string) (left, refused bool) {
	c, got, err := s.tunnel(ctx, run, authority)
	if c != nil { // intercepted: nobody has been dialled yet
		_ = c.Close()
		got, err = s.sendInside(ctx, run, authority, "", message("GET / HTTP/1.1", "Host: "+authority))
	}
	refused = err == nil && refusal(got)
	got, err = s.send(ctx, message("GET http://"+authority+"/ HTTP/1.1", "Host: "+authority, authorizing(run)))
	return len(s.out.take()) > 0, refused && err == nil && refusal(got)
}

// refusal: an answer of latchgate's own, before it dialled anybody.
func refusal(a reply) bool {
	return a.status >= 400 && a.code != "" && !strings.HasPrefix(a.code, "upstream_")
}

// methodsOutside are tried where an action lists its methods.
var methodsOutside = []string{http.MethodDelete, http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodGet, "LATCHGATE"}
