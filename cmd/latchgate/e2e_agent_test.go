package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"testing"
)

// agent is an HTTP client in the test's own process, with the variables that
// `latchgate env` printed. It keeps its tunnel open.
type agent struct {
	t      *testing.T
	vars   map[string]string
	client *http.Client
	reused bool // the last request went through a tunnel that was open already
}

// agent opens a run of the actions through `latchgate env`.
func (h *home) agent(actions ...string) *agent {
	h.t.Helper()
	args := []string{"env", "--format", "json"}
	for _, a := range actions {
		args = append(args, "--action", a)
	}
	a := &agent{t: h.t}
	if err := json.Unmarshal([]byte(h.must(args...).stdout), &a.vars); err != nil {
		h.t.Fatalf("env --format json is not one flat object of strings: %v", err)
	}
	bundle, err := os.ReadFile(a.vars["SSL_CERT_FILE"])
	if err != nil {
		h.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	proxy, err := url.Parse(a.vars["HTTPS_PROXY"])
	if err != nil {
		h.t.Fatal(err)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	h.t.Cleanup(tr.CloseIdleConnections)
	a.client = &http.Client{Transport: tr, Timeout: patience}
	return a
}

// run is the id of the agent's run.
func (a *agent) run() string {
	u, err := url.Parse(a.vars["HTTPS_PROXY"])
	if err != nil {
		a.t.Fatal(err)
	}
	return u.User.Username()
}

// answer is what a request of the agent came to.
type answer struct {
	status int
	code   string // of Latchgate-Error
	body   string
	err    error
}

func (a *agent) get(target string) answer {
	a.t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { a.reused = i.Reused }}))
	resp, err := a.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Latchgate-Error"), string(body), err}
}
