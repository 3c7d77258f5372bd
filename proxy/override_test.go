package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Some servers let a header change a request's method or path.
func TestAHeaderCannotAskForWhatTheActionForbids(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(strings.Replace(bearerManifest, `"]}`, `"], allowed_methods: [GET, POST], allowed_paths: [/ok]}`, 1))
	c := h.client(run, tok)
	for _, name := range []string{"X-HTTP-Method-Override", "x-http-method", "X-Method-Override"} {
		resp, body := get(t, c, h.url("/ok"), name, "DELETE")
		denied(t, resp, body, EgressDenied)
		if resp, _ := get(t, c, h.url("/ok"), name, "post"); resp.StatusCode != 200 {
			t.Errorf("%s to an allowed method: %s", name, resp.Status)
		}
	}
	for _, name := range []string{"X-Original-URL", "X-Rewrite-URL"} {
		resp, body := get(t, c, h.url("/ok"), name, "/admin")
		denied(t, resp, body, EgressDenied)
	}
	run, tok = h.open(bearerManifest)
	if resp, _ := get(t, h.client(run, tok), h.url("/any"), "X-HTTP-Method-Override", "DELETE", "X-Original-URL", "/x"); resp.StatusCode != 200 {
		t.Errorf("an action without rules: %s", resp.Status)
	}
}

// A client that builds the path with its key in it puts its placeholder there.
func TestAPlaceholderInAnOwnedPathPrefixIsReplacedByTheStamp(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(`
action_id: bot
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"], allowed_paths: [/getMe]}
secrets: [{name: TOKEN, inject: [{as: path, format: "/bot{value}"}]}]
`, func(c *RunConfig) { c.Placeholders = map[string]string{"TOKEN": "123:" + phToken} })
	c := h.client(run, tok)
	for _, path := range []string{"/getMe", "/bot123:" + phToken + "/getMe"} {
		if resp, body := get(t, c, h.url(path)); resp.StatusCode != 200 {
			t.Fatalf("%s: %s %s", path, resp.Status, body)
		}
		if got := h.origin.last(t).RequestURI; !strings.HasPrefix(got, "/bottok-") || !strings.HasSuffix(got, "/getMe") || strings.Contains(got, phToken) {
			t.Errorf("%s went out as %s", path, got)
		}
	}
	for _, path := range []string{"/bot123:" + phToken + "x/getMe", "/x/bot123:" + phToken + "/getMe", "/bot123:" + phToken + "/admin"} {
		if resp, _ := get(t, c, h.url(path)); resp.StatusCode != 403 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestASecretThatWasNeverSentIsNotCountedAsInjected(t *testing.T) {
	h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) { w.Upstream.AllowPrivate = []netip.Prefix{} })
	run, tok := h.open(bearerManifest)
	resp, body := get(t, h.client(run, tok), h.url("/"))
	denied(t, resp, body, PrivateAddress)
	if n := testutil.ToFloat64(h.wire.metrics.injections.WithLabelValues("api", "TOKEN", "api.localhost:"+h.origin.port)); n != 0 {
		t.Errorf("counted %v times", n)
	}
}
