package proxy

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestWhatIsNotAllowedIsDeniedWithWhatWouldBe(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(`
action_id: narrow
egress:
  profile: proxy_allowlist
  allowed_domains: ["api.localhost:PORT"]
  allowed_methods: [GET]
  allowed_paths: ["/public/**"]
secrets: [{name: TOKEN}]
`)
	client := h.client(run, tok)
	for _, c := range []struct{ name, method, url, hint string }{
		{"host", "GET", "http://evil.localhost:" + h.origin.port + "/public/x", "egress.allowed_domains in "},
		{"port", "GET", "http://api.localhost:81/public/x", "allowed: api.localhost:" + h.origin.port},
		{"method", "DELETE", h.url("/public/x"), "allowed: GET; to allow it, add it to egress.allowed_methods in "},
		{"path", "GET", h.url("/admin"), "allowed: /public/**; to allow it, add it to egress.allowed_paths in "},
		{"path by dots", "GET", h.url("/public/../admin"), "egress.allowed_paths"},
		{"path by encoded dots", "GET", h.url("/public/%2e%2e/admin"), "egress.allowed_paths"},
		{"path by encoded letters", "GET", h.url("/%61dmin"), "egress.allowed_paths"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequest(c.method, c.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, body := do(t, client, r)
			denied(t, resp, body, EgressDenied)
			var e errorBody
			_ = json.Unmarshal([]byte(body), &e)
			if !strings.Contains(e.Error.Hint, c.hint) || e.Error.Run != run.ID {
				t.Errorf("hint %q, run %q", e.Error.Hint, e.Error.Run)
			}
			if strings.Contains(body, "admin") {
				t.Errorf("the answer repeats the path: %s", body)
			}
		})
	}
	t.Run("a CONNECT to another host", func(t *testing.T) {
		_, _, resp := h.connect(run, tok, "evil.localhost:443", "")
		if resp.StatusCode != 403 || resp.Header.Get("Latchgate-Error") != "egress_denied" {
			t.Fatal(resp.Status)
		}
	})
	t.Run("what is allowed is sent in its canonical form", func(t *testing.T) {
		get(t, client, h.url("/x/..//public/%7Euser/%2Fa%20b"))
		if got := h.origin.last(t).RequestURI; got != "/public/~user/%2Fa%20b" {
			t.Fatalf("sent %q", got)
		}
	})
	t.Run("what can't be canonicalised is a bad request", func(t *testing.T) {
		for _, path := range []string{"/public/%zz", "/public/%00", `/public/\..\admin`, "/public/%c0%af"} {
			c := h.tunnelTLS(run, tok, apiHost)
			resp, body := raw(t, c, "GET "+path+" HTTP/1.1\r\nHost: api.localhost:"+h.origin.port+"\r\n\r\n")
			if resp.StatusCode != 400 {
				t.Errorf("%s: %s %s", path, resp.Status, body)
			}
		}
	})
	if n := len(h.origin.requests()); n != 1 {
		t.Fatalf("%d requests arrived", n)
	}
}

func TestOneActionsSecretDoesNotGoOnAnotherActionsRequest(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(`
action_id: narrow
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"], allowed_paths: ["/a"]}
secrets: [{name: TOKEN}]
---
action_id: wide
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: OTHER}]
`)
	for path, want := range map[string]string{"/a": token, "/b": other} {
		get(t, h.client(run, tok), h.url(path))
		if got := h.origin.last(t).Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestPrivateAddressesAreRefusedWhenTheyAreDialled(t *testing.T) {
	h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) {
		w.Upstream.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	})
	run, tok := h.open(`
action_id: any
egress: {profile: proxy_allowlist, allowed_domains: ["169.254.169.254", "169.254.169.254:80", "100.100.100.200:80", "[fd00:ec2::254]:80"], allowed_methods: [GET]}
`)
	for _, u := range []string{"http://169.254.169.254/latest/meta-data", "https://169.254.169.254/", "http://100.100.100.200/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/"} {
		resp, body := get(t, h.client(run, tok), u)
		denied(t, resp, body, PrivateAddress)
	}
	closed := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) { w.Upstream.AllowPrivate = nil })
	run, tok = closed.open(bearerManifest)
	resp, body := get(t, closed.client(run, tok), closed.url("/"))
	denied(t, resp, body, PrivateAddress)
}

func TestARotatedSecretIsUsedByTheNextRequestAndTheOldOneStillScrubbed(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok)
	get(t, client, h.url("/"))
	setSecrets(t, h.store, map[string]string{"TOKEN": "rotated-0123456789"})
	h.origin.on("/old", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "now %s, before %s", r.Header.Get("Authorization"), token)
	})
	_, body := get(t, client, h.url("/old"))
	if got := h.origin.last(t).Header.Get("Authorization"); got != "Bearer rotated-0123456789" {
		t.Fatalf("Authorization %q", got)
	}
	if body != "now Bearer ***REDACTED***, before ***REDACTED***" {
		t.Fatalf("body %q", body)
	}
}

func TestScrubbing(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok)
	t.Run("headers, trailers and a compressed body", func(t *testing.T) {
		h.origin.on("/all", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", "<"+token+">")
			w.Header().Set("Location", "https://elsewhere/?t="+url.QueryEscape(token))
			w.Header().Set("Alt-Svc", `h3=":443"`)
			w.Header().Set("Trailer", "X-Trailer")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, strings.Repeat("x", 100_000)+token+strings.Repeat("y", 100_000))
			_ = z.Close()
			w.Header().Set("X-Trailer", token)
		})
		resp, body := get(t, client, h.url("/all"), "Accept-Encoding", "gzip")
		if want := strings.Repeat("x", 100_000) + "***REDACTED***" + strings.Repeat("y", 100_000); body != want {
			t.Errorf("the body is %d bytes, want %d", len(body), len(want))
		}
		if got := resp.Header.Get("X-Echo") + resp.Header.Get("Alt-Svc") + resp.Header.Get("Content-Encoding"); got != "<***REDACTED***>" {
			t.Errorf("headers %v", resp.Header)
		}
		if resp.Header.Get("Location") != "https://elsewhere/?t=***REDACTED***" {
			t.Errorf("Location %q", resp.Header.Get("Location"))
		}
		if resp.Trailer.Get("X-Trailer") != "***REDACTED***" {
			t.Errorf("trailers %v", resp.Trailer)
		}
	})
	t.Run("an encoding that can't be searched is refused", func(t *testing.T) {
		h.origin.on("/odd", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "exi")
			_, _ = io.WriteString(w, token)
		})
		resp, body := get(t, client, h.url("/odd"))
		denied(t, resp, body, Unscannable)
	})
	t.Run("no part of a body is asked for", func(t *testing.T) {
		get(t, client, h.url("/"), "Range", "bytes=0-3", "If-Range", "x")
		if seen := h.origin.last(t); seen.Header["Range"] != nil || seen.Header["If-Range"] != nil {
			t.Errorf("the origin saw %v", seen.Header)
		}
	})
	t.Run("pictures pass, but for their trailers", func(t *testing.T) {
		h.origin.on("/png", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Trailer", "X-T")
			_, _ = io.WriteString(w, token)
			w.Header().Set("X-T", token)
		})
		resp, body := get(t, client, h.url("/png"))
		if body != token || resp.Trailer.Get("X-T") != "***REDACTED***" {
			t.Errorf("body %q trailers %v", body, resp.Trailer)
		}
	})
	t.Run("the length of a HEAD and of an empty body stay", func(t *testing.T) {
		h.origin.on("/head", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "12345") })
		resp, err := client.Head(h.url("/head"))
		if err != nil || resp.ContentLength != 12345 {
			t.Fatalf("%v %v", resp, err)
		}
		h.origin.on("/empty", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") })
		if resp, _ := get(t, client, h.url("/empty")); resp.ContentLength != 0 {
			t.Fatalf("length %d", resp.ContentLength)
		}
	})
	t.Run("a host without bindings is searched too", func(t *testing.T) {
		run, tok := h.open(strings.Replace(bearerManifest, "required: true", `inject: [{as: bearer, paths: ["/none"]}]`, 1))
		h.origin.on("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, token) })
		if _, body := get(t, h.client(run, tok), h.url("/plain")); body != "***REDACTED***" {
			t.Fatalf("body %q", body)
		}
	})
}

func TestRequestBodiesKeepTheirMeaning(t *testing.T) {
	h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) { w.MaxRequestBytes = 1 << 20 })
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok)
	h.origin.on("/up", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d bytes, length %d, %v, %v", n, r.ContentLength, r.TransferEncoding, err)
	})
	post := func(body io.Reader) (*http.Response, string) {
		r, err := http.NewRequest(http.MethodPost, h.url("/up"), body)
		if err != nil {
			t.Fatal(err)
		}
		return do(t, client, r)
	}
	if _, body := post(http.NoBody); body != "0 bytes, length 0, [], <nil>" {
		t.Errorf("Content-Length: 0: %s", body)
	}
	if _, body := post(strings.NewReader("hello")); body != "5 bytes, length 5, [], <nil>" {
		t.Errorf("known length: %s", body)
	}
	if _, body := post(io.MultiReader(strings.NewReader("hello"))); body != "5 bytes, length -1, [], <nil>" {
		t.Errorf("chunked: %s", body)
	}
	resp, body := post(strings.NewReader(strings.Repeat("x", 1<<20+1)))
	denied(t, resp, body, TooLarge)
	resp, body = post(io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20+1))))
	denied(t, resp, body, TooLarge)
}

func TestTheRequestPolicyDecidesEachRequest(t *testing.T) {
	dir := t.TempDir()
	rego := `package latchgate
action := {"allow": true}
request := {"allow": input.path == "/yes", "reason": "only /yes"}
`
	if err := os.WriteFile(dir+"/policy.rego", []byte(rego), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(_ *WireConfig, _ *ServerConfig, p *policyOptions) { p.Dirs = []string{dir} })
	run, tok := h.open(bearerManifest + blindManifest)
	if resp, body := get(t, h.client(run, tok), h.url("/yes")); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	resp, body := get(t, h.client(run, tok), h.url("/no"))
	denied(t, resp, body, PolicyDenied)
	t.Run("a host that would be tunnelled is looked into", func(t *testing.T) {
		resp, body := get(t, h.client(run, tok), "https://127.0.0.1:"+h.origin.port+"/no")
		denied(t, resp, body, PolicyDenied)
	})
}

func TestTheProvidersDoorIsTheSameWire(t *testing.T) {
	h := newHouse(t)
	run, _ := h.open(bearerManifest)
	ask := func(target string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp := h.wire.Do(run, r)
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	if resp, body := ask(h.url("/x")); resp.StatusCode != 200 || !strings.Contains(body, "Bearer ***REDACTED***") {
		t.Fatalf("%s %s", resp.Status, body)
	}
	resp, body := ask("https://evil.localhost/")
	denied(t, resp, body, EgressDenied)
	resp, body = ask("ftp://api.localhost/")
	denied(t, resp, body, BadRequest)
	h.runs.Close(run.ID, ErrRunClosed)
	resp, body = ask(h.url("/x"))
	denied(t, resp, body, RunUnknown)
}

func TestEveryExchangeIsRecordedOnceByNamesAlone(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	get(t, h.client(run, tok), h.url("/p?q=1"))
	get(t, h.client(run, tok), "http://evil.localhost/p?q=1")
	if err := h.wire.audit.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(h.auditLog)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"kind":"request"`) || !strings.Contains(lines[0], `"secrets":["TOKEN"]`) ||
		!strings.Contains(lines[1], `"code":"egress_denied"`) {
		t.Fatalf("the record:\n%s", data)
	}
	for _, word := range []string{"/p", "q=1", token[:8], tok} {
		if strings.Contains(string(data), word) {
			t.Errorf("the record holds %q", word)
		}
	}
	m := h.wire.metrics
	if n := testutil.ToFloat64(m.injections.WithLabelValues("api", "TOKEN", "api.localhost:"+h.origin.port)); n != 1 {
		t.Errorf("injections %v", n)
	}
	if n := testutil.ToFloat64(m.requests.WithLabelValues("api", "api.localhost:"+h.origin.port, "GET", "200")); n != 1 {
		t.Errorf("requests %v", n)
	}
	if n := testutil.ToFloat64(m.scrubbed.WithLabelValues("api", "TOKEN")); n != 1 {
		t.Errorf("scrubbed %v", n)
	}
}

// net/http quotes a malformed answer in its error.
func TestASecretInAMalformedAnswerDoesNotReachTheLog(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	h.origin.on("/garbage", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = fmt.Fprintf(c, "you sent %s\r\n\r\n", r.Header.Get("Authorization"))
		_ = c.Close()
	})
	resp, body := get(t, h.client(run, tok), h.url("/garbage"))
	denied(t, resp, body, UpstreamUnreachable)
	if !strings.Contains(h.log.String(), "malformed") || strings.Contains(h.log.String(), token) {
		t.Fatalf("the log:\n%s", h.log.String())
	}
}
