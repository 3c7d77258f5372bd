package proxy

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestARevokedRunStopsInsideItsOpenTunnel(t *testing.T) {
	h := newHouse(t)
	for name, end := range map[string]func(*Run){
		"revoked": func(r *Run) { h.runs.Close(r.ID, ErrRunRevoked) },
		"closed":  func(r *Run) { h.runs.Close(r.ID, ErrRunClosed) },
	} {
		t.Run(name, func(t *testing.T) {
			run, tok := h.open(bearerManifest + blindManifest)
			c := h.tunnelTLS(run, tok, apiHost)
			head := "GET / HTTP/1.1\r\nHost: api.localhost:" + h.origin.port + "\r\n\r\n"
			if resp, _ := raw(t, c, head); resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
			blind, _, _ := h.connect(run, tok, "127.0.0.1:"+h.origin.port, "")
			end(run)
			resp, body := raw(t, c, head)
			denied(t, resp, body, RunUnknown)
			if resp.Header.Get("Proxy-Authenticate") == "" || !resp.Close {
				t.Errorf("headers %v", resp.Header)
			}
			if _, err := io.Copy(io.Discard, blind); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Error("the blind tunnel stays open")
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		run, tok := h.open(bearerManifest, func(c *RunConfig) { c.Deadline = time.Now().Add(50 * time.Millisecond) })
		<-run.Context().Done()
		resp, body := get(t, h.client(run, tok), "http://api.localhost:"+h.origin.port+"/")
		denied(t, resp, body, RunUnknown)
	})
	t.Run("in the middle of an answer", func(t *testing.T) {
		run, tok := h.open(bearerManifest)
		h.origin.on("/endless", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		resp, err := h.client(run, tok).Get(h.url("/endless"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		h.runs.Close(run.ID, ErrRunRevoked)
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Fatal("the answer looks whole")
		}
	})
}

func TestCredentialsOfARunAreChecked(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	other, otherTok := h.open(bearerManifest)
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		name, field string
		ok          bool
	}{
		{"basic", basic(run.ID + ":" + tok), true},
		{"lower-case scheme", "basic " + basic(run.ID + ":" + tok)[6:], true},
		{"bearer token", "Bearer " + tok, true},
		{"bearer id:token", "Bearer " + run.ID + ":" + tok, true},
		{"none", "", false},
		{"wrong token", basic(run.ID + ":" + otherTok), false},
		{"wrong run", basic(other.ID + ":" + tok), false},
		{"no token", basic(run.ID + ":"), false},
		{"no id", basic(":" + tok), false},
		{"not base64", "Basic !!!", false},
		{"other scheme", "Digest " + tok, false},
		{"bearer nonsense", "Bearer x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			if c.field != "" {
				header.Set("Proxy-Authorization", c.field)
			}
			if got := h.runs.identify(header, time.Now()); (got == run) != c.ok {
				t.Fatalf("identified %v", got)
			}
		})
	}
	resp, err := (&http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: h.addr}), DisableKeepAlives: true}}).Get("http://api.localhost/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	denied(t, resp, string(body), RunUnknown)
	if resp.Header.Get("Proxy-Authenticate") != `Basic realm="latchgate"` {
		t.Errorf("Proxy-Authenticate %q", resp.Header.Get("Proxy-Authenticate"))
	}
	t.Run("default run", func(t *testing.T) {
		h.runs.SetDefault(run)
		if h.runs.identify(http.Header{}, time.Now()) != run {
			t.Fatal("a client without credentials does not get the default run")
		}
		if h.runs.identify(http.Header{"Proxy-Authorization": {"Bearer x"}}, time.Now()) != nil {
			t.Fatal("wrong credentials fall back to the default run")
		}
	})
}

func TestABudgetEnds(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest, func(c *RunConfig) { c.MaxRequests = 2 })
	for range 2 {
		if resp, _ := get(t, h.client(run, tok), h.url("/")); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	resp, body := get(t, h.client(run, tok), h.url("/"))
	denied(t, resp, body, BudgetExhausted)
}
