package proxy

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestExactlyOneCredentialArrivesAndTheEchoIsScrubbed(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	for _, h2 := range []bool{false, true} {
		client := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = h2 })
		resp, body := get(t, client, h.url("/echo?a=1"))
		if got := h.origin.last(t).Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+token {
			t.Fatalf("the origin saw Authorization %q", got)
		}
		if resp.StatusCode != 200 || strings.Contains(body, token) || !strings.Contains(body, "Bearer ***REDACTED***") {
			t.Fatalf("%s: %q", resp.Status, body)
		}
		if got := resp.Header.Get("Content-Length"); got != fmt.Sprint(len(body)) {
			t.Errorf("Content-Length %q of %d bytes", got, len(body))
		}
		for name := range h.origin.last(t).Header {
			if strings.HasPrefix(name, "Proxy-") {
				t.Errorf("%s reached the origin", name)
			}
		}
	}
}

func TestBindings(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		name, inject string
		send         []string // headers of the client
		query        string
		wantQuery    string
		want         map[string]string // header at the origin, "" for none
	}{
		{"basic", `{as: basic, username: x-access-token}`, []string{"Authorization", "Basic bWluZQ=="}, "", "",
			map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+token))}},
		{"header", `{as: header, header: X-Api-Key, format: "key={value}"}`, []string{"x-api-key", "mine", "X_Api_Key", "mine", "X-API_KEY", "mine", "Authorization", "Bearer mine"}, "", "",
			map[string]string{"X-Api-Key": "key=" + token, "X_api_key": "", "X-Api_key": "", "Authorization": "Bearer mine"}},
		{"query", `{as: query, param: api_key}`, nil, "b=2&API-KEY=mine&a=1%20x&api%5Fkey=mine&c", "b=2&a=1%20x&c&api_key=" + url.QueryEscape(token), map[string]string{"Authorization": ""}},
		{"query alone", `{as: query, param: key}`, nil, "key=mine", "key=" + url.QueryEscape(token), nil},
		{"bearer replaces", `{as: bearer}`, []string{"Authorization", "Bearer mine", "AUTHORIZATION", "Bearer mine2"}, "", "", map[string]string{"Authorization": "Bearer " + token}},
		{"method does not match", `{as: bearer, methods: [POST]}`, []string{"Authorization", "Bearer mine"}, "", "", map[string]string{"Authorization": "Bearer mine"}},
		{"path does not match", `{as: bearer, paths: ["/other/**"]}`, nil, "", "", map[string]string{"Authorization": ""}},
		{"path is excepted", `{as: bearer, except_paths: ["/x"]}`, nil, "", "", map[string]string{"Authorization": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run, tok := h.open(strings.Replace(bearerManifest, "required: true", "inject: ["+c.inject+"]", 1))
			target := h.url("/x")
			if c.query != "" {
				target += "?" + c.query
			}
			resp, body := get(t, h.client(run, tok), target, c.send...)
			if resp.StatusCode != 200 {
				t.Fatalf("%s %s", resp.Status, body)
			}
			seen := h.origin.last(t)
			for name, want := range c.want {
				if got := strings.Join(seen.Header[name], "|"); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if seen.URL.RawQuery != c.wantQuery {
				t.Errorf("query %q, want %q", seen.URL.RawQuery, c.wantQuery)
			}
			if strings.Contains(body, token) {
				t.Errorf("the token came back: %q", body)
			}
		})
	}
	t.Run("path is excepted in another spelling", func(t *testing.T) {
		run, tok := h.open(strings.Replace(bearerManifest, "required: true", `inject: [{as: bearer, except_paths: ["/v1/*:delete", "/admin/**"]}]`, 1))
		for _, path := range []string{"/v1/x:delete", "/v1/x%3Adelete", "/admin/%61", "/x/../admin"} {
			get(t, h.client(run, tok), h.url(path))
			if seen := h.origin.last(t); seen.Header["Authorization"] != nil {
				t.Errorf("%s went out as %s, stamped", path, seen.RequestURI)
			}
		}
	})
	t.Run("path", func(t *testing.T) {
		run, tok := h.open(strings.Replace(bearerManifest, "required: true", `inject: [{as: path, format: "/bot{value}"}]`, 1))
		resp, body := get(t, h.client(run, tok), h.url("/getMe"))
		if want := "/bot" + url.PathEscape(token) + "/getMe"; resp.StatusCode != 200 || h.origin.last(t).RequestURI != want {
			t.Fatalf("%s %q: %s", resp.Status, h.origin.last(t).RequestURI, body)
		}
	})
}

func TestTheFirstAvailableSecretWritesAHeader(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(`
action_id: two
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: ABSENT}, {name: OTHER}, {name: TOKEN}]
`)
	get(t, h.client(run, tok), h.url("/"))
	if got := h.origin.last(t).Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+other {
		t.Fatalf("Authorization %q", got)
	}
}

func TestAMissingRequiredSecretIsNeverSentUnauthenticated(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(strings.Replace(bearerManifest, "TOKEN", "ABSENT", 1))
	resp, body := get(t, h.client(run, tok), h.url("/"))
	denied(t, resp, body, SecretUnavailable)
	t.Run("and one that the policy did not approve", func(t *testing.T) {
		run, tok := h.open(bearerManifest, func(c *RunConfig) { c.Grants[0].Secrets = nil })
		resp, body := get(t, h.client(run, tok), h.url("/"))
		denied(t, resp, body, SecretUnavailable)
	})
	t.Run("and one without any secrets file", func(t *testing.T) {
		run, tok := h.open(bearerManifest, func(c *RunConfig) { c.Secrets = nil })
		resp, body := get(t, h.client(run, tok), h.url("/"))
		denied(t, resp, body, SecretUnavailable)
	})
	t.Run("but an optional one leaves the header empty", func(t *testing.T) {
		run, tok := h.open(strings.Replace(bearerManifest, "TOKEN, required: true", "ABSENT", 1))
		get(t, h.client(run, tok), h.url("/"), "Authorization", "Bearer mine")
		if got := h.origin.last(t).Header["Authorization"]; len(got) != 0 {
			t.Fatalf("Authorization %q", got)
		}
	})
	if n := testutil.ToFloat64(h.wire.metrics.unavailable.WithLabelValues("api", "ABSENT")); n != 2 {
		t.Errorf("latchgate_secrets_unavailable_total is %v", n)
	}
}

func TestAValueWithALineBreakIsNeverSent(t *testing.T) {
	h := newHouse(t)
	for _, v := range []string{"a\r\nX-Injected: 1", "trailing-newline\n", "nul\x00byte"} {
		setSecrets(t, h.store, map[string]string{"BAD": v})
		for _, kind := range []string{"bearer", "basic, username: u", "header, header: X-K", "query, param: k"} {
			run, tok := h.open(strings.Replace(bearerManifest, "TOKEN, required: true", "BAD, inject: [{as: "+kind+"}]", 1))
			resp, body := get(t, h.client(run, tok), h.url("/"))
			denied(t, resp, body, SecretUnavailable)
		}
	}
	if n := len(h.origin.requests()); n != 0 {
		t.Fatalf("%d requests arrived", n)
	}
}

func TestSignedURLsAreNotStamped(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	for _, q := range []string{"X-Amz-Signature=1", "a=1&sig=2", "x-goog-signature=3"} {
		get(t, h.client(run, tok), h.url("/?"+q))
		if seen := h.origin.last(t); seen.Header["Authorization"] != nil || seen.URL.RawQuery != q {
			t.Fatalf("%s: Authorization %q, query %q", q, seen.Header["Authorization"], seen.URL.RawQuery)
		}
	}
}

func TestASecretIsNeverSentOverPlainHTTP(t *testing.T) {
	h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) { w.Upstream.AllowPrivate = nil })
	run, tok := h.open(strings.Replace(bearerManifest, `"api.localhost:PORT"`, `"api.localhost:PORT", "api.example.com"`, 1))
	client := h.client(run, tok)
	resp, body := get(t, client, "http://api.localhost:"+h.origin.port+"/")
	denied(t, resp, body, InsecureTransport)
	resp, body = get(t, client, "http://api.example.com/")
	denied(t, resp, body, InsecureTransport)
	if n := len(h.origin.requests()); n != 0 {
		t.Fatalf("%d requests arrived", n)
	}
}
