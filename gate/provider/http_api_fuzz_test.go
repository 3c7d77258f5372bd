package provider

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzGuestReadsJSONAsGoDoes compares the guest's reader with encoding/json, on
// an answer that is passed through and on an argument.
func FuzzGuestReadsJSONAsGoDoes(f *testing.F) {
	for _, doc := range []string{`{"a":[1,-2.5e+3,"x\u00e9\ud83d\ude00",null,true,false]}`, ` [ ] `, `{"a":1,"a":2}`, `01`, `1.`, `-`, `"\x"`, `"\u12g4"`, "\"\t\"", `[1,]`, `{,}`, `nul`, `"\ud800\u0041"`, `1e5`, `{"a"}`, "\ufeff{}"} {
		f.Add(doc)
	}
	// Strings are read eight bytes at a time.
	for before := range 17 {
		for _, special := range []string{`\"`, `\\`, `\n`, "\x1f", " ", "!", "\x7f", "\u00a2", "\u00dc", "\xdc", `"`} {
			f.Add(`"` + strings.Repeat("é", before/2) + strings.Repeat("a", before%2) + special + `tail of it"`)
		}
	}
	m := httpAPIModule(f)
	f.Fuzz(func(t *testing.T, doc string) {
		if strings.Count(doc, "[")+strings.Count(doc, "{") > 190 {
			t.Skip("the guest stops at 200 levels")
		}
		_, result, err := runHTTPAPI(t, m, Template{URL: "https://api.x/"}, `{}`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, doc)
		})
		if err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		want, _ := json.Marshal(doc)
		if doc == "" {
			want = []byte("null")
		} else if json.Valid([]byte(doc)) {
			want = []byte(doc)
		}
		var got struct {
			Body       json.RawMessage
			BodyBase64 []byte `json:"body_base64"`
		}
		if err := json.Unmarshal(result.Output, &got); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(doc) != (got.BodyBase64 == nil) || got.BodyBase64 != nil && string(got.BodyBase64) != doc {
			t.Errorf("%q became %s", doc, result.Output)
		} else if got.BodyBase64 == nil && !sameJSON(t, got.Body, want) {
			t.Errorf("%q became %s", doc, result.Output)
		}
		if !json.Valid([]byte(doc)) || !utf8.ValidString(doc) {
			return
		}
		req, _, err := runHTTPAPI(t, m, Template{Method: "POST", URL: "https://api.x/", Body: []any{"{{v}}"}}, `{"v":`+doc+`}`, nothing)
		if err != nil || !sameJSON(t, []byte(req.body), []byte("["+doc+"]")) {
			t.Errorf("the argument %q became %v, %v", doc, req, err)
		}
	})
}

// sameJSON compares two documents, numbers by how they are written.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	decode := func(doc []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		return v
	}
	return reflect.DeepEqual(decode(a), decode(b))
}

// FuzzArgumentNeverBecomesStructure renders a value into every kind of place and
// reads the request as an upstream would.
func FuzzArgumentNeverBecomesStructure(f *testing.F) {
	for _, v := range []string{"x", "", "..", "a/../b", "a?b=c&d#e", "\r\nX: y", "%2e%2e", "{{b}}", `"},{"`, "é😀", "\x00", "a@b:c\\d", "//h/", "\xff"} {
		f.Add(v)
	}
	m := httpAPIModule(f)
	f.Fuzz(func(t *testing.T, v string) {
		args, err := json.Marshal(map[string]string{"v": v})
		if err != nil {
			t.Skip()
		}
		if !utf8.ValidString(v) { // json.Marshal has put U+FFFD there
			if err := json.Unmarshal(args, &struct{ V *string }{&v}); err != nil {
				t.Fatal(err)
			}
		}
		body := map[string]any{"exact": "{{v}}", "mixed": "<{{v}}>"}
		check := func(tmpl Template, path, query string, form bool) {
			req, _, err := runHTTPAPI(t, m, tmpl, string(args), nothing)
			if err != nil && req == nil {
				if e := wantCode(t, err, CodeFailed); len(e.Detail) == 0 {
					t.Errorf("no detail: %v", e)
				}
				return
			}
			u, err := url.Parse(req.url)
			if err != nil || u.Host != "api.x" || u.Scheme != "https" || u.User != nil || u.Fragment != "" {
				t.Fatalf("%q became the URL %s", v, req.url)
			}
			if u.Path != path {
				t.Errorf("%q became the path %q, want %q", v, u.Path, path)
			}
			for _, seg := range strings.Split(u.EscapedPath(), "/")[1:] {
				if seg == "" || seg == "." || seg == ".." {
					t.Errorf("%q became the path %q", v, u.EscapedPath())
				}
			}
			if got := u.Query().Get("q"); len(u.Query()) != 1 || got != query {
				t.Errorf("%q became the query %q", v, u.RawQuery)
			}
			if form {
				values, err := url.ParseQuery(req.body)
				if err != nil || len(values) != 2 || values.Get("exact") != v || values.Get("mixed") != "<"+v+">" {
					t.Errorf("%q became the form %q", v, req.body)
				}
				return
			}
			var doc map[string]string
			if err := json.Unmarshal([]byte(req.body), &doc); err != nil || len(doc) != 2 || doc["exact"] != v || doc["mixed"] != "<"+v+">" {
				t.Errorf("%q became the body %s", v, req.body)
			}
		}
		check(Template{Method: "POST", URL: "https://api.x/a/{{v}}/z?q={{v}}", Body: body}, "/a/"+v+"/z", v, false)
		check(Template{Method: "POST", URL: "https://api.x/{{path:v}}?q=-{{v}}", Body: body, Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
			"/"+strings.TrimSuffix(strings.TrimPrefix(v, "/"), "/"), "-"+v, true)
		req, _, _ := runHTTPAPI(t, m, Template{URL: "https://{{v}}.api.x/"}, string(args), nothing)
		if req != nil && req.url != "https://"+v+".api.x/" || req != nil && strings.ContainsAny(v, "./@:?#\\ ") {
			t.Errorf("%q became the host of %s", v, req.url)
		}
	})
}
