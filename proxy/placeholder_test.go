package proxy

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

const (
	phToken = "ghp_Zz09Zz09Zz09Zz09Zz09Zz09Zz09Zz09"
	phOther = "sk/oT=r+oTr0oTr0oTr0oTr0oTr0oTr0oTr0"
)

// nasty needs escaping wherever it stands.
const nasty = `q"b\s p&x=y/+%ü`

func placeholdersOf(c *RunConfig) {
	c.Placeholders = map[string]string{"TOKEN": phToken, "OTHER": phOther}
}

const placeholderManifest = `
action_id: api
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT", "evil.localhost:PORT"], allowed_paths: ["/**"]}
secrets:
  - {name: TOKEN, inject: [{as: placeholder, in: [PARTS], hosts: ["api.localhost:PORT"]}]}
  - {name: OTHER, inject: [{as: placeholder, in: [PARTS], hosts: ["api.localhost:PORT"]}]}
`

func (h *house) openPlaceholders(parts string) (*Run, string) {
	return h.open(strings.ReplaceAll(placeholderManifest, "PARTS", parts), placeholdersOf)
}

// arrived is what an origin was sent.
type arrived struct {
	*http.Request
	body string
}

// record answers path with an empty 200 and gives what arrived.
func (o *origin) record(path string) <-chan arrived {
	got := make(chan arrived, 16)
	o.on(path, func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			got <- arrived{r, string(b)}
		}
	})
	return got
}

func TestAPlaceholderGivesWayToItsSecretWhereABindingAllowsIt(t *testing.T) {
	h := newHouse(t)
	setSecrets(t, h.store, map[string]string{"TOKEN": nasty, "OTHER": other})
	run, tok := h.openPlaceholders("header, query, body")
	c, got := h.client(run, tok), h.origin.record("/p")
	send := func(t *testing.T, query, contentType, body string, header ...string) arrived {
		t.Helper()
		r, _ := http.NewRequest(http.MethodPost, h.url("/p"), strings.NewReader(body))
		r.URL.RawQuery = query
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		if resp, answer := do(t, c, r); resp.StatusCode != 200 {
			t.Fatalf("%s %s", resp.Status, answer)
		}
		a := <-got
		if n := a.Header.Get("Content-Length"); a.ContentLength != int64(len(a.body)) {
			t.Errorf("Content-Length %d (%s) of a body of %d bytes", a.ContentLength, n, len(a.body))
		}
		return a
	}
	t.Run("header", func(t *testing.T) {
		setSecrets(t, h.store, map[string]string{"TOKEN": token})
		defer setSecrets(t, h.store, map[string]string{"TOKEN": nasty})
		a := send(t, "", "", "", "X-Key", "a "+phToken+" b "+phOther+" c", "Cookie", "k="+url.QueryEscape(phOther))
		if want := "a " + token + " b " + other + " c"; a.Header.Get("X-Key") != want || a.Header.Get("Cookie") != "k="+url.QueryEscape(other) {
			t.Errorf("got %q, %q", a.Header.Get("X-Key"), a.Header.Get("Cookie"))
		}
	})
	t.Run("inside Basic", func(t *testing.T) {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
			a := send(t, "", "", "", "Authorization", "basic "+enc.EncodeToString([]byte("git:"+phToken)))
			if want := "basic " + enc.EncodeToString([]byte("git:"+nasty)); a.Header.Get("Authorization") != want {
				t.Errorf("got %q, want %q", a.Header.Get("Authorization"), want)
			}
		}
	})
	t.Run("query, its order and encoding kept", func(t *testing.T) {
		a := send(t, "z=%7e&k="+phToken+"&a=b+c%20d&o="+url.QueryEscape(phOther)+"&&q", "", "")
		if want := "z=%7e&k=" + url.QueryEscape(nasty) + "&a=b+c%20d&o=" + url.QueryEscape(other) + "&&q"; a.URL.RawQuery != want {
			t.Errorf("got  %q\nwant %q", a.URL.RawQuery, want)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		for _, kind := range []string{"application/json", "application/vnd.api+json; charset=utf-8", "application/x-ndjson"} {
			slashed := strings.ReplaceAll(phOther, "/", `\/`)
			a := send(t, "", kind, `{"t": "`+phToken+`", "o":["`+phOther+`","`+slashed+`"]}`)
			var v struct {
				T string
				O []string
			}
			if err := json.Unmarshal([]byte(a.body), &v); err != nil || v.T != nasty || v.O[0] != other || v.O[1] != other {
				t.Errorf("%s: %v: %q", kind, err, a.body)
			}
		}
	})
	t.Run("form", func(t *testing.T) {
		a := send(t, "", "application/x-www-form-urlencoded", "b=1&t="+phToken+"&a=%41&o="+url.QueryEscape(phOther))
		if want := "b=1&t=" + url.QueryEscape(nasty) + "&a=%41&o=" + url.QueryEscape(other); a.body != want {
			t.Errorf("got %q, want %q", a.body, want)
		}
	})
	t.Run("text", func(t *testing.T) {
		if a := send(t, "", "text/plain", "<"+phToken+">"); a.body != "<"+nasty+">" {
			t.Errorf("got %q", a.body)
		}
	})
	t.Run("a body over what fits in memory, and one of unknown length", func(t *testing.T) {
		for _, n := range []int{100, exactBody / 50, exactBody} {
			line := "0123456789 " + phToken + " 0123456789\n"
			text := strings.Repeat(line, n/len(line)+1)
			want := strings.ReplaceAll(text, phToken, nasty)
			for name, body := range map[string]io.Reader{"known": strings.NewReader(text), "chunked": io.MultiReader(strings.NewReader(text))} {
				r, _ := http.NewRequest(http.MethodPost, h.url("/p"), body)
				if resp, answer := do(t, c, r); resp.StatusCode != 200 {
					t.Fatalf("%s %d: %s %s", name, n, resp.Status, answer)
				}
				if a := <-got; a.body != want {
					t.Errorf("%s %d: %d bytes, want %d", name, n, len(a.body), len(want))
				}
			}
		}
	})
	t.Run("never recursively", func(t *testing.T) {
		setSecrets(t, h.store, map[string]string{"TOKEN": phOther + phToken})
		if a := send(t, "q="+phToken, "text/plain", phToken+phOther, "X-Key", phToken); a.body != phOther+phToken+other || a.Header.Get("X-Key") != phOther+phToken {
			t.Errorf("got %q, %q", a.body, a.Header.Get("X-Key"))
		}
	})
	t.Run("it is counted as an injection", func(t *testing.T) {
		if n := metricsOf(t, h)["latchgate_secrets_injections_total"]; n < 10 {
			t.Errorf("%v injections", n)
		}
	})
}

func TestAPlaceholderAnywhereElseTrips(t *testing.T) {
	h := newHouse(t)
	hdr := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	body := func(kind, text string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(text)), int64(len(text))
			r.Header.Set("Content-Type", kind)
		}
	}
	evil := func(r *http.Request) { r.URL.Host = evilHost + ":" + h.origin.port; r.Host = r.URL.Host }
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		name, parts, secret string
		change              []func(*http.Request)
	}{
		{"another host's header", "header", "TOKEN", []func(*http.Request){evil, hdr("X-Key", phToken)}},
		{"another host's Basic", "header", "TOKEN", []func(*http.Request){evil, hdr("Authorization", "Basic "+b64("u:"+phToken))}},
		{"another host's bearer", "header", "OTHER", []func(*http.Request){evil, hdr("Authorization", "Bearer "+phOther)}},
		{"another host's body", "body", "TOKEN", []func(*http.Request){evil, body("application/json", `{"a":"`+phToken+`"}`)}},
		{"a header where the query is allowed", "query, body", "TOKEN", []func(*http.Request){hdr("X-Key", phToken)}},
		{"the query where a header is", "header, body", "TOKEN", []func(*http.Request){func(r *http.Request) { r.URL.RawQuery = "a=1&b=" + phToken }}},
		{"the escaped query", "header", "OTHER", []func(*http.Request){func(r *http.Request) { r.URL.RawQuery = "b=" + url.QueryEscape(phOther) }}},
		{"a body where headers are", "header, query", "TOKEN", []func(*http.Request){body("text/plain", strings.Repeat("x", 40000)+phToken)}},
		{"a form", "header", "OTHER", []func(*http.Request){body("application/x-www-form-urlencoded", "a="+url.QueryEscape(phOther))}},
		{"a body in base64", "header, query, body", "TOKEN", []func(*http.Request){body("text/plain", b64("x"+phToken+"x"))}},
		{"a body in hex", "header, query, body", "TOKEN", []func(*http.Request){body("text/plain", fmt.Sprintf("%x", phToken))}},
		{"the path", "header, query, body", "TOKEN", []func(*http.Request){func(r *http.Request) { r.URL.Path = "/x/" + phToken }}},
		{"a header's name", "header, query, body", "TOKEN", []func(*http.Request){hdr("X-"+phToken, "1")}},
		{"the method", "header, query, body", "TOKEN", []func(*http.Request){func(r *http.Request) { r.Method = phToken }}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run, tok := h.openPlaceholders(c.parts)
			before, trips := len(h.origin.requests()), metricsOf(t, h)["latchgate_proxy_tripwire_total"]
			r, _ := http.NewRequest(http.MethodGet, h.url("/t"), nil)
			for _, f := range c.change {
				f(r)
			}
			resp, answer := do(t, h.client(run, tok), r)
			denied(t, resp, answer, Tripwire)
			if !strings.Contains(answer, c.secret) || strings.Contains(answer, phToken) || strings.Contains(answer, phOther) {
				t.Errorf("the answer: %s", answer)
			}
			if n := len(h.origin.requests()) - before; n != 0 {
				t.Errorf("%d requests were sent", n)
			}
			if n := metricsOf(t, h)["latchgate_proxy_tripwire_total"] - trips; n != 1 {
				t.Errorf("counted %v times", n)
			}
			if err := h.wire.audit.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			record, err := os.ReadFile(h.auditLog)
			if err != nil {
				t.Fatal(err)
			}
			line := string(record[bytes.LastIndexByte(bytes.TrimSpace(record), '\n')+1:])
			if !strings.Contains(line, `"kind":"tripwire"`) || !strings.Contains(line, run.ID) || !strings.Contains(line, `"secrets":["`+c.secret+`"]`) {
				t.Errorf("the record: %s", line)
			}
		})
	}
}

func TestAPlaceholderInAHostTrips(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(strings.Replace(bearerManifest, `"api.localhost:PORT"`, `"api.localhost:PORT", "*.wild.localhost"`, 1), placeholdersOf)
	short := strings.ToLower(phToken)
	for _, host := range []string{short + ".wild.localhost", short + ".elsewhere.localhost"} {
		_, br, resp := h.connect(run, tok, host+":443", "")
		b, _ := io.ReadAll(io.LimitReader(br, resp.ContentLength))
		denied(t, resp, string(b), Tripwire)
		r, _ := http.NewRequest(http.MethodGet, "http://"+host+"/", nil)
		resp, answer := do(t, h.client(run, tok), r)
		denied(t, resp, answer, Tripwire)
	}
}

// What an owned field holds is stripped before anything looks at it: a client
// that puts its placeholder where the secret belongs is doing what it should.
func TestAPlaceholderInAnOwnedFieldIsReplacedByTheStamp(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest, placeholdersOf)
	resp, _ := get(t, h.client(run, tok), h.url("/"), "Authorization", "token "+phToken)
	if got := h.origin.last(t).Header["Authorization"]; resp.StatusCode != 200 || len(got) != 1 || got[0] != "Bearer "+token {
		t.Fatalf("%s %q", resp.Status, got)
	}
}

func TestAPlaceholderWhoseSecretIsMissingIsNotSent(t *testing.T) {
	h := newHouse(t)
	doc := strings.ReplaceAll(placeholderManifest, "name: TOKEN,", "name: ABSENT, env: TOKEN,")
	run, tok := h.open(strings.ReplaceAll(doc, "PARTS", "header"), placeholdersOf)
	resp, body := get(t, h.client(run, tok), h.url("/"), "X-Key", phToken)
	denied(t, resp, body, SecretUnavailable)
	if resp, _ := get(t, h.client(run, tok), h.url("/"), "X-Key", "none"); resp.StatusCode != 200 {
		t.Fatalf("an optional secret's absence stopped a request that does not ask for it: %s", resp.Status)
	}
}

// In a body of unknown length the head may be gone when the placeholder comes;
// the placeholder itself never goes out, and the upstream sees no whole body.
func TestATripwireBreaksOffAStreamedBody(t *testing.T) {
	h := newHouse(t)
	run, tok := h.openPlaceholders("header")
	broke := make(chan string, 1)
	h.origin.on("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = errors.New("the body ended as if whole")
		}
		broke <- string(b) + "|" + err.Error()
	})
	for _, h2 := range []bool{false, true} {
		t.Run("h2 "+strconv.FormatBool(h2), func(t *testing.T) {
			body, feed := io.Pipe()
			r, _ := http.NewRequest(http.MethodPost, h.url("/stream"), body)
			c := h.client(run, tok, func(tr *http.Transport) {
				tr.ForceAttemptHTTP2 = h2
				if !h2 {
					tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
				}
			})
			fed := make(chan struct{})
			go func() {
				defer close(fed)
				_, _ = io.WriteString(feed, "harmless ")
				_, _ = io.WriteString(feed, phToken[:20])
				_, _ = io.WriteString(feed, phToken[20:]+" more")
				_ = feed.Close()
			}()
			resp, err := c.Do(r)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			_ = body.Close()
			<-fed
			if got := <-broke; strings.Contains(got, phToken[:4]) || strings.Contains(got, "as if whole") {
				t.Errorf("the upstream read %q", got)
			}
			if n := metricsOf(t, h)["latchgate_proxy_tripwire_total"]; n == 0 {
				t.Error("not counted")
			}
		})
	}
}
