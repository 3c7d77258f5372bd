package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The names that the origin answers to. None is loopback, for which clients
// use no proxy; the test's upstream proxy maps all of them to the origin.
const (
	apiHost   = "api.example.com"   // wants a bearer token
	gitHost   = "git.example.com"   // git http-backend; wants Basic x-access-token
	otherHost = "other.example.com" // wants nothing
	ghHost    = "api.github.com"    // wants git's token as a bearer token
)

// gitUser is the user name that git hosts want beside a token.
const gitUser = "x-access-token"

// origin is the upstream of the end-to-end tests: real TLS under a CA of its
// own, and a record of every request as it arrived.
type origin struct {
	addr  string
	caPEM []byte
	git   http.Handler // nil: no git here

	entered chan string   // paths of the requests that wait in /hold and /download
	release chan struct{} // closed: they go on

	mu       sync.Mutex
	arrived  []arrival
	apiToken string // what it wants now
	said     string // what /say answers
	gitToken string
}

// arrival is one request as the origin got it.
type arrival struct {
	Proto, Host, Method, Path, Query string
	Header                           http.Header
	Body                             string // of a JSON request
}

func newOrigin(t *testing.T, apiToken, gitToken string) *origin {
	t.Helper()
	o := &origin{apiToken: apiToken, gitToken: gitToken, entered: make(chan string, 8), release: make(chan struct{})}
	cert := o.issue(t, apiHost, gitHost, otherHost, ghHost)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.addr = ln.Addr().String()
	s := &http.Server{Handler: o, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.ServeTLS(ln, "", "") }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return o
}

// issue makes a CA and a certificate for the names.
func (o *origin) issue(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey, leafKey := key(), key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test origin CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: names, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	sign := func(c *x509.Certificate, pub *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &pub.PublicKey, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	o.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sign(ca, caKey)})
	return tls.Certificate{Certificate: [][]byte{sign(leaf, leafKey)}, PrivateKey: leafKey}
}

// serveGit makes the origin's git host serve the bare repositories below root
// with git's own http-backend.
func (o *origin) serveGit(backend, root string, environ []string) {
	o.git = &cgi.Handler{Path: backend, Logger: log.New(io.Discard, "", 0), Stderr: io.Discard,
		Env: append([]string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=agent"}, environ...)}
}

// wantAPI changes the token that the API wants.
func (o *origin) wantAPI(token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.apiToken = token
}

// say makes /say answer that text.
func (o *origin) say(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said = text
}

// wants is the one Authorization that the host accepts; "" where it wants none.
func (o *origin) wants(host string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch host {
	case apiHost:
		return "Bearer " + o.apiToken
	case ghHost:
		return "Bearer " + o.gitToken
	case gitHost:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(gitUser+":"+o.gitToken))
	}
	return ""
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := arrival{Proto: r.Proto, Host: r.Host, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone()}
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		body, _ := io.ReadAll(r.Body)
		a.Body = string(body)
	}
	o.mu.Lock()
	o.arrived = append(o.arrived, a)
	o.mu.Unlock()
	if want := o.wants(r.Host); want != "" && !slices.Equal(r.Header["Authorization"], []string{want}) {
		w.Header().Set("WWW-Authenticate", `Basic realm="origin"`)
		http.Error(w, "exactly one credential is wanted here, the right one", http.StatusUnauthorized)
		return
	}
	if r.Host == gitHost {
		o.git.ServeHTTP(w, r)
		return
	}
	if answerClient(w, r) {
		return
	}
	switch r.URL.Path {
	case "/hold":
		o.wait(r)
		_, _ = io.WriteString(w, "held to the end")
	case "/say":
		o.mu.Lock()
		text := o.said
		o.mu.Unlock()
		_, _ = io.WriteString(w, text)
	case "/break": // in the middle of a body whose length it did not tell
		_, _ = io.WriteString(w, "the first half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "/download":
		o.download(w, r)
	default:
		o.echo(w, r)
	}
}

// echo sends back all that arrived, as careless services do: in the body, in a
// header and in base64.
func (o *origin) echo(w http.ResponseWriter, r *http.Request) {
	authorization := r.Header.Get("Authorization")
	w.Header().Set("X-Echo", authorization)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "path": r.URL.Path, "headers": r.Header,
		"base64": base64.StdEncoding.EncodeToString([]byte(authorization))})
}

// downloadSize is what /download promises; it sends a small part of it and then
// nothing, with the connection open, until the test is over.
const downloadSize = 1 << 30

func (o *origin) download(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(downloadSize))
	chunk := bytes.Repeat([]byte("all work and no play makes jack\n"), 1<<15)
	if _, err := w.Write(chunk); err != nil {
		return
	}
	_ = http.NewResponseController(w).Flush()
	o.wait(r)
}

func (o *origin) wait(r *http.Request) {
	o.entered <- r.URL.Path
	select {
	case <-o.release:
	case <-r.Context().Done():
	}
}

// at returns the requests that arrived at host for path; "" is every path.
func (o *origin) at(host, path string) []arrival {
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []arrival
	for _, a := range o.arrived {
		if a.Host == host && (path == "" || a.Path == path) {
			found = append(found, a)
		}
	}
	return found
}

// chain is the upstream proxy between latchgate and the origin. It wants
// credentials of its own, takes any name to the origin, and remembers what it
// was asked.
type chain struct {
	url    string // with its credentials
	origin string
	wg     sync.WaitGroup

	mu    sync.Mutex
	asked []arrival
	open  map[net.Conn]bool // nil: closed
}

const chainUser, chainPassword = "chain", "chain-password"

func newChain(t *testing.T, origin string) *chain {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{url: "http://" + chainUser + ":" + chainPassword + "@" + ln.Addr().String(), origin: origin, open: map[net.Conn]bool{}}
	s := &http.Server{Handler: c, ErrorLog: log.New(io.Discard, "", 0)}
	c.wg.Go(func() { _ = s.Serve(ln) })
	t.Cleanup(func() {
		_ = s.Close()
		c.mu.Lock()
		for conn := range c.open {
			_ = conn.Close()
		}
		c.open = nil
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

func (c *chain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked = append(c.asked, arrival{Method: r.Method, Host: r.Host, Header: r.Header.Clone()})
	c.mu.Unlock()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(chainUser+":"+chainPassword))
	if !slices.Equal(r.Header["Proxy-Authorization"], []string{want}) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		_, _ = io.WriteString(w, "plain")
		return
	}
	upstream, err := net.Dial("tcp", c.origin)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = upstream.Close()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		_, _ = client.Close(), upstream.Close()
		return
	}
	c.open[client], c.open[upstream] = true, true
	c.wg.Go(func() { c.pipe(upstream, client) })
	c.wg.Go(func() { _, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); c.pipe(client, upstream) })
}

// pipe copies one way, and ends both when that way ends.
func (c *chain) pipe(dst, src net.Conn) {
	_, _ = io.Copy(dst, src)
	_, _ = dst.Close(), src.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, dst)
	delete(c.open, src)
}

// connects are the requests that the chain got.
func (c *chain) connects() []arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}
