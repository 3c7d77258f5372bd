package policy

import (
	"errors"
	"testing"
	"time"
)

func get(path string) RequestInput {
	return RequestInput{Principal: "alice", Run: "r1", Actions: []string{"a", "b"}, Action: "a",
		Scheme: "https", Host: "api.github.com", Port: 443, Method: "GET", Path: path}
}

func TestWithoutARequestRuleEveryRequestMayGo(t *testing.T) {
	e := engine(t, Options{})
	if e.HasRequest() {
		t.Error("the built-in policy has a request rule")
	}
	if d := e.Request(t.Context(), get("/")); !d.Allow {
		t.Errorf("%+v", d)
	}
}

func TestRequestRuleSeesEveryField(t *testing.T) {
	e := engine(t, rules(t, `
action := {"allow": true}
request := {"allow": input == {
	"principal": "alice", "run": "r1", "actions": ["a", "b"], "action": "a",
	"scheme": "https", "host": "api.github.com", "port": 443, "method": "GET", "path": "/x",
}}`))
	if !e.HasRequest() {
		t.Error("no request rule found")
	}
	if d := e.Request(t.Context(), get("/x")); !d.Allow {
		t.Errorf("%+v", d)
	}
	// One field at a time differs, and the cache must not take it for the same.
	for i, change := range []func(*RequestInput){
		func(in *RequestInput) { in.Principal = "bob" },
		func(in *RequestInput) { in.Run = "r2" },
		func(in *RequestInput) { in.Actions = []string{"a"} },
		func(in *RequestInput) { in.Actions = nil },
		func(in *RequestInput) { in.Action = "b" },
		func(in *RequestInput) { in.Scheme = "http" },
		func(in *RequestInput) { in.Host = "github.com" },
		func(in *RequestInput) { in.Port = 8443 },
		func(in *RequestInput) { in.Method = "POST" },
		func(in *RequestInput) { in.Path = "/y" },
	} {
		in := get("/x")
		change(&in)
		if d := e.Request(t.Context(), in); d.Allow {
			t.Errorf("change %d is allowed: %+v", i, in)
		}
	}
}

func TestRequestThatIsNotDecidedIsDenied(t *testing.T) {
	for rego, want := range map[string]error{
		`request := {"allow": true} if input.method == "POST"`: ErrUndefined,
		`request := true`: ErrNotADecision,
		`request := {"allow": true, "require_approval": true}`:                                          ErrNotADecision,
		`request := {"allow": true, "approved_hosts": []}`:                                              ErrNotADecision,
		`request := {"allow": true} if count([x | some x in numbers.range(1, 1000000000)]) > 1000`:      ErrTimeout,
		`request := {"allow": true} if not startswith(input.port, "4")`:                                 nil,
		`request := {"allow": true, "reason": r} if some r in ["one", "two"]`:                           nil,
		`request.allow if input.method == "GET"` + "\n" + `request.code := 200`:                         ErrNotADecision,
		`request := {"allow": true} if json.match_schema({}, {"$ref": "http://127.0.0.1:1/x.json"})[0]`: nil,
	} {
		o := rules(t, `action := {"allow": true}`+"\n"+rego)
		if want == ErrTimeout {
			o.Timeout = 20 * time.Millisecond
		}
		e := engine(t, o)
		for range 2 {
			d := e.Request(t.Context(), get("/"))
			if d.Allow || d.Code != CodeError || (want != nil && !errors.Is(d.Err, want)) {
				t.Errorf("%s\n\t%+v, want %v", rego, d, want)
			}
		}
		if r := e.rules.Load().requests; r != nil && r.cache.Len() != 0 {
			t.Errorf("%s\n\ta failure was remembered", rego)
		}
	}
}

func TestEqualRequestsAreDecidedOnceUntilAReload(t *testing.T) {
	e := engine(t, rules(t, `
action := {"allow": true}
request := {"allow": true, "reason": "first"}`))
	for range 3 {
		e.Request(t.Context(), get("/"))
	}
	if n := e.rules.Load().requests.cache.Len(); n != 1 {
		t.Errorf("%d decisions remembered", n)
	}
	if err := e.Reload(t.Context(), rules(t, `
action := {"allow": true}
request := {"allow": false, "reason": "second"}`)); err != nil {
		t.Fatal(err)
	}
	if d := e.Request(t.Context(), get("/")); d.Allow || d.Reason != "second" {
		t.Errorf("after the reload: %+v", d)
	}
}

const benchRule = `
action := {"allow": true}
default request := {"allow": false, "reason": "only reads"}
request := {"allow": true} if {
	input.method in {"GET", "HEAD"}
	startswith(input.path, "/repos/")
	not endswith(input.path, "/keys")
}`

func BenchmarkRequest(b *testing.B) {
	e := engine(b, rules(b, benchRule))
	r := e.rules.Load()
	b.ReportAllocs()
	for b.Loop() {
		if !e.request(b.Context(), r, get("/repos/a/b"), nil).Allow {
			b.Fatal("denied")
		}
	}
}

func BenchmarkRequestCached(b *testing.B) {
	e := engine(b, rules(b, benchRule))
	in := get("/repos/a/b")
	b.ReportAllocs()
	for b.Loop() {
		if !e.Request(b.Context(), in).Allow {
			b.Fatal("denied")
		}
	}
}
