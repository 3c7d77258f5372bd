package main

import (
	"net/http"
	"strings"
	"testing"
)

const otherManifest = `action_id: other
egress: {profile: proxy_allowlist, allowed_domains: [other.example.com]}
`

// A host without bindings and rules is tunnelled blindly: the client sees the
// origin's own certificate, and no credential is anywhere near.
func TestHostWithoutRulesIsTunnelledBlindly(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/other.yaml", otherManifest)
			served := h.serving(mode.daemon)
			o := h.run("exec", "-a", "other", "-a", "api", "--", "sh", "-c", `curl -sSf --cacert origin-ca.pem -H "Authorization: Bearer mine" https://other.example.com/blind &&
curl -sSf https://other.example.com/untrusted; test $? = 60`)
			if o.status != 0 {
				t.Errorf("status %d\n%s%s", o.status, o.stdout, o.stderr)
			}
			if got := h.origin.at(otherHost, "/blind"); len(got) != 1 || got[0].Header.Get("Authorization") != "Bearer mine" {
				t.Errorf("%+v", got)
			}
			served()
			h.onlyChainCredentials()
		})
	}
}

// Plain http passes in absolute form, with the run's proxy credentials taken
// off on the way; a secret is never sent over it.
func TestPlainHTTPCarriesNoCredentialOfAnyKind(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	h.write("manifests/other.yaml", otherManifest)
	o := h.run("exec", "-a", "other", "-a", "api", "--", "sh", "-c", `curl -sSf -H "Proxy-Connection: keep-alive" -H "Connection: X-Mine" -H "X-Mine: 1" http://other.example.com/plain &&
curl -sS -w ' %{http_code}' http://api.example.com/plain`)
	if o.status != 0 || !strings.HasPrefix(o.stdout, "plain") || !strings.HasSuffix(o.stdout, " 403") || !strings.Contains(o.stdout, `"insecure_transport"`) {
		t.Fatalf("status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	asked := h.chain.connects()
	if len(asked) != 1 || asked[0].Method != http.MethodGet || asked[0].Host != otherHost || asked[0].Header["X-Mine"] != nil || asked[0].Header["Proxy-Connection"] != nil {
		t.Errorf("the upstream proxy got %+v", asked)
	}
	h.onlyChainCredentials()
}
