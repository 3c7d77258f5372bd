package proxy

import (
	"strings"
	"testing"
)

// A server that folds case and takes "_" for "-" must not get two credentials for one.
func TestBindingsThatALenientServerTakesForOneWriteOnePlace(t *testing.T) {
	h := newHouse(t)
	setSecrets(t, h.store, map[string]string{"A": "value-of-a-0123456789", "B": "value-of-b-0123456789", "C": "value-of-c-0123456789"})
	run, tok := h.open(`
action_id: several
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets:
  - {name: A, required: true, inject: [{as: header, header: X-Api-Key, format: "{value}"}, {as: query, param: api_key}]}
  - {name: B, required: true, inject: [{as: header, header: x_api_key, format: "{value}"}, {as: query, param: API-Key}]}
  - {name: C, required: true, inject: [{as: header, header: X-Api-Token, format: "{value}"}, {as: query, param: token}]}
`)
	if resp, _ := get(t, h.client(run, tok), h.url("/")); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	got := h.origin.last(t)
	if v := got.Header["X-Api-Key"]; len(v) != 1 || v[0] != "value-of-a-0123456789" {
		t.Errorf("X-Api-Key: %q", v)
	}
	for name := range got.Header {
		if strings.Contains(strings.ToLower(name), "_") {
			t.Errorf("%s: %q", name, got.Header[name])
		}
	}
	if v := got.Header["X-Api-Token"]; len(v) != 1 {
		t.Errorf("X-Api-Token: %q", v)
	}
	if q := got.URL.RawQuery; q != "api_key=value-of-a-0123456789&token=value-of-c-0123456789" {
		t.Error(q)
	}
}
