package proxy

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/audit"
)

func TestABudgetOfBytesIsOfBothDirectionsAndExact(t *testing.T) {
	h := newHouse(t)
	h.origin.on("/sum", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "heard "+strconv.Itoa(len(body))) // 7 bytes
	})
	run, tok := h.open(bearerManifest, func(c *RunConfig) { c.MaxBytes = 24 })
	c := h.client(run, tok)
	send := func(body string, chunked bool) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, h.url("/sum"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if chunked {
			r.ContentLength = -1
		}
		return do(t, c, r)
	}
	for _, chunked := range []bool{false, true} { // twice 5 and 7 bytes: all of it
		if resp, body := send("hello", chunked); resp.StatusCode != 200 || body != "heard 5" {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	if run.Bytes() != 24 {
		t.Errorf("%d bytes were counted", run.Bytes())
	}
	resp, body := send("", false)
	denied(t, resp, body, BudgetExhausted)
	if n := len(h.origin.requests()); n != 2 {
		t.Errorf("%d requests arrived", n)
	}
	h.recorded(func(e audit.Entry) bool {
		return e.Kind == audit.Request && e.RequestBytes == 5 && e.ResponseBytes == 7
	})
}

// recorded waits until the record has an event that is.
func (h *house) recorded(is func(audit.Entry) bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for e, err := range audit.Follow(ctx, h.auditLog, 1000) {
		if err == nil && is(e) {
			return
		}
	}
	h.t.Error("no such event is in the record")
}

func TestARequestOverTheBudgetDoesNotArriveWhole(t *testing.T) {
	h := newHouse(t)
	whole := make(chan bool, 4)
	h.origin.on("/up", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		whole <- err == nil
	})
	for name, http2 := range map[string]bool{"h1": false, "h2": true} {
		run, tok := h.open(bearerManifest, func(c *RunConfig) { c.MaxBytes = 100_000 })
		c := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = http2 })
		before := len(h.origin.requests())
		resp, err := c.Post(h.url("/up"), "text/plain", strings.NewReader(strings.Repeat("x", 100_001)))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		denied(t, resp, string(body), BudgetExhausted)
		if len(h.origin.requests()) != before {
			t.Errorf("%s: a request that says how much too long it is was sent", name)
		}
		// The upload above was not finished; its connection is of no more use.
		c = h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = http2 })
		resp, err = c.Post(h.url("/up"), "text/plain", io.MultiReader(strings.NewReader(strings.Repeat("x", 100_001))))
		if err != nil {
			t.Fatal(err)
		}
		body, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		denied(t, resp, string(body), BudgetExhausted)
		if <-whole {
			t.Errorf("%s: the upstream took a part for the whole", name)
		}
	}
}

// An answer over the budget breaks off: however it is framed or coded, no client
// can take it for whole.
func TestAnAnswerOverTheBudgetBreaksOff(t *testing.T) {
	h := newHouse(t)
	const size = 200_000
	text := strings.Repeat("0123456789", size/10)
	h.origin.on("/length", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = io.WriteString(w, text)
	})
	h.origin.on("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 20 {
			_, _ = io.WriteString(w, text[i*size/20:(i+1)*size/20])
			_ = http.NewResponseController(w).Flush()
		}
	})
	h.origin.on("/small", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text[:8000]) })
	h.origin.on("/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(w, gzip.NoCompression)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
	})
	for kind, manifest := range map[string]string{
		"scrubbed":  bearerManifest,
		"untouched": "action_id: open\negress: {profile: proxy_allowlist, allowed_domains: [\"api.localhost:PORT\"], allowed_methods: [GET]}\n",
	} {
		open := func(limit int64) (*Run, string) {
			return h.open(manifest, func(c *RunConfig) { c.MaxBytes = limit })
		}
		for _, path := range []string{"/length", "/chunked", "/small", "/gzip"} {
			for _, http2 := range []bool{false, true} {
				run, tok := open(size + 1000) // enough, whatever the coding adds
				c := h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = http2 })
				if resp, body := get(t, c, h.url(path)); resp.StatusCode != 200 || !strings.HasSuffix(text, body[max(0, len(body)-100):]) && path != "/gzip" {
					t.Errorf("%s %s, h2 %t: %s, %d bytes", kind, path, http2, resp.Status, len(body))
				}
				if path != "/gzip" { // exactly enough
					run, tok = open(run.Bytes())
					get(t, h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = http2 }), h.url(path))
				}
				run, tok = open(5000)
				c = h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = http2 })
				resp, err := c.Get(h.url(path))
				if err != nil { // it broke off before its head went out
					continue
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err == nil {
					t.Errorf("%s %s, h2 %t: %d bytes of %d look whole", kind, path, http2, len(got), size)
				}
				if len(got) > 5000 {
					t.Errorf("%s %s, h2 %t: %d bytes came", kind, path, http2, len(got))
				}
				resp, body := get(t, c, h.url(path))
				denied(t, resp, body, BudgetExhausted)
			}
		}
	}
	h.recorded(func(e audit.Entry) bool { return e.Kind == audit.Request && e.Code == string(BudgetExhausted) })
}

func TestATunnelThatIsNotLookedIntoHasABudgetToo(t *testing.T) {
	h := newHouse(t)
	h.origin.on("/much", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	run, tok := h.open(blindManifest, func(c *RunConfig) { c.MaxBytes = 100_000 })
	c := h.client(run, tok, func(tr *http.Transport) { tr.TLSClientConfig.RootCAs = h.origin.roots() })
	resp, err := c.Get("https://127.0.0.1:" + h.origin.port + "/much")
	if err == nil {
		var n int64
		n, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if n > 100_000 {
			t.Errorf("%d bytes came", n)
		}
	}
	if err == nil {
		t.Error("the tunnel did not end")
	}
	_, _, resp = h.connect(run, tok, "127.0.0.1:"+h.origin.port, "")
	if resp.Header.Get("Latchgate-Error") != string(BudgetExhausted) {
		t.Errorf("another tunnel: %s", resp.Status)
	}
}

func TestNothingIsSentThatCannotBeRecorded(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // where the record's folder belongs
		t.Fatal(err)
	}
	record, err := audit.Open(filepath.Join(folder, "audit.jsonl"), audit.Options{Tolerant: true, Lossy: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, must := range []bool{true, false} {
		h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) { w.Audit, w.MustRecord = record, must })
		run, tok := h.open(bearerManifest)
		resp, body := get(t, h.client(run, tok), h.url("/"))
		if must {
			denied(t, resp, body, Overloaded)
		} else if resp.StatusCode != 200 {
			t.Errorf("%s %s", resp.Status, body)
		}
		if got := len(h.origin.requests()); got == 1 == must {
			t.Errorf("must record %t: %d requests arrived", must, got)
		}
	}
	if err := record.Close(context.Background()); err == nil {
		t.Error("the record was written after all")
	}
}

// A run that is renewed in the moment of its end lives on.
func TestRenewalMovesTheEnd(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest, func(c *RunConfig) { c.Deadline = time.Now().Add(time.Hour) })
	if h.runs.Renew("run-0", time.Now()) || !h.runs.Renew(run.ID, time.Now().Add(2*time.Hour)) {
		t.Error("renew")
	}
	h.runs.end(run, ErrRunExpired) // the timer of the first deadline, late
	if resp, body := get(t, h.client(run, tok), h.url("/")); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	endless, _ := h.open(bearerManifest)
	if h.runs.Renew(endless.ID, time.Now().Add(time.Hour)) || !endless.Deadline().IsZero() {
		t.Error("a run without a deadline got one")
	}
}

func TestAWebSocketHasABudgetToo(t *testing.T) {
	h := newHouse(t)
	peers := h.origin.serveWebSocket(t, "/socket")
	much := strings.Repeat("0123456789", 200)
	for name, send := range map[string]func(client, server *peer){
		"down": func(_, server *peer) { server.send(frame{0x81, much}) },
		"up":   func(client, _ *peer) { client.send(frame{0x81, much}) },
	} {
		run, tok := h.open(bearerManifest, func(c *RunConfig) { c.MaxBytes = 1000 })
		client, resp := h.dialWebSocket(run, tok, "/socket", "")
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp.Status)
		}
		server := <-peers
		client.send(frame{0x81, "hello"})
		if f := server.message(); f.payload != "hello" {
			t.Errorf("%s: %q", name, f.payload)
		}
		send(client, server)
		f := client.next()
		for f.head == 0x81 || f.head == 0x01 || f.head == 0x80 || f.head == 0x00 && f.payload != "EOF" {
			f = client.next()
		}
		if f.head != 0x88 && f.payload != "EOF" || f.head == 0x88 && !strings.HasSuffix(f.payload, string(BudgetExhausted)) {
			t.Errorf("%s: it ends with %#x %q", name, f.head, f.payload)
		}
		_ = client.c.Close()
		if f := server.message(); f.payload == much {
			t.Errorf("%s: what is over the budget arrived", name)
		}
		_ = server.c.Close()
	}
	h.recorded(func(e audit.Entry) bool { return e.Kind == audit.Denied && e.Code == string(BudgetExhausted) })
}
