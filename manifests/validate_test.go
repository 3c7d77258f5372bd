package manifests

import (
	"strings"
	"testing"
)

// Each text follows "action_id: a" on line 1; "reach" stands for an egress
// block that lets the action reach api.x.com, on three lines.
const reach = "egress:\n  profile: proxy_allowlist\n  allowed_domains: [api.x.com]\n"

// binding is reach and a secret with one binding, which is on line 7.
func binding(b string) string {
	return reach + "secrets:\n  - name: T\n    inject:\n      - " + b + "\n"
}

// sends is reach and a template, on line 6.
func sends(t string) string {
	return reach + "provider_module_digest: builtin:http_api\ntemplate: " + t + "\n"
}

func schema(s string) string { return "io:\n  request_schema:\n    " + s + "\n" }

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var mistakes = []struct{ name, text, want string }{
	// keys and types
	{"unknown key", "desciption: x", `a.yaml:2: manifest: unknown key "desciption"; write "description"`},
	{"unknown key far from any", "io: {zzzzzzzz: 1}", `a.yaml:2: io: unknown key "zzzzzzzz"; keys here: request_schema, response_schema, max_request_bytes, max_response_bytes`},
	{"unknown key in a list", "secrets:\n  - name: T\n    requierd: true\n" + reach, `a.yaml:4: secrets[0]: unknown key "requierd"; write "required"`},
	{"unknown key of a binding", binding("{as: bearer, host: [api.x.com]}"), `a.yaml:8: secrets[0].inject[0]: unknown key "host"; write "hosts"`},
	{"key twice", "version: a\nversion: b", `a.yaml:3: manifest: key "version" stands twice; it stands on line 2 already: keep one`},
	{"number for text", "version: 1.0", `a.yaml:2: version: want text, got a number; put it in quotes: "1.0"`},
	{"list for text", "version: [a]", `a.yaml:2: version: want a single value, got a list`},
	{"text for a list", "tags: coding", `a.yaml:2: tags: want a list, got text`},
	{"list for a map", "egress: [a]", `a.yaml:2: egress: want a map, got a list`},
	{"text in quotes for a flag", `policy_args: "true"`, `a.yaml:2: policy_args: want true or false, got text; write true or false`},
	{"text for a number", "resource_limits: {memory_mb: 64MB}", `a.yaml:2: resource_limits.memory_mb: want a whole number, got text`},
	{"fraction for a number", "resource_limits: {memory_mb: 1.5}", `a.yaml:2: resource_limits.memory_mb: want a whole number, got a number`},
	{"flag in a list of text", "tags: [a, true]", `a.yaml:2: tags[1]: want text, got true or false; put it in quotes: "true"`},
	{"alias", "tags: &t [a]\ndeclared_side_effects: *t", `a.yaml:3: declared_side_effects: aliases are not supported; write the value out`},
	{"merge key", "io:\n  <<: {max_request_bytes: 1}", `a.yaml:3: io: unknown key "<<"; keys here: request_schema, response_schema, max_request_bytes, max_response_bytes`},
	{"binary", "version: !!binary aGk=", `a.yaml:2: version: want text, got !!binary; put it in quotes: "aGk="`},

	// who it is, how risky, how large
	{"risk level", "risk_level: hihg", `a.yaml:2: risk_level: "hihg" is not known; write high`},
	{"risk level far from any", "risk_level: enormous", `a.yaml:2: risk_level: "enormous" is not known; write one of low, medium, high, critical`},
	{"limit too large", "resource_limits: {timeout_seconds: 3601}", `a.yaml:2: resource_limits.timeout_seconds: 3601 is out of range; write a number from 1 to 3600`},
	{"limit too small", "resource_limits: {memory_mb: 0}", `a.yaml:2: resource_limits.memory_mb: 0 is out of range; write a number from 1 to 4096`},
	{"limit negative", "resource_limits: {max_io_calls: -1}", `a.yaml:2: resource_limits.max_io_calls: -1 is out of range; write a number from 0 to 10000`},
	{"io limit", "io: {max_request_bytes: 99999999999999999999}", `a.yaml:2: io.max_request_bytes: 99999999999999999999 is out of range; write a number from 1 to 1073741824`},
	{"fuel", "resource_limits: {fuel: 1}", `a.yaml:2: note: resource_limits.fuel is accepted and not used; the deadline and memory_mb bound a provider`},
	{"foreign key", "verifier_kind: http_status", `a.yaml:2: note: verifier_kind is accepted and not used; a result is checked by io.response_schema`},
	{"foreign scopes", "required_scopes: [tools:call]", `a.yaml:2: note: required_scopes is accepted and not used; who may run an action is for the policy to say`},
	{"foreign restriction", "fs: {denied_paths: [x]}", `a.yaml:2: fs is not supported; providers have no file system here`},
	{"foreign database", "database_config: {mode: strict}", `a.yaml:2: database_config is not supported; providers have no database here`},

	// provider
	{"digest too short", "provider_module_digest: sha256:abc", `a.yaml:2: provider_module_digest: "sha256:abc" is not a provider; write builtin:http_api or sha256:<64 hex digits>`},
	{"other builtin", "provider_module_digest: builtin:fs", `a.yaml:2: provider_module_digest: "builtin:fs" is not a provider; write builtin:http_api or sha256:<64 hex digits>`},
	{"digest without source", "provider_module_digest: " + digest, `a.yaml:1: provider_source is missing; write provider_source: and the .wasm file`},
	{"source without digest", "provider_source: a.wasm", `a.yaml:2: provider_source has no digest to be checked against; write its provider_module_digest: sha256:<64 hex digits>`},
	{"source with builtin", sends("{method: GET, url_template: 'https://api.x.com/'}") + "provider_source: a.wasm", `a.yaml:7: provider_source does not go with builtin:http_api; remove it`},
	{"import", "required_imports: [latchgate:io/fs]", `a.yaml:2: required_imports[0]: "latchgate:io/fs" is not offered; providers are offered latchgate:io/http and latchgate:io/log`},

	// template
	{"no template", "provider_module_digest: builtin:http_api", `a.yaml:2: template is missing: builtin:http_api has nothing to send; write template: with method and url_template`},
	{"template without builtin", reach + "template: {method: GET, url_template: 'https://api.x.com/'}", `a.yaml:5: template is sent by builtin:http_api only; write provider_module_digest: builtin:http_api`},
	{"no method", sends("{url_template: 'https://api.x.com/'}"), `a.yaml:6: template.method is missing; write method: GET, or another`},
	{"bad method", sends("{method: 'G T', url_template: 'https://api.x.com/'}"), `a.yaml:6: template.method: "G T" is not a method; write a method such as GET`},
	{"method not allowed", strings.Replace(sends("{method: PUT, url_template: 'https://api.x.com/'}"), "egress:", "egress:\n  allowed_methods: [GET]", 1), `a.yaml:7: template.method: egress does not allow PUT; add it to egress.allowed_methods`},
	{"no url", sends("{method: GET}"), `a.yaml:6: template.url_template is missing; write url_template: "https://…"`},
	{"url without scheme", sends("{method: GET, url_template: api.x.com/a}"), `a.yaml:6: template.url_template: "api.x.com/a" is not an https URL; write url_template: "https://…"`},
	{"other scheme", sends("{method: GET, url_template: 'ftp://api.x.com/a'}"), `a.yaml:6: template.url_template: "ftp://api.x.com/a" is not an https URL; write url_template: "https://…"`},
	{"plain http", sends("{method: GET, url_template: 'http://api.x.com/a'}"), `a.yaml:6: template.url_template: plain http to another machine; write https://`},
	{"braces", sends("{method: GET, url_template: 'https://api.x.com/{{a}'}"), `a.yaml:6: template.url_template: braces that hold no variable; write {{name}}`},
	{"host not allowed", sends("{method: GET, url_template: 'https://x.com/a'}"), `a.yaml:6: template.url_template: egress does not allow x.com; add the host to egress.allowed_domains`},
	{"port not allowed", sends("{method: GET, url_template: 'https://api.x.com:8443/a'}"), `a.yaml:6: template.url_template: egress does not allow api.x.com:8443; add the host to egress.allowed_domains`},
	{"host of a variable not allowed", sends("{method: GET, url_template: 'https://{{a}}.y.com/'}"), `a.yaml:6: template.url_template: egress does not allow {{a}}.y.com; add the host to egress.allowed_domains`},
	{"user in url", sends("{method: GET, url_template: 'https://api.x.com@y.com/'}"), `a.yaml:6: template.url_template: "api.x.com@y.com": '@' cannot stand in a host; write https://, a host and a path`},
	{"header name", sends("{method: GET, url_template: 'https://api.x.com/', headers: {'a b': c}}"), `a.yaml:6: template.headers.a b: "a b" is not a header name; write a name such as X-Api-Key`},
	{"header that frames", sends("{method: GET, url_template: 'https://api.x.com/', headers: {content-length: '3'}}"), `a.yaml:6: template.headers.content-length: Content-Length belongs to the connection; write the header that the service authenticates by`},
	{"header value", sends(`{method: GET, url_template: 'https://api.x.com/', headers: {X-A: "a\nb"}}`), `a.yaml:6: template.headers.X-A: a control character cannot stand in a header; write one line`},
	{"header twice", sends(`{method: GET, url_template: 'https://api.x.com/', headers: {X-A: a, x-a: b}}`), `a.yaml:6: template.headers.x-a: header X-A stands twice; keep one`},
	{"header number", sends(`{method: GET, url_template: 'https://api.x.com/', headers: {X-A: 1}}`), `a.yaml:6: template.headers.X-A: want text, got a number; put it in quotes: "1"`},
	{"body not JSON", sends(`{method: GET, url_template: 'https://api.x.com/', body_template: {a: .nan}}`), `a.yaml:6: template.body_template.a: .nan is not a JSON value; put it in quotes if it is text: ".nan"`},
	{"body key twice", sends(`{method: GET, url_template: 'https://api.x.com/', body_template: {a: 1, a: 2}}`), `a.yaml:6: template.body_template: key "a" stands twice; keep one`},
	{"variable unknown", sends("{method: GET, url_template: 'https://api.x.com/{{ownr}}'}") + schema("{additionalProperties: false, properties: {owner: {}}}"), `a.yaml:6: template.url_template: {{ownr}} is not an argument of the action; write {{owner}}`},
	{"variable unknown in the body", sends("{method: GET, url_template: 'https://api.x.com/', body_template: [{a: 'x {{path:zzzzz}}'}]}") + schema("{additionalProperties: false, properties: {owner: {}}}"), `a.yaml:6: template.body_template: {{path:zzzzz}} is not an argument of the action; add it to io.request_schema.properties`},

	// schemas
	{"schema of a file", "io: {request_schema: ./x.json}", `a.yaml:2: io.request_schema: want a JSON Schema, got text; write the schema itself here, or as $ref below $defs`},
	{"schema type", schema("properties:\n      a:\n        type: strin"), `a.yaml:6: io.request_schema: at '/properties/a/type': value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'; write a JSON Schema of draft 2020-12`},
	{"schema pattern", schema("{pattern: '(?=a)'}"), "a.yaml:4: io.request_schema: at '/pattern': '(?=a)' is not valid regex: error parsing regexp: invalid or unsupported Perl syntax: `(?=`; write a JSON Schema of draft 2020-12"},
	{"schema elsewhere", schema("{$ref: 'https://x.com/s'}"), `a.yaml:4: io.request_schema: $ref "https://x.com/s": a schema is not loaded from elsewhere; write a JSON Schema of draft 2020-12`},
	{"schema of a file by ref", schema("{$ref: 'file:///etc/passwd'}"), `a.yaml:4: io.request_schema: $ref "file:///etc/passwd": a schema is not loaded from elsewhere; write a JSON Schema of draft 2020-12`},
	{"schema ref to nothing", schema("{$ref: '#/a'}"), `a.yaml:4: io.request_schema: does not compile: json-pointer in "latchgate:///schema#/a" not found; write a JSON Schema of draft 2020-12`},
	{"schema key number", "io: {response_schema: {properties: {200: {}}}}", `a.yaml:2: io.response_schema.properties: want text, got a number; put it in quotes: "200"`},

	// egress
	{"profile", "egress: {profile: allowlist}", `a.yaml:2: egress.profile: "allowlist" is not known; write one of none, proxy_allowlist, passthrough`},
	{"rules without profile", "egress: {allowed_domains: [api.x.com]}", `a.yaml:2: egress: profile none reaches no host, so the rules beside it say nothing; write profile: proxy_allowlist`},
	{"no host", "egress: {profile: proxy_allowlist, allowed_domains: []}", `a.yaml:2: note: egress.allowed_domains is empty: the action reaches no host; write the hosts that the action needs`},
	{"url for a host", "egress: {profile: passthrough, allowed_domains: ['https://api.x.com']}", `a.yaml:2: egress.allowed_domains[0]: "https://api.x.com": a host stands alone, without scheme and path; write a host such as api.example.com, *.example.com or api.example.com:8443`},
	{"every host", "egress: {profile: passthrough, allowed_domains: ['*']}", `a.yaml:2: egress.allowed_domains[0]: "*": the only wildcard is a leading *. before a suffix; write a host such as api.example.com, *.example.com or api.example.com:8443`},
	{"every host of a registry", "egress: {profile: passthrough, allowed_domains: ['*.co.uk']}", `a.yaml:2: egress.allowed_domains[0]: "*.co.uk": anybody can register a name below "co.uk"; write a host such as api.example.com, *.example.com or api.example.com:8443`},
	{"method", "egress: {profile: passthrough, allowed_methods: ['GET,POST']}", `a.yaml:2: egress.allowed_methods[0]: "GET,POST" is not a method; write a method such as GET`},
	{"path", "egress: {profile: passthrough, allowed_paths: ['/a/../b']}", `a.yaml:2: egress.allowed_paths[0]: "/a/../b": .. never reaches a rule: the wire resolves it; write a path such as /v1/items/* or /v1/**`},

	// secrets
	{"secret without name", reach + "secrets: [{required: true}]", `a.yaml:5: secrets[0].name is missing; write name: and the key of the secrets file`},
	{"secret name", reach + "secrets: [{name: 'a b'}]", `a.yaml:5: secrets[0].name: "a b" is not a name; write a letter or _ and then up to 127 of A-Z a-z 0-9 _ . -`},
	{"secret twice", reach + "secrets:\n  - {name: T}\n  - {name: T, env: U}", `a.yaml:7: secrets[1].name: "T" is on line 6 already; write another`},
	{"env twice", reach + "secrets:\n  - {name: T}\n  - {name: U, env: T}", `a.yaml:7: secrets[1].env: "T" is on line 6 already; write another`},
	{"env", reach + "secrets: [{name: T, env: A-B}]", `a.yaml:5: secrets[0].env: "A-B" is not the name of a variable; write env: A_B`},
	{"empty env", reach + "secrets: [{name: T, env: ''}]", `a.yaml:5: secrets[0].env: "" is not the name of a variable; write env: MY_TOKEN`},
	{"env that begins with a digit", reach + "secrets: [{name: T, env: 1_T}]", `a.yaml:5: secrets[0].env: "1_T" is not the name of a variable; write env: _1_T`},
	{"env number", reach + "secrets: [{name: T, env: 1}]", `a.yaml:5: secrets[0].env: want text, got a number; put it in quotes: "1"`},
	{"secret name number", reach + "secrets: [{name: 1}]", `a.yaml:5: secrets[0].name: want text, got a number; put it in quotes: "1"`},
	{"placeholder number", reach + "secrets: [{name: T, placeholder: 1}]", `a.yaml:5: secrets[0].placeholder: want text, got a number; put it in quotes: "1"`},
	{"empty placeholder", reach + "secrets: [{name: T, placeholder: ''}]", `a.yaml:5: secrets[0].placeholder: 0 random characters can be guessed, 128 bits need 22; write {random:22} or more`},
	{"source with empty digest", "provider_module_digest: ''\nprovider_source: a.wasm", `a.yaml:3: provider_source has no digest to be checked against; write its provider_module_digest: sha256:<64 hex digits>`},
	{"name that is no env", reach + "secrets: [{name: github.token}]", `a.yaml:5: secrets[0].env: "github.token" is not the name of a variable; write env: github_token`},
	{"placeholder not random", reach + "secrets: [{name: T, placeholder: ghp_000000000000000000000000}]", `a.yaml:5: secrets[0].placeholder: 0 random characters can be guessed, 128 bits need 22; write {random:22} or more`},
	{"placeholder too little random", reach + "secrets: [{name: T, placeholder: 'ghp_{random:21}'}]", `a.yaml:5: secrets[0].placeholder: 21 random characters can be guessed, 128 bits need 22; write {random:22} or more`},
	{"placeholder too long", reach + "secrets: [{name: T, placeholder: 'ghp_{random:257}'}]", `a.yaml:5: secrets[0].placeholder: too long; at most 256 characters`},
	{"placeholder with a quote", reach + `secrets: [{name: T, placeholder: "a\"{random:22}"}]`, `a.yaml:5: secrets[0].placeholder: "a\"{random:22}" cannot be a token; write {random:N}, and beside it only A-Z a-z 0-9 and . _ ~ : @ / + = -`},
	{"placeholder with another variable", reach + "secrets: [{name: T, placeholder: '{hex:9}{random:22}'}]", `a.yaml:5: secrets[0].placeholder: "{hex:9}{random:22}" cannot be a token; write {random:N}, and beside it only A-Z a-z 0-9 and . _ ~ : @ / + = -`},
	{"required without egress", "secrets: [{name: T, required: true}]", `a.yaml:2: secret T is required and no binding can place it: the action reaches no host that may have it; write the hosts into egress.allowed_domains`},
	{"required with passthrough alone", "egress: {profile: passthrough}\nsecrets: [{name: T, required: true}]", `a.yaml:3: secret T is required and no binding can place it: the action reaches no host that may have it; write the hosts into egress.allowed_domains`},
	{"required without binding", reach + "secrets: [{name: T, required: true, inject: []}]", `a.yaml:5: secret T is required and no binding can place it: inject is an empty list; leave inject out, or write a binding`},
	{"optional without binding", reach + "secrets: [{name: T, inject: []}]", `a.yaml:5: note: secret T is never sent: inject is an empty list; leave inject out, or write a binding`},
	{"required in the place of another", reach + "secrets:\n  - {name: DD_API_KEY, required: true}\n  - {name: DD_APP_KEY, required: true}", `a.yaml:7: secret DD_APP_KEY is required and no binding can place it: DD_API_KEY is written to the same place first; write an inject with the header that the service wants`},

	// bindings
	{"no kind", binding("{hosts: [api.x.com]}"), `a.yaml:8: secrets[0].inject[0].as is missing; write as: bearer, or one of basic, header, query, path, placeholder`},
	{"kind", binding("{as: baerer}"), `a.yaml:8: secrets[0].inject[0].as: "baerer" is not known; write bearer`},
	{"host not allowed for a secret", binding("{as: bearer, hosts: [x.com]}"), `a.yaml:8: secrets[0].inject[0].hosts[0]: the action may not reach x.com; add it to egress.allowed_domains, or remove it here`},
	{"wildcard wider than allowed", binding("{as: bearer, hosts: ['*.x.com']}"), `a.yaml:8: secrets[0].inject[0].hosts[0]: the action may not reach *.x.com; add it to egress.allowed_domains, or remove it here`},
	{"port not allowed for a secret", binding("{as: bearer, hosts: ['api.x.com:8443']}"), `a.yaml:8: secrets[0].inject[0].hosts[0]: the action may not reach api.x.com:8443; add it to egress.allowed_domains, or remove it here`},
	{"no hosts", binding("{as: bearer, hosts: []}"), `a.yaml:8: secrets[0].inject[0].hosts is empty; leave hosts out for all allowed domains, or name some`},
	{"binding without egress", "secrets: [{name: T, inject: [{as: bearer}]}]", `a.yaml:2: secrets[0].inject[0]: the action reaches no host that may have the secret; write the hosts into egress.allowed_domains`},
	{"method outside egress", strings.Replace(binding("{as: bearer, methods: [put]}"), "egress:", "egress:\n  allowed_methods: [GET]", 1), `a.yaml:9: secrets[0].inject[0].methods[0]: egress does not allow PUT; add it to egress.allowed_methods, or remove it here`},
	{"basic without user", binding("{as: basic}"), `a.yaml:8: secrets[0].inject[0].username is missing; write username: x-access-token`},
	{"placeholder of no secret", sends("{method: POST, url_template: 'https://api.x.com/', body_template: {k: '{{placeholder:T}}'}}"), `a.yaml:6: template.body_template: T is no secret of the action; declare it under secrets`},
	{"placeholder where no binding replaces it", sends("{method: POST, url_template: 'https://api.x.com/', headers: {X-Key: '{{placeholder:T}}'}}") + "secrets: [{name: T, inject: [{as: placeholder, in: [body]}]}]", `a.yaml:6: template.headers: the wire does not replace the placeholder of T in the header; add {as: placeholder, in: [header]} to its inject`},
	{"placeholder in a path", sends("{method: POST, url_template: 'https://api.x.com/{{placeholder:T}}'}") + "secrets: [{name: T, inject: [{as: placeholder, in: [body]}]}]", `a.yaml:6: template.url_template: a placeholder cannot stand in a host or path; write it into the query, a header or the body`},
	{"user with colon", binding("{as: basic, username: 'a:b'}"), `a.yaml:8: secrets[0].inject[0].username: a user name of Basic holds no ':' and no control character (RFC 7617); write username: x-access-token`},
	{"user with control", binding(`{as: basic, username: "a\rb"}`), `a.yaml:8: secrets[0].inject[0].username: a user name of Basic holds no ':' and no control character (RFC 7617); write username: x-access-token`},
	{"header missing", binding("{as: header}"), `a.yaml:8: secrets[0].inject[0].header is missing; write header: X-Api-Key`},
	{"header not a token", binding("{as: header, header: 'X Key'}"), `a.yaml:8: secrets[0].inject[0].header: "X Key" is not a header name; write a name such as X-Api-Key`},
	{"header with a colon", binding("{as: header, header: ':authority'}"), `a.yaml:8: secrets[0].inject[0].header: ":authority" is not a header name; write a name such as X-Api-Key`},
	{"format without value", binding("{as: header, header: X-Key, format: Token}"), `a.yaml:8: secrets[0].inject[0].format: want {value} exactly once in "Token"; write for example "Token {value}"`},
	{"format with two values", binding("{as: header, header: X-Key, format: '{value}{value}'}"), `a.yaml:8: secrets[0].inject[0].format: want {value} exactly once in "{value}{value}"; write for example "Token {value}"`},
	{"format with a line break", binding(`{as: header, header: X-Key, format: "{value}\r\nX: y"}`), `a.yaml:8: secrets[0].inject[0].format: a control character cannot stand in a request; write one line`},
	{"format of bearer", binding("{as: bearer, format: 'Token {value}'}"), `a.yaml:8: secrets[0].inject[0].format does not go with as: bearer; remove it, or write the as: that it belongs to`},
	{"query without param", binding("{as: query}"), `a.yaml:8: secrets[0].inject[0].param is missing; write param: key`},
	{"query with empty param", binding("{as: query, param: ''}"), `a.yaml:8: secrets[0].inject[0].param: "" is not a parameter; write param: key`},
	{"path without format", binding("{as: path}"), `a.yaml:8: secrets[0].inject[0].format is missing; write format: "/bot{value}"`},
	{"path without value", binding("{as: path, format: /bot}"), `a.yaml:8: secrets[0].inject[0].format: want {value} exactly once in "/bot"; write for example "Token {value}"`},
	{"path without slash", binding("{as: path, format: 'bot{value}'}"), `a.yaml:8: secrets[0].inject[0].format: a path begins with /; write format: "/bot{value}"`},
	{"path with slash at the end", binding("{as: path, format: '/bot{value}/'}"), `a.yaml:8: secrets[0].inject[0].format: the path that follows begins with /; remove the last /`},
	{"path with query", binding("{as: path, format: '/bot{value}?a'}"), `a.yaml:8: secrets[0].inject[0].format: rules match the path alone, without ? and what follows; write format: "/bot{value}"`},
	{"path with wildcard", binding("{as: path, format: '/bot{value}/*'}"), `a.yaml:8: secrets[0].inject[0].format: a wildcard cannot be sent; write format: "/bot{value}"`},
	{"placeholder without in", binding("{as: placeholder}"), `a.yaml:8: secrets[0].inject[0].in is missing; write in: [header]`},
	{"placeholder with empty in", binding("{as: placeholder, in: []}"), `a.yaml:8: secrets[0].inject[0].in is empty; write in: [header]`},
	{"placeholder in the path", binding("{as: placeholder, in: [path]}"), `a.yaml:8: secrets[0].inject[0].in[0]: "path" is not a part of a request; write one of header, query, body`},
}

func TestEveryMistakeIsNamedAtItsLine(t *testing.T) {
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			ms, problems := Parse("a.yaml", []byte("action_id: a\n"+m.text))
			wantProblems(t, problems, m.want)
			if HasErrors(problems) != (len(ms) == 0) {
				t.Errorf("%d manifests although errors: %v", len(ms), HasErrors(problems))
			}
			for _, p := range problems {
				if p.ActionID != "a" || p.Column == 0 {
					t.Errorf("no place in %+v", p)
				}
			}
		})
	}
}

func TestTheFramingOfAMessageIsNotForABinding(t *testing.T) {
	for _, name := range []string{
		"Connection", "host", "CONTENT-LENGTH", "Transfer-Encoding", "Proxy-Authorization", "Proxy-Connection", "proxy-x",
		"TE", "Trailer", "Upgrade", "Keep-Alive",
	} {
		ms, problems := Parse("a.yaml", []byte("action_id: a\n"+binding("{as: header, header: "+name+"}")))
		if len(ms) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Message, "belongs to the connection") {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestActionIDHasAForm(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"version: a", "a.yaml:1: action_id is missing; write action_id: and a name of A-Z a-z 0-9 _ -"},
		{"action_id: a.b", `a.yaml:1: action_id: "a.b" is not a name; write 1 to 128 of A-Z a-z 0-9 _ -`},
		{"action_id: " + strings.Repeat("a", 129), `a.yaml:1: action_id: "` + strings.Repeat("a", 129) + `" is not a name; write 1 to 128 of A-Z a-z 0-9 _ -`},
		{"action_id: ''", `a.yaml:1: action_id: "" is not a name; write 1 to 128 of A-Z a-z 0-9 _ -`},
		{"- action_id: a", "a.yaml:1: manifest: want a map, got a list"},
		{"just words", "a.yaml:1: manifest: want a map, got text"},
	} {
		_, problems := Parse("a.yaml", []byte(c.text))
		wantProblems(t, problems, c.want)
	}
}

func TestAllMistakesOfAFileAreToldAtOnce(t *testing.T) {
	_, problems := Parse("a.yaml", []byte("action_id: a b\nrisk: low\negress: {profile: x}\nsecrets: [{name: T, inject: [{as: basic}, 7]}, 8]\n"))
	wantProblems(t, problems,
		`a.yaml:2: manifest: unknown key "risk"; keys here: action_id, version, description, tags, risk_level, provider_module_digest, provider_source, required_imports, template, io, egress, secrets, resource_limits, declared_side_effects, policy_args`,
		`a.yaml:1: action_id: "a b" is not a name; write 1 to 128 of A-Z a-z 0-9 _ -`,
		`a.yaml:3: egress.profile: "x" is not known; write one of none, proxy_allowlist, passthrough`,
		`a.yaml:4: secrets[0].inject[0].username is missing; write username: x-access-token`,
		`a.yaml:4: secrets[0].inject[0]: the action reaches no host that may have the secret; write the hosts into egress.allowed_domains`,
		`a.yaml:4: secrets[0].inject[1]: want a map, got a number`,
		`a.yaml:4: secrets[1]: want a map, got a number`)
}

func TestWhatIsRightIsAccepted(t *testing.T) {
	for name, text := range map[string]string{
		"any URL from an argument":       sends("{method: GET, url_template: '{{url}}'}"),
		"host from an argument":          sends("{method: GET, url_template: 'https://{{host}}/x'}"),
		"host that ends as allowed":      sends("{method: GET, url_template: 'https://{{a}}.x.com/'}"),
		"variable with a treatment":      sends("{method: GET, url_template: 'https://api.x.com/{{path:endpoint}}?q={{ q }}'}"),
		"other hosts of passthrough":     "egress: {profile: passthrough}\nprovider_module_digest: builtin:http_api\ntemplate: {method: GET, url_template: 'https://any.org/'}",
		"form body":                      sends("{method: POST, url_template: 'https://api.x.com/', body_template: 'a={{b}}'}"),
		"empty user name":                binding("{as: basic, username: ''}"),
		"token scheme":                   binding("{as: header, header: Authorization, format: 'token {value}'}"),
		"narrower host":                  strings.Replace(binding("{as: bearer, hosts: ['*.b.x.com:443', 'a.x.com']}"), "api.x.com", "'*.x.com'", 1),
		"two headers":                    reach + "secrets:\n  - {name: A, required: true, inject: [{as: header, header: DD-API-KEY}]}\n  - {name: B, required: true, inject: [{as: header, header: DD-APPLICATION-KEY}]}",
		"same header, other paths":       reach + "secrets:\n  - {name: A, required: true, inject: [{as: bearer, paths: [/a]}]}\n  - {name: B, required: true}",
		"same header, first is optional": reach + "secrets:\n  - {name: A}\n  - {name: B, required: true}",
		"several random parts":           reach + "secrets: [{name: T, placeholder: '1:{random:11}-{random:11}'}]",
		"references within a schema":     schema("{$defs: {a: {type: string}}, properties: {x: {$ref: '#/$defs/a'}}}"),
		"older draft":                    schema("{$schema: 'http://json-schema.org/draft-07/schema#', type: object}"),
		"open schema":                    sends("{method: GET, url_template: 'https://api.x.com/{{other}}'}") + schema("{properties: {owner: {}}}"),
		"local service":                  "egress: {profile: proxy_allowlist, allowed_domains: ['localhost:27124']}\nprovider_module_digest: builtin:http_api\ntemplate: {method: GET, url_template: 'http://localhost:27124/{{path:e}}'}",
	} {
		t.Run(name, func(t *testing.T) { one(t, "action_id: a\n"+text) })
	}
}
