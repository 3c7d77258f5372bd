package gate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/proxy"
)

// catalogService is what the tests expect of a service's bundled actions.
//
// An auth names the places where credentials must stand, one a line:
// "Header: value", "query name=value" or "path /prefix". $NAME in it is the
// secret of that name, and base64(...) is encoded.
type catalogService struct {
	name    string
	auth    string // of the calls
	headers string // that the calls' templates send besides, one a line
	calls   []catalogCall
	probes  []catalogProbe
}

// catalogCall executes an action and says which request must arrive.
type catalogCall struct {
	action, args string
	request      string // "METHOD URL", without what auth adds
	body         string // JSON, or a form; $NAME is the secret
}

// catalogProbe sends a request through the proxy as an agent with that profile.
type catalogProbe struct {
	profile string
	request string // "METHOD URL", or "METHOD URL BODY"; $NAME is the placeholder
	auth    string // "" for a request that passes without a credential; "refused"; "tripwire"
}

var catalogServices = slices.Concat(catalogCode, catalogModels, catalogChat, catalogWork, catalogOps, catalogMore)

func TestEveryBundledActionSendsItsRequestAndNothingElse(t *testing.T) {
	w := newCatalogWorld(t)
	for _, s := range catalogServices {
		for _, c := range s.calls {
			t.Run(c.action, func(t *testing.T) { w.checkCall(t, s, c) })
		}
	}
}

func (w *catalogWorld) checkCall(t *testing.T, s catalogService, c catalogCall) {
	var args map[string]any
	if err := json.Unmarshal([]byte(c.args), &args); err != nil {
		t.Fatal(err)
	}
	done, err := w.Execute(context.Background(), ExecuteRequest{Principal: "user:test", Action: c.action, Args: args})
	if err != nil {
		t.Fatalf("%v", err)
	}
	arrived, dialled := w.take()
	if len(arrived) != 1 {
		t.Fatalf("%d requests arrived: %s", len(arrived), done.Result)
	}
	got := arrived[0]
	header := http.Header{"User-Agent": {"latchgate"}}
	for line := range strings.Lines(s.headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		header.Set(name, value)
	}
	if c.body != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	if want := w.expect(c.request, s.auth, header); got.request != want {
		t.Errorf("arrived\n     %s\nwant %s", got.request, want)
	}
	if !reflect.DeepEqual(got.header, header) {
		t.Errorf("header\n     %q\nwant %q", got.header, header)
	}
	body := fill(c.body, w.values)
	if !sameBody(got.body, body, header.Get("Content-Type")) {
		t.Errorf("body\n     %s\nwant %s", got.body, body)
	}
	u, _ := url.Parse(strings.SplitN(c.request, " ", 2)[1])
	if len(dialled) > 1 || len(dialled) == 1 && dialled[0] != "CONNECT "+u.Host+":443" {
		t.Errorf("connected to %v", dialled)
	}
	// The origin sent all of it back: no credential comes through.
	if bytes.Contains(done.Result, []byte(catalogMark)) || s.auth != "" && !bytes.Contains(done.Result, []byte("REDACTED")) {
		t.Errorf("result %s", done.Result)
	}
	w.checkOutside(t, c)
}

// sameBody compares JSON by what it says, and forms by their fields.
func sameBody(got, want, contentType string) bool {
	switch {
	case got == want:
		return true
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		g, err1 := url.ParseQuery(got)
		f, err2 := url.ParseQuery(want)
		return err1 == nil && err2 == nil && reflect.DeepEqual(g, f)
	}
	var g, f any
	return json.Unmarshal([]byte(got), &g) == nil && json.Unmarshal([]byte(want), &f) == nil && reflect.DeepEqual(g, f)
}

// checkOutside sends what the action must not send: another method, another
// path, another host, no TLS.
func (w *catalogWorld) checkOutside(t *testing.T, c catalogCall) {
	o := w.open(t, c.action)
	defer w.Close(o.ID)
	method, raw, _ := strings.Cut(c.request, " ")
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	other := *u
	other.Path, other.RawPath = "/latchgate/outside", ""
	elsewhere := *u
	elsewhere.Host = "outside.example.org"
	for _, r := range []struct {
		method string
		url    url.URL
	}{{"PURGE", *u}, {method, other}, {method, elsewhere}} {
		req, err := http.NewRequest(r.method, r.url.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp := w.wire.Load().Do(o.run, req)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden || resp.Header.Get("Latchgate-Error") != string(proxy.EgressDenied) {
			t.Errorf("%s %s is answered with %d %s", r.method, r.url.String(), resp.StatusCode, resp.Header.Get("Latchgate-Error"))
		}
	}
	if arrived, _ := w.take(); len(arrived) > 0 {
		t.Errorf("%v arrived", arrived)
	}
}

func TestEveryAgentProfilePlacesItsCredentialAndNoOther(t *testing.T) {
	w := newCatalogWorld(t)
	root, err := os.ReadFile(w.Trust().Root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	roots.AddCert(w.origin.Root()) // seen where a host gets no credential: a blind tunnel
	for _, s := range catalogServices {
		byProfile := map[string][]catalogProbe{}
		for _, p := range s.probes {
			byProfile[p.profile] = append(byProfile[p.profile], p)
		}
		for _, profile := range slices.Sorted(maps.Keys(byProfile)) {
			t.Run(profile, func(t *testing.T) {
				o := w.open(t, profile)
				defer w.Close(o.ID)
				door, err := url.Parse(o.Proxy)
				if err != nil {
					t.Fatal(err)
				}
				agent := &http.Transport{Proxy: http.ProxyURL(door), TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true}
				defer agent.CloseIdleConnections()
				for _, p := range byProfile[profile] {
					w.checkProbe(t, agent, o, p)
				}
			})
		}
	}
}

func (w *catalogWorld) checkProbe(t *testing.T, agent *http.Transport, o *OpenedRun, p catalogProbe) {
	parts := strings.SplitN(p.request+" ", " ", 3)
	req, err := http.NewRequest(parts[0], fill(parts[1], o.Placeholders), strings.NewReader(fill(strings.TrimSpace(parts[2]), o.Placeholders)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "agent")
	if p.auth == "refused" || p.auth == "tripwire" {
		w.checkRefused(t, agent, req, p)
		return
	}
	header := http.Header{"User-Agent": {"agent"}}
	request := w.expect(parts[0]+" "+fill(parts[1], w.values), p.auth, header)
	for name := range header {
		if name != "User-Agent" { // an agent can't choose the credential
			req.Header.Set(name, "of-the-agent")
		}
	}
	resp, err := agent.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", p.request, err)
	}
	answer, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	arrived, dialled := w.take()
	if len(arrived) != 1 {
		t.Fatalf("%s: %d requests arrived, %d %s", p.request, len(arrived), resp.StatusCode, answer)
	}
	got, body := arrived[0], fill(strings.TrimSpace(parts[2]), w.values)
	if got.request != request || !reflect.DeepEqual(got.header, header) || got.body != body {
		t.Errorf("%s arrived as\n     %s %q %s\nwant %s %q %s", p.request, got.request, got.header, got.body, request, header, body)
	}
	if host := "CONNECT " + req.URL.Host + ":443"; len(dialled) > 1 || len(dialled) == 1 && dialled[0] != host {
		t.Errorf("connected to %v", dialled)
	}
	if bytes.Contains(answer, []byte(catalogMark)) {
		t.Errorf("%s: the answer holds a credential: %s", p.request, answer)
	}
}

// checkRefused sends a request that must not go out. A host that is not allowed
// is refused at CONNECT, where Go's client shows the reason phrase alone.
func (w *catalogWorld) checkRefused(t *testing.T, agent *http.Transport, req *http.Request, p catalogProbe) {
	want := map[string]proxy.Code{"refused": proxy.EgressDenied, "tripwire": proxy.Tripwire}[p.auth]
	resp, err := agent.RoundTrip(req)
	switch {
	case err != nil && err.Error() != http.StatusText(http.StatusForbidden):
		t.Errorf("%s: %v", p.request, err)
	case err == nil:
		_ = resp.Body.Close()
		if got := resp.Header.Get("Latchgate-Error"); got != string(want) {
			t.Errorf("%s is answered with %d %s", p.request, resp.StatusCode, got)
		}
	}
	if arrived, _ := w.take(); len(arrived) > 0 {
		t.Errorf("%s arrived", p.request)
	}
}

// fill puts values in the place of $NAME.
func fill(text string, values map[string]string) string {
	return catalogSecret.ReplaceAllStringFunc(text, func(name string) string { return values[name[1:]] })
}

// Every bundled action is in the tables above, or it is not in the catalogue.
func TestTheTablesCoverTheWholeCatalogue(t *testing.T) {
	called, probed, refused, placed := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range catalogServices {
		for _, c := range s.calls {
			called[c.action] = true
		}
		for _, p := range s.probes {
			probed[p.profile] = true
			refused[p.profile] = refused[p.profile] || p.auth == "refused"
			placed[p.profile] = placed[p.profile] || p.auth != "" && p.auth != "refused" && p.auth != "tripwire" || strings.Contains(p.request, "$")
		}
	}
	catalog := bundledCatalog(t)
	for _, m := range catalog.All() {
		id := m.ActionID
		switch {
		case m.ProviderModuleDigest != "" && !called[id]:
			t.Errorf("no call of %s", id)
		case m.ProviderModuleDigest == "" && (!probed[id] || !refused[id] || len(m.Secrets) > 0 && !placed[id]):
			t.Errorf("%s is probed %v, refused %v, with a credential %v", id, probed[id], refused[id], placed[id])
		}
	}
	for id := range called {
		if _, ok := catalog.Get(id); !ok {
			t.Errorf("there is no action %s", id)
		}
	}
	for id := range probed {
		if _, ok := catalog.Get(id); !ok {
			t.Errorf("there is no profile %s", id)
		}
	}
}
