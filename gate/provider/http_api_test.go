package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// sent is a request as the caller's door saw it.
type sent struct {
	method, url, body string
	header            http.Header
}

// runHTTPAPI executes builtin:http_api; the request it sent is nil where it sent
// none.
func runHTTPAPI(t testing.TB, m *Module, tmpl Template, args string, respond http.HandlerFunc) (*sent, *Result, error) {
	t.Helper()
	input, err := BuildInput("test_action", json.RawMessage(args), &tmpl)
	if err != nil {
		t.Fatal(err)
	}
	var seen *sent
	result, err := m.Execute(context.Background(), Call{
		Input:  input,
		Limits: Limits{MaxIOCalls: 1},
		HTTP: func(_ context.Context, req *http.Request) (*http.Response, error) {
			seen = &sent{method: req.Method, url: req.URL.String(), header: req.Header}
			if req.Body != nil {
				b, err := io.ReadAll(req.Body)
				if err != nil {
					return nil, err
				}
				seen.body = string(b)
			}
			rec := newRecorder()
			respond(rec, req)
			return rec.response(), nil
		},
	})
	return seen, result, err
}

// recorder is a ResponseWriter that keeps bodies as they are.
type recorder struct {
	status int
	header http.Header
	body   strings.Builder
}

func newRecorder() *recorder                        { return &recorder{status: 200, header: http.Header{}} }
func (r *recorder) Header() http.Header             { return r.header }
func (r *recorder) WriteHeader(status int)          { r.status = status }
func (r *recorder) Write(p []byte) (n int, _ error) { return r.body.Write(p) }
func (r *recorder) response() *http.Response {
	return &http.Response{StatusCode: r.status, Header: r.header, Body: io.NopCloser(strings.NewReader(r.body.String()))}
}

func nothing(http.ResponseWriter, *http.Request) {}

func httpAPIModule(t testing.TB) *Module {
	t.Helper()
	m, err := newRuntime(t).Compile(context.Background(), "builtin:http_api", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTemplateURLKeepsItsShape(t *testing.T) {
	m := httpAPIModule(t)
	for _, c := range []struct{ template, args, want string }{ // want: the URL, or an error's code and some of its text
		{"https://api.x/repos/{{owner}}/{{ repo }}/issues", `{"owner":"octo","repo":"cat"}`, "https://api.x/repos/octo/cat/issues"},
		{"https://api.x/a/{{v}}", `{"v":"b/../c?d=e&f#g"}`, "https://api.x/a/b%2F..%2Fc%3Fd%3De%26f%23g"},
		{"https://api.x/a/{{v}}", `{"v":"100% é\u0000\n"}`, "https://api.x/a/100%25%20%C3%A9%00%0A"},
		{"https://api.x/a/{{v}}", `{"v":12.50}`, "https://api.x/a/12.50"},
		{"https://api.x/a/{{v}}", `{"v":true}`, "https://api.x/a/true"},
		{"https://api.x/a/{{v}}", `{"v":["b"]}`, "argument_invalid: argument 'v' must be a string"},
		{"https://api.x/a/{{v}}", `{"v":{}}`, "argument_invalid: argument 'v'"},
		{"https://api.x/a/{{v}}", `{}`, "argument_missing: argument 'v'"},
		{"https://api.x/a/{{v}}", `{"v":null}`, "argument_missing: argument 'v'"},
		{"https://api.x/a/{{v}}", `{"v":""}`, "argument_invalid: argument 'v'"},
		{"https://api.x/a/{{v}}/b", `{"v":".."}`, "argument_invalid: argument 'v'"},
		{"https://api.x/a/{{v}}/b", `{"v":"."}`, "argument_invalid: argument 'v'"},
		{"https://api.x/a/.{{v}}/b", `{"v":"."}`, "argument_invalid: argument 'v'"},
		{"https://api.x/a/%2e{{v}}/b", `{"v":"."}`, "argument_invalid: argument 'v'"},
		{"https://api.x/a/{{v}}{{w}}/b", `{"v":".","w":"."}`, "argument_invalid: argument 'w'"},
		{"https://api.x/a/{{v}}/b", `{"v":"..."}`, "https://api.x/a/.../b"},
		{"https://api.x/a/{{v}}", `{"v":"%2e%2e"}`, "https://api.x/a/%252e%252e"},
		{"https://api.x/bot{{v}}/send", `{"v":"/../x"}`, "https://api.x/bot%2F..%2Fx/send"},

		{"https://api.x/{{path:p}}", `{"p":"repos/o/r"}`, "https://api.x/repos/o/r"},
		{"https://api.x/{{path:p}}", `{"p":"/repos/o/"}`, "https://api.x/repos/o"},
		{"https://api.x/{{path:p}}/x", `{"p":"a b/c?d"}`, "https://api.x/a%20b/c%3Fd/x"},
		{"https://api.x/{{path:p}}", `{"p":"a/../b"}`, "argument_invalid: argument 'p'"},
		{"https://api.x/{{path:p}}", `{"p":".."}`, "argument_invalid: argument 'p'"},
		{"https://api.x/{{path:p}}", `{"p":"a//b"}`, "argument_invalid: argument 'p'"},
		{"https://api.x/{{path:p}}", `{"p":"//evil.example/x"}`, "argument_invalid: argument 'p'"},
		{"https://api.x/{{path:p}}", `{"p":"/"}`, "argument_invalid: argument 'p'"},
		{"https://api.x/{{path:p}}", `{"p":""}`, "argument_invalid: argument 'p'"},
		{"https://api.x/v1{{path:p}}", `{"p":"/a"}`, "https://api.x/v1/a"},
		{"https://api.x/{{path:p}}", `{}`, "argument_missing: argument 'p'"},
		{"https://api.x/?a={{path:p}}", `{"p":"a"}`, "template_invalid"},

		{"https://api.x/s?q={{q}}&page={{page}}", `{"q":"a b&c=d#e+f","page":2}`, "https://api.x/s?q=a%20b%26c%3Dd%23e%2Bf&page=2"},
		{"https://api.x/s?q={{q}}&page={{page}}", `{"q":"x"}`, "https://api.x/s?q=x"},
		{"https://api.x/s?q={{q}}&page={{page}}", `{"page":null}`, "https://api.x/s"},
		{"https://api.x/s?fixed=1&q={{q}}", `{}`, "https://api.x/s?fixed=1"},
		{"https://api.x/s?q={{q}}", `{"q":""}`, "https://api.x/s?q="},
		{"https://api.x/s?q=repo:{{o}}/{{r}}", `{"o":"a"}`, "https://api.x/s?q=repo:a/"},
		{"https://api.x/s?q=repo:{{o}}/{{r}}", `{}`, "https://api.x/s"},
		{"https://api.x/s?tag={{t}}", `{"t":["a","b c",3]}`, "https://api.x/s?tag=a&tag=b%20c&tag=3"},
		{"https://api.x/s?tag={{t}}", `{"t":[["a"]]}`, "argument_invalid: argument 't'"},
		{"https://api.x/s?tag=x{{t}}", `{"t":["a"]}`, "argument_invalid: argument 't'"},
		{"https://api.x/s?{{k}}=v", `{"k":"a=b&c"}`, "https://api.x/s?a%3Db%26c=v"},
		{"https://api.x/s?a=1&{{query:params}}", `{"params":{"b c":"d&e","n":null,"l":[1,2]}}`, "https://api.x/s?a=1&b%20c=d%26e&l=1&l=2"},
		{"https://api.x/s?{{query:params}}", `{}`, "https://api.x/s"},
		{"https://api.x/s?{{query:params}}", `{"params":"a=b"}`, "argument_invalid: argument 'params'"},
		{"https://api.x/s?a={{query:params}}", `{"params":{}}`, "template_invalid"},
		{"https://api.x/{{query:params}}", `{"params":{}}`, "template_invalid"},

		{"https://{{h}}/x", `{"h":"me.atlassian.net"}`, "https://me.atlassian.net/x"},
		{"https://{{h}}", `{"h":"me.atlassian.net"}`, "https://me.atlassian.net"},
		{"https://{{h}}:8443/x", `{"h":"me"}`, "https://me:8443/x"},
		{"https://{{h}}/x", `{"h":"evil.example/y"}`, "argument_invalid: argument 'h'"},
		{"https://{{h}}/x", `{"h":"a@evil.example"}`, "argument_invalid: argument 'h'"},
		{"https://{{h}}/x", `{"h":"evil.example:80"}`, "argument_invalid: argument 'h'"},
		{"https://{{h}}/x", `{"h":""}`, "argument_invalid: argument 'h'"},
		{"https://{{h}}.atlassian.net/x", `{"h":"me"}`, "https://me.atlassian.net/x"},
		{"https://{{h}}.atlassian.net/x", `{"h":"a.b"}`, "argument_invalid: argument 'h'"},
		{"https://{{h}}.atlassian.net/x", `{"h":"evil.example/"}`, "argument_invalid: argument 'h'"},
		{"https://{{h}}.atlassian.net/x", `{"h":"evil.example#"}`, "argument_invalid: argument 'h'"},
		{"https://api.{{h}}?x=1", `{"h":"evil.example"}`, "argument_invalid: argument 'h'"},
		{"https://{{path:h}}/x", `{"h":"a"}`, "template_invalid"},

		{"{{url}}", `{"url":"https://a.example/b?c=d"}`, "https://a.example/b?c=d"},
		{"{{url}}", `{"url":"http://[2001:db8::1]:80/b#frag"}`, "http://[2001:db8::1]:80/b"},
		{"{{url}}", `{"url":"https://a.example/ü b"}`, "https://a.example/%C3%BC%20b"},
		{"{{url}}", `{"url":"https://a@b.example/"}`, "argument_invalid: argument 'url'"},
		{"{{url}}", `{"url":"https://a.example\\@b.example/"}`, "argument_invalid: argument 'url'"},
		{"{{url}}", `{"url":"https://a.example/\r\nX: y"}`, "argument_invalid: argument 'url'"},
		{"{{url}}", `{"url":"file:///etc/passwd"}`, "argument_invalid: argument 'url'"},
		{"{{url}}", `{"url":"https:///x"}`, "argument_invalid: argument 'url'"},
		{"{{url}}", `{"url":7}`, "argument_invalid: argument 'url'"},

		{"ftp://api.x/", `{}`, "template_invalid"},
		{"{{scheme}}://api.x/", `{"scheme":"https"}`, "template_invalid"},
		{"https://user@api.x/", `{}`, "template_invalid"},
		{"https://api.x/#f", `{}`, "template_invalid"},
		{"https://api.x/{{a", `{"a":"b"}`, "template_invalid"},
		{"https://api.x/{{a b}}", `{"a":"b"}`, "template_invalid"},
		{"https://api.x/{{}}", `{}`, "template_invalid"},
		{"https://api.x/{{raw:a}}", `{"a":"b"}`, "template_invalid"},
		{"https://api.x/{{v}}", `{"v":"{{w}}","w":"twice"}`, "https://api.x/%7B%7Bw%7D%7D"},
	} {
		req, _, err := runHTTPAPI(t, m, Template{Method: "get", URL: c.template}, c.args, nothing)
		got := describeOutcome(req, err)
		if got != c.want && (req != nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s with %s:\n got %s\nwant %s", c.template, c.args, got, c.want)
		}
	}
}

// describeOutcome is the URL that was asked for, or the guest's error.
func describeOutcome(req *sent, err error) string {
	var e *Error
	switch {
	case req != nil:
		return req.url
	case errors.As(err, &e) && e.Code == CodeFailed:
		var doc struct {
			Error struct{ Code, Message string }
		}
		if json.Unmarshal(e.Detail, &doc) != nil {
			return fmt.Sprintf("detail %q", e.Detail)
		}
		return doc.Error.Code + ": " + doc.Error.Message
	}
	return fmt.Sprint("error ", err)
}

func TestTemplateBodyKeepsItsShape(t *testing.T) {
	m := httpAPIModule(t)
	type object = map[string]any
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		contentType string // of the template's headers; "" for none
		body        any
		args        string
		want        string // the body, or an error's code
		sentType    string
	}{
		{"", object{"title": "{{t}}", "n": 1, "deep": []any{object{"x": "{{n}}"}}}, `{"t":"a\"b\\c\n\u2028","n":12345678901234567890.10}`,
			"{\"deep\":[{\"x\":12345678901234567890.10}],\"n\":1,\"title\":\"a\\\"b\\\\c\\n\u2028\"}", "application/json"},
		{"", object{"a": "{{a}}", "b": "{{b}}", "c": "{{c}}", "d": "{{d}}"}, `{"a":null,"b":false,"c":[1,{"x":"y"}]}`, `{"a":null,"b":false,"c":[1,{"x":"y"}]}`, "application/json"},
		{"", object{"text": "Hi {{name}}, {{n}} of {{l}}"}, `{"name":"\"}, {\"admin\": true","n":2,"l":["a"]}`, `{"text":"Hi \"}, {\"admin\": true, 2 of [\"a\"]"}`, "application/json"},
		{"", object{"text": "Hi {{name}}!", "other": "{{a}}-{{b}}"}, `{"b":"x"}`, `{"other":"-x"}`, "application/json"},
		{"", object{"list": []any{"{{a}}", "{{b}}", "c"}}, `{"b":"x"}`, `{"list":["x","c"]}`, "application/json"},
		{"", object{"v": "{{a}}"}, `{"a":"{{b}}","b":"twice"}`, `{"v":"{{b}}"}`, "application/json"},
		{"", object{"v": "\u0001\u001f"}, `{}`, `{"v":"\u0001\u001f"}`, "application/json"},
		{"", object{"v": "{{a}}"}, `{"a":"\ud83d\ude00\ud800"}`, "{\"v\":\"😀\uFFFD\"}", "application/json"},
		{"", object{"{{a}}": 1}, `{"a":"admin"}`, "template_invalid", ""},
		{"", object{"a": "{{path:a}}"}, `{"a":"admin"}`, "template_invalid", ""},
		{"", object{"a": "x{{path:a}}"}, `{"a":"admin"}`, "template_invalid", ""},
		{"application/vnd.api+json", object{"v": "{{a}}"}, `{"a":1}`, `{"v":1}`, "application/vnd.api+json"},
		{"application/json", "{{a}}", `{"a":{"b":[1,2]}}`, `{"b":[1,2]}`, "application/json"},
		{"application/json", "{{a}}", `{"a":"{\"x\":1}"}`, `"{\"x\":1}"`, "application/json"},
		{"", "{{a}}", `{"a":{"b":1}}`, `{"b":1}`, "application/json"},
		{"", "{{a}}", `{"a":"plain"}`, "plain", "text/plain; charset=utf-8"},
		{"", "{{a}}", `{}`, "", ""},
		{"", nil, `{"body":"x"}`, "", ""},
		{"text/markdown", "# {{t}}", `{"t":"<b>"}`, "# <b>", "text/markdown"},
		{"application/xml", "<a b=\"{{t}}\">{{t}}</a>", `{"t":"</a>&'\""}`, `<a b="&lt;/a&gt;&amp;&#39;&#34;">&lt;/a&gt;&amp;&#39;&#34;</a>`, "application/xml"},
		{"application/octet-stream", "{{t}}", `{"t":"raw"}`, "raw", "application/octet-stream"},
		{"multipart/form-data; boundary=x", "--x {{t}}", `{"t":"--x"}`, "template_invalid", ""},
		{form, object{"a": "{{a}}", "b": "{{b}}", "c": "{{c}}", "l": "{{l}}", "o": object{"k": "{{a}}", "d": "{{d}}"}}, `{"a":"x&y=z +","b":null,"l":["p",2,{"q":true}]}`,
			"a=x%26y%3Dz%20%2B&l=p&l=2&l%5B2%5D%5Bq%5D=true&o%5Bk%5D=x%26y%3Dz%20%2B", form},
		{form + "; charset=utf-8", "grant=code&code={{c}}&scope={{s}}", `{"c":"a&admin=1"}`, "grant=code&code=a%26admin%3D1", form + "; charset=utf-8"},
		{form, "{{body}}", `{"body":{"a":"b c"}}`, "a=b%20c", form},
		{form, []any{"a"}, `{}`, "template_invalid", ""},
	} {
		tmpl := Template{Method: "POST", URL: "https://api.x/", Body: c.body}
		if c.contentType != "" {
			tmpl.Headers = map[string]string{"content-type": c.contentType}
		}
		req, _, err := runHTTPAPI(t, m, tmpl, c.args, nothing)
		switch {
		case req == nil && (c.want == "" || !strings.HasPrefix(describeOutcome(req, err), c.want)):
			t.Errorf("%v with %s: %s", c.body, c.args, describeOutcome(req, err))
		case req != nil && (req.body != c.want || req.header.Get("Content-Type") != c.sentType):
			t.Errorf("%v with %s:\n got %s %q\nwant %s %q", c.body, c.args, req.header.Get("Content-Type"), req.body, c.sentType, c.want)
		}
	}
}

func TestTemplateHeadersKeepTheirShape(t *testing.T) {
	m := httpAPIModule(t)
	tmpl := Template{Method: "PATCH", URL: "https://api.x/", Headers: map[string]string{
		"Accept": "text/plain", "If-Match": `"{{etag}}"`, "X-Note": "{{note}}", "X-N": "n={{n}}",
	}}
	req, _, err := runHTTPAPI(t, m, tmpl, `{"note":"é \t ok","n":[1]}`, nothing)
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Accept": {"text/plain"}, "X-Note": {"é \t ok"}, "X-N": {"n=[1]"}, "User-Agent": {"latchgate"}}
	if req.method != "PATCH" || fmt.Sprint(req.header) != fmt.Sprint(want) {
		t.Errorf("got %s %v, want PATCH %v", req.method, req.header, want)
	}
	for _, note := range []string{`a\r\nX: y`, `a\nX: y`, `a\u0000`, `\u007f`} {
		req, _, err := runHTTPAPI(t, m, tmpl, `{"note":"`+note+`"}`, nothing)
		if got := describeOutcome(req, err); !strings.HasPrefix(got, "argument_invalid: the value for header 'X-Note'") {
			t.Errorf("note %q: %s", note, got)
		}
	}
	for _, headers := range []map[string]string{{"X-{{note}}": "v"}, {"X-Note": "{{path:note}}"}} {
		req, _, err := runHTTPAPI(t, m, Template{URL: "https://api.x/", Headers: headers}, `{"note":"x"}`, nothing)
		if got := describeOutcome(req, err); !strings.HasPrefix(got, "template_invalid") {
			t.Errorf("headers %v: %s", headers, got)
		}
	}
	// What the wire writes, a template cannot.
	req, _, err = runHTTPAPI(t, m, Template{URL: "https://api.x/", Headers: map[string]string{"host": "evil.example"}}, `{}`, nothing)
	if got := describeOutcome(req, err); !strings.HasPrefix(got, "bad_request") {
		t.Errorf("a Host header: %s", got)
	}
}

func TestResultSaysWhatTheUpstreamSaid(t *testing.T) {
	m := httpAPIModule(t)
	for _, c := range []struct {
		status            int
		contentType, body string
		want              string // from "status" on, without the headers
	}{
		{200, "application/json", ` {"a": [1.50, "x"]} `, `{"ok":true,"status":200,"body": {"a": [1.50, "x"]} }`},
		{201, "application/vnd.github+json; charset=utf-8", `[]`, `{"ok":true,"status":201,"body":[]}`},
		{200, "application/json", `{"a":`, `{"ok":true,"status":200,"body":"{\"a\":"}`},
		{200, "application/json", `{"a":1} x`, `{"ok":true,"status":200,"body":"{\"a\":1} x"}`},
		{200, "application/json", deep(200), `{"ok":true,"status":200,"body":` + deep(200) + `}`},
		{200, "application/json", deep(100000), `{"ok":true,"status":200,"body":"` + deep(100000) + `"}`},
		{200, "application/json", "\"\x01\"", `{"ok":true,"status":200,"body":"\"\u0001\""}`},
		{200, "text/plain", "a\"b\nc", `{"ok":true,"status":200,"body":"a\"b\nc"}`},
		{204, "", "", `{"ok":true,"status":204,"body":null}`},
		{200, "application/octet-stream", "\xff\x00\x01", `{"ok":true,"status":200,"body_base64":"/wAB"}`},
		{200, "image/png", "\x89PNG", `{"ok":true,"status":200,"body_base64":"iVBORw=="}`},
		{302, "", "", `{"ok":true,"status":302,"body":null}`},
		{404, "application/json", `{"message":"Not Found"}`, `{"ok":false,"status":404,"body":{"message":"Not Found"}}`},
		{500, "text/html", "<p>", `{"ok":false,"status":500,"body":"<p>"}`},
	} {
		_, result, err := runHTTPAPI(t, m, Template{URL: "https://api.x/"}, `{}`, func(w http.ResponseWriter, _ *http.Request) {
			if c.contentType != "" {
				w.Header().Set("Content-Type", c.contentType)
			}
			w.Header().Add("X-Two", "a")
			w.Header().Add("X-Two", "b")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		if err != nil {
			t.Errorf("%d %s: %v", c.status, c.contentType, err)
			continue
		}
		headers := `"headers":{"x-two":"a, b"},`
		if c.contentType != "" {
			headers = `"headers":{"content-type":"` + c.contentType + `","x-two":"a, b"},`
		}
		if got := strings.Replace(string(result.Output), headers, "", 1); got != c.want {
			t.Errorf("%d %s: got %.200s\nwant %.200s", c.status, c.contentType, result.Output, c.want)
		}
	}
}

// deep is a document of n nested lists.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestDeepNestingIsCarriedOrRefused(t *testing.T) {
	m := httpAPIModule(t)
	tmpl := Template{Method: "POST", URL: "https://api.x/", Body: map[string]any{"v": "{{v}}"}}
	req, _, err := runHTTPAPI(t, m, tmpl, `{"v":`+deep(195)+`}`, nothing)
	if err != nil || req.body != `{"v":`+deep(195)+`}` {
		t.Errorf("195 levels: %v", err)
	}
	for _, n := range []int{300, 9000} {
		_, _, err = runHTTPAPI(t, m, tmpl, `{"v":`+deep(n)+`}`, nothing)
		wantCode(t, err, CodeFailed)
	}
	tmpl.Body = "{{v}}"
	for range 195 {
		tmpl.Body = map[string]any{"k": tmpl.Body}
	}
	if req, _, err = runHTTPAPI(t, m, tmpl, `{"v":7}`, nothing); err != nil || strings.Count(req.body, "{") != 195 {
		t.Errorf("a template of 195 levels: %v", err)
	}
}

// What the defaults let through fits into the default memory, of which the guest
// gives nothing back.
func TestLargestAnswerFitsTheDefaultMemory(t *testing.T) {
	m := httpAPIModule(t)
	input, err := BuildInput("a", nil, &Template{URL: "https://api.x/"})
	if err != nil {
		t.Fatal(err)
	}
	const size = 10 << 20
	for name, body := range map[string]string{
		"JSON":   `"` + strings.Repeat("a", size-2) + `"`,
		"text":   strings.Repeat("text\n", size/5),
		"binary": strings.Repeat("\xff\x00", size/2),
	} {
		_, err := m.Execute(t.Context(), Call{Input: input, HTTP: answer(200, "application/json", body), Limits: Limits{MaxIOCalls: 1, MaxResponseBytes: 4 * size}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = m.Execute(t.Context(), Call{Input: input, HTTP: answer(200, "application/json", strings.Repeat("a", size)), Limits: Limits{MaxIOCalls: 1, MemoryMB: 8}})
	wantCode(t, err, CodeMemory)
}

func TestTransportFailureHasACodeAndNoDetails(t *testing.T) {
	m := httpAPIModule(t)
	input, err := BuildInput("a", nil, &Template{URL: "https://api.x/"})
	if err != nil {
		t.Fatal(err)
	}
	fails := func(err error) func(context.Context, *http.Request) (*http.Response, error) {
		return func(context.Context, *http.Request) (*http.Response, error) { return nil, err }
	}
	for want, c := range map[string]Call{
		"upstream_unreachable": {HTTP: fails(errors.New("dial 10.0.0.7: sentinel-4711"))},
		"upstream_timeout":     {HTTP: fails(fmt.Errorf("wait: %w", context.DeadlineExceeded))},
		"too_large":            {HTTP: answer(200, "text/plain", "12345"), Limits: Limits{MaxHostResponseBytes: 4}},
		"egress_denied":        {},
	} {
		c.Input, c.Limits.MaxIOCalls = input, 1
		_, err := m.Execute(context.Background(), c)
		if e := wantCode(t, err, CodeFailed); !strings.Contains(string(e.Detail), `"`+want+`"`) || strings.Contains(e.Error(), "sentinel") {
			t.Errorf("got %v with %s, want %s", e, e.Detail, want)
		}
	}
	c := Call{Input: input, Limits: Limits{MaxIOCalls: 1, MaxResponseBytes: 50}, HTTP: answer(200, "text/plain", strings.Repeat("x", 100))}
	_, err = m.Execute(context.Background(), c)
	wantCode(t, err, CodeOutputTooLarge)
	_, err = m.Execute(context.Background(), Call{Input: []byte("{")})
	wantCode(t, err, CodeFailed)
}

func TestBundledGuestEndsWithItsDeadlineAndItsRuntime(t *testing.T) {
	ctx := context.Background()
	r, err := NewRuntime(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Compile(ctx, "builtin:http_api", nil)
	if err != nil {
		t.Fatal(err)
	}
	input, err := BuildInput("a", nil, &Template{URL: "https://api.x/"})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{}, 2)
	call := Call{Input: input, Limits: Limits{MaxIOCalls: 1, Timeout: short}, HTTP: func(ctx context.Context, _ *http.Request) (*http.Response, error) {
		waiting <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	_, err = m.Execute(ctx, call)
	wantCode(t, err, CodeTimeout)

	<-waiting
	call.Limits.Timeout = 0
	outcome := make(chan error, 1)
	go func() {
		_, err := m.Execute(ctx, call)
		outcome <- err
	}()
	<-waiting
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
	wantCode(t, <-outcome, CodeCancelled)
}
