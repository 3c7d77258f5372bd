package target

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPathHasOneSpelling(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "/",
		"/":                                  "/",
		"/repos/o/r/issues":                  "/repos/o/r/issues",
		"/public/../admin":                   "/admin",
		"/public/%2e%2e/admin":               "/admin",
		"/public/%2E./admin":                 "/admin",
		"/public/.%2e/admin":                 "/admin",
		"/a/./b":                             "/a/b",
		"/a/%2e/b":                           "/a/b",
		"//a///b//":                          "/a/b/",
		"/a//../b":                           "/b",
		"/../a":                              "/a",
		"/../../..":                          "/",
		"/a/..":                              "/",
		"/a/b/..":                            "/a/",
		"/a/.":                               "/a/",
		"/a/":                                "/a/",
		"/.":                                 "/",
		"/..":                                "/",
		"/...":                               "/...",
		"/.a/..b/c.":                         "/.a/..b/c.",
		"/%72epos":                           "/repos",
		"/%7Euser/%7euser":                   "/~user/~user",
		"/group%2fproject":                   "/group%2Fproject",
		"/sites/https%3a%2f%2fe.com%2F/x":    "/sites/https%3A%2F%2Fe.com%2F/x",
		"/a%20b":                             "/a%20b",
		"/a b":                               "/a%20b",
		"/a%25b":                             "/a%25b",
		"/%252e%252e/a":                      "/%252e%252e/a",
		"/%25%32%65":                         "/%252e",
		"/a;v=1/b;c":                         "/a;v=1/b;c",
		"/a%3bv":                             "/a%3Bv",
		"/v1/x:cancel@2!$&'()*+,=":           "/v1/x:cancel@2!$&'()*+,=",
		"/v1/x%3acancel":                     "/v1/x%3Acancel",
		"/caf%c3%a9":                         "/caf%C3%A9",
		"/café":                              "/caf%C3%A9",
		"/caf\xc3%a9":                        "/caf%C3%A9",
		"/%f0%9f%98%80":                      "/%F0%9F%98%80",
		"/{a}|<b>^`\"[c]":                    "/%7Ba%7D%7C%3Cb%3E%5E%60%22%5Bc%5D",
		"/a%3Fb%23c":                         "/a%3Fb%23c",
		"/" + strings.Repeat("%61", 500):     "/" + strings.Repeat("a", 500),
		"/" + strings.Repeat("a/../", 200):   "/",
		"/a;/../b":                           "/b",
		"/.%3ba/..":                          "/",
		"/a/..;/b":                           "error",
		"/a/..;x=1/b":                        "error",
		"/a/.;/b":                            "error",
		"/a/..%3b/b":                         "error",
		"/a/..%2Fb":                          "error",
		"/a%2F..":                            "error",
		"/a%2F../b":                          "error",
		"/a%2F%2e%2e%2Fb":                    "error",
		"/a%2f.%2fb":                         "error",
		"/a%2F..;x":                          "error",
		"/a\\b":                              "error",
		"/a%5cb":                             "error",
		"/a%5Cb":                             "error",
		"/a%00":                              "error",
		"/a\x00":                             "error",
		"/a%0d%0ab":                          "error",
		"/a\nb":                              "error",
		"/a%7f":                              "error",
		"/a%09":                              "error",
		"/%c2%85":                            "error",
		"/%zz":                               "error",
		"/%":                                 "error",
		"/%4":                                "error",
		"/%4g":                               "error",
		"/%u0041":                            "error",
		"/%c0%ae%c0%ae/":                     "error",
		"/%c0%af":                            "error",
		"/%e0%80%af":                         "error",
		"/%f0%80%80%af":                      "error",
		"/%ed%a0%80":                         "error",
		"/%f4%90%80%80":                      "error",
		"/%ff":                               "error",
		"/\xff":                              "error",
		"/%c3":                               "error",
		"/%c3/%a9":                           "error",
		"/%c3%2F%a9":                         "error",
		"/%e2%82":                            "error",
		"/a?b":                               "error",
		"/a#b":                               "error",
		"a":                                  "error",
		"*":                                  "error",
		"../a":                               "error",
		"%2Fa":                               "error",
		"https://example.com/":               "error",
		"/" + strings.Repeat("x", 300) + "%": "error",
	} {
		got, err := CanonicalPath(in)
		var typed *Error
		switch {
		case want == "error" && !errors.As(err, &typed):
			t.Errorf("%q: got %q, want it refused", in, got)
		case want != "error" && (err != nil || got != want):
			t.Errorf("%q: got %q %v, want %q", in, got, err, want)
		}
	}
}

func TestLoosenedPathShowsWhatALenientServerMayRead(t *testing.T) {
	for in, want := range map[string]string{
		"/v1/x%3Adelete":         "/v1/x:delete",
		"/admin%2Fusers":         "/admin/users",
		"/admin%2F%2Fusers%2F":   "/admin/users/",
		"/%2Fadmin":              "/admin",
		"/a%20b%3Adelete":        "/a%20b:delete",
		"/caf%C3%A9%40x":         "/caf%C3%A9@x",
		"/%252F":                 "/%252F",
		"/plain":                 "/plain",
		"/a%20b":                 "/a%20b",
		"/a%3Bjsessionid%3D1%2F": "/a;jsessionid=1/",
	} {
		if got := Loosened(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestQueryIsCheckedButNotRead(t *testing.T) {
	for _, q := range []string{"", "a=1&b=2", "q=100%", "a=%zz;b", "a=%0D%0A%00", "a=\"{}|\\", "caf\xc3\xa9", "?", "a=/../"} {
		if err := CheckQuery(q); err != nil {
			t.Errorf("%q: %v", q, err)
		}
	}
	for _, q := range []string{"a b", "a\r\nHost: x", "a\x00", "a\tb", "a#b", "a\x7f"} {
		var typed *Error
		if err := CheckQuery(q); !errors.As(err, &typed) {
			t.Errorf("%q: %v", q, err)
		}
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{
		"/", "/public/../admin", "//a//b/", "/%2e%2e/%2E", "/%72", "/a%2Fb", "/a%2f../b", "/..;/x", "/caf%c3%a9", "/\xc3%a9", "/%c0%ae",
		"/%5c", "/%00", "/%252e", "/a b{}", "/x%3adelete", "/.%2e/..%3b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, err := CanonicalPath(raw)
		if err != nil {
			var typed *Error
			if !errors.As(err, &typed) || path != "" {
				t.Fatalf("%T %q", err, path)
			}
			return
		}
		if again, err := CanonicalPath(path); err != nil || again != path {
			t.Errorf("%q gives %q, and that gives %q %v", raw, path, again, err)
		}
		if strings.Contains(path, "//") || strings.ContainsAny(path, "\\?# \x00") || !utf8.ValidString(path) || path[0] != '/' {
			t.Errorf("%q gives %q", raw, path)
		}
		loose := Loosened(path)
		for _, p := range []string{path, loose} {
			for _, segment := range strings.Split(p, "/") {
				if s, _, _ := strings.Cut(segment, ";"); s == "." || s == ".." {
					t.Errorf("%q gives %q with a dot segment", raw, p)
				}
			}
		}
		if again, err := CanonicalPath(loose); err != nil || again != loose {
			t.Errorf("%q loosened is %q, which is not canonical: %q %v", path, loose, again, err)
		}
	})
}

// TestServersAgreeOnACanonicalPath checks against the one server at hand that
// a canonical path is not cleaned any further on the way to its handler.
func TestServersAgreeOnACanonicalPath(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.EscapedPath())) })
	for _, raw := range []string{"/public/../admin", "/a//b", "/%2e%2e/x", "/a%2Fb", "/caf%c3%a9", "/a;b/%7E", "/.../x"} {
		path, err := CanonicalPath(raw)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "http://example.com"+path, nil))
		if w.Code != http.StatusOK || w.Body.String() != path {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func BenchmarkCanonicalPath(b *testing.B) {
	for name, p := range map[string]string{
		"plain": "/repos/octocat/hello-world/issues", "escaped": "/projects/group%2Fproject/issues", "dots": "/public/../admin/%72epos",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := CanonicalPath(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
