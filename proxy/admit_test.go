package proxy

import (
	"net/url"
	"slices"
	"testing"

	"github.com/latchgate/latchgate/manifests"
)

const admitted = `
action_id: reader
egress: {profile: proxy_allowlist, allowed_domains: [api.example.com], allowed_methods: [GET], allowed_paths: ["/v1/**"]}
secrets: [{name: READ_KEY}, {name: UNAPPROVED, inject: [{as: header, header: X-Other}]}]
---
action_id: writer
egress: {profile: proxy_allowlist, allowed_domains: [api.example.com], allowed_methods: [POST]}
secrets: [{name: WRITE_KEY, inject: [{as: bearer, paths: ["/v2/**"]}]}]
---
action_id: elsewhere
egress: {profile: passthrough, allowed_domains: [files.example.com]}
`

func TestAdmitSaysWhatTheWireWould(t *testing.T) {
	found, problems := manifests.Parse("admit.yaml", []byte(admitted))
	if manifests.HasErrors(problems) {
		t.Fatal(problems)
	}
	config := RunConfig{Principal: "alice"}
	for _, m := range found {
		var hosts []string
		for _, h := range m.Egress.AllowedDomains {
			hosts = append(hosts, h.String())
		}
		config.Grants = append(config.Grants, NewGrant(m, []string{"READ_KEY", "WRITE_KEY"}, hosts))
	}
	narrow := config
	narrow.Grants = config.Grants[:2]
	nowhere := RunConfig{Grants: []Grant{NewGrant(found[0], nil, nil)}}
	for _, c := range []struct {
		config        RunConfig
		method, url   string
		code          Code
		action, where string
		secrets       []string
		blind         bool
	}{
		{narrow, "GET", "https://API.example.com./v1/a/../b?q=1", "", "reader", "GET api.example.com:443 /v1/b", []string{"READ_KEY"}, false},
		{narrow, "POST", "https://api.example.com:443/v2/x", "", "writer", "POST api.example.com:443 /v2/x", []string{"WRITE_KEY"}, false},
		{narrow, "POST", "https://api.example.com/v1/x", "", "writer", "POST api.example.com:443 /v1/x", nil, false},
		{narrow, "GET", "https://api.example.com/v2/x", EgressDenied, "", "", nil, false},
		{narrow, "DELETE", "https://api.example.com/v1/x", EgressDenied, "", "", nil, false},
		{narrow, "GET", "https://other.example.com/", EgressDenied, "", "", nil, false},
		{nowhere, "GET", "https://api.example.com/v1/x", EgressDenied, "", "", nil, false},
		{narrow, "GET", "https://api.example.com/v1/%00", BadRequest, "", "", nil, false},
		{narrow, "GET", "https://me:pw@api.example.com/v1/x", BadRequest, "", "", nil, false},
		{narrow, "GET", "/v1/x", BadRequest, "", "", nil, false},
		{config, "GET", "https://other.example.com/a", "", "elsewhere", "CONNECT other.example.com:443 ", nil, true},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		a, denied := Admit(c.config, c.method, u)
		if denied != nil {
			if denied.Code != c.code {
				t.Errorf("%s %s: %v, want %q", c.method, c.url, denied, c.code)
			}
			continue
		}
		in := a.Input
		where := in.Method + " " + authority{in.Host, uint16(in.Port)}.String() + " " + in.Path
		if c.code != "" || in.Action != c.action || where != c.where || in.Principal != c.config.Principal || in.Run != "" ||
			!slices.Equal(a.Secrets, c.secrets) || a.Blind != c.blind {
			t.Errorf("%s %s: %+v", c.method, c.url, a)
		}
	}
}
