package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const itemManifest = `action_id: create_item
description: Create an item.
risk_level: medium
provider_module_digest: builtin:http_api
required_imports: [latchgate:io/http, latchgate:io/log]
template:
  method: POST
  url_template: "https://api.example.com/items/{{owner}}"
  headers: {Accept: application/json}
  body_template: {title: "{{title}}", count: "{{count}}"}
io:
  request_schema:
    type: object
    required: [owner, title]
    additionalProperties: false
    properties:
      owner: {type: string, pattern: "^[a-z]{1,20}$"}
      title: {type: string}
      count: {type: integer, default: 1}
egress: {profile: proxy_allowlist, allowed_domains: [api.example.com], allowed_methods: [POST], allowed_paths: ["/items/*"]}
secrets: [{name: API_TOKEN, required: true}]
`

func TestRunExecutesAnActionAndPrintsItsResult(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write("manifests/item.yaml", itemManifest)
			h.write("args.json", `{"owner": "somebody", "title": "from a file", "count": 3}`)
			served := h.serving(mode.daemon)

			o := h.must("run", "create_item", "owner=golang", `title=A "quoted" title = yes`)
			var result struct {
				OK     *bool
				Status int
			}
			if err := json.Unmarshal([]byte(o.stdout), &result); err != nil || result.Status != 200 {
				t.Errorf("%v %s", err, o.stdout)
			}
			if strings.Count(o.stdout, "***REDACTED***") < 2 {
				t.Errorf("the upstream's echo is not scrubbed: %s", o.stdout)
			}
			noSecret(t, "the result", o.stdout+o.stderr)
			arrived := h.authenticatedOnce(apiHost, "/items/golang")
			if arrived.Get("Accept") != "application/json" || !strings.HasPrefix(arrived.Get("Content-Type"), "application/json") {
				t.Errorf("%v", arrived["Content-Type"])
			}
			h.bodyIs("/items/golang", `{"count":1,"title":"A \"quoted\" title = yes"}`)

			h.must("run", "create_item", "--args", "args.json", "count=4")
			h.bodyIs("/items/somebody", `{"count":4,"title":"from a file"}`)
			if o := h.runWith(`{"owner":"stdin","title":"t"}`, nil, "run", "create_item", "--args", "-", "--json"); o.status != 0 || !strings.Contains(o.stdout, `"run": "run-`) || !strings.Contains(o.stdout, `"io_calls": 1`) {
				t.Errorf("%+v", o)
			}

			for _, c := range []struct {
				args   []string
				status int
				says   []string
			}{
				{[]string{"create_item", "owner=golang"}, 1, []string{"the arguments are not what the action takes", "title", "actions show create_item"}},
				{[]string{"create_item", "owner=../admin", "title=t"}, 1, []string{"owner: does not satisfy pattern"}},
				{[]string{"create_item", "owner=golang", "title=t", "extra=1"}, 1, []string{"extra"}},
				{[]string{"create_item", "owner=golang", "title=t", "count=many"}, 2, []string{"argument count must be integer"}},
				{[]string{"create_item", "owner"}, 2, []string{"not key=value"}},
				{[]string{"creat_item"}, 1, []string{`there is no action "creat_item"`, `did you mean "create_item"?`}},
				{[]string{"api"}, 1, []string{"action api has no provider", "latchgate exec --action api"}},
			} {
				o := h.run(append([]string{"run"}, c.args...)...)
				if o.status != c.status || o.stdout != "" || !strings.Contains(o.stderr, "latchgate: ") || !strings.Contains(o.stderr, "\n  ") {
					t.Errorf("%v: status %d, want %d\n%s%s", c.args, o.status, c.status, o.stdout, o.stderr)
				}
				for _, s := range c.says {
					if !strings.Contains(o.stderr, s) {
						t.Errorf("%v: no %q in:\n%s", c.args, s, o.stderr)
					}
				}
				if strings.Contains(o.stderr, "../admin") {
					t.Errorf("%v: the value is repeated:\n%s", c.args, o.stderr)
				}
			}

			h.origin.wantAPI("something else")
			if o := h.run("run", "create_item", "owner=refused", "title=t"); o.status != 1 || !strings.Contains(o.stdout, "401") {
				t.Errorf("an upstream that says no: %+v", o)
			}
			if n := len(h.origin.at(apiHost, "")); n != 4 {
				t.Errorf("%d requests arrived, want 4", n)
			}
			served()
			h.noSecretOnDisk()
		})
	}
}

// bodyIs checks the JSON body of the one request that arrived at the path.
func (h *home) bodyIs(path, want string) {
	h.t.Helper()
	got := h.origin.at(apiHost, path)
	if len(got) != 1 || strings.TrimSpace(got[0].Body) != want {
		h.t.Errorf("%s got %d requests, want one with the body %s: %+v", path, len(got), want, got)
	}
}
