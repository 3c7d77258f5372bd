package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchgate/latchgate/certs"
)

// demoUpstream is an API on this machine that wants a bearer token, and that
// is careless enough to repeat it in a header and in the body of its answer.
type demoUpstream struct {
	token string
	ca    *certs.CA // its own, not latchgate's

	api       string // host:port of the API, over TLS
	address   string // host:port that it listens on
	elsewhere string // host:port of a server that no action may reach, plain http

	servers []*http.Server
	serving sync.WaitGroup

	mu   sync.Mutex
	seen []received
}

// received is one request as the upstream saw it, and what it answered. It
// holds the token where the request did.
type received struct {
	Host           string
	Request        []string
	Answer         []string
	Status         int
	Authorizations int
	Authorized     bool // exactly one, and the right one
}

const (
	demoHost      = "api.localhost" // RFC 6761: this machine, for everybody
	demoElsewhere = "elsewhere.localhost"
	demoEcho      = "X-Echo"
)

// startDemoUpstream listens on free loopback ports. caDir is where its own
// certificate authority goes, host the name in its certificate.
func startDemoUpstream(caDir, token, host string) (_ *demoUpstream, err error) {
	u := &demoUpstream{token: token}
	if u.ca, err = certs.Open(caDir, certs.Options{}); err != nil {
		return nil, fmt.Errorf("demo upstream: %w", err)
	}
	tlsLn, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo upstream: %w", err)
	}
	plainLn, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("demo upstream: %w", err), tlsLn.Close())
	}
	u.address = tlsLn.Addr().String()
	u.api = fmt.Sprintf("%s:%d", host, tlsLn.Addr().(*net.TCPAddr).Port)
	u.elsewhere = fmt.Sprintf("%s:%d", demoElsewhere, plainLn.Addr().(*net.TCPAddr).Port)
	leaf := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return u.ca.Leaf(host) }
	u.serve(func(s *http.Server) error {
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: leaf}
		return s.ServeTLS(tlsLn, "", "")
	})
	u.serve(func(s *http.Server) error { return s.Serve(plainLn) })
	return u, nil
}

func (u *demoUpstream) serve(start func(*http.Server) error) {
	s := &http.Server{Handler: u, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	u.servers = append(u.servers, s)
	u.serving.Go(func() { _ = start(s) }) // ends with Shutdown
}

func (u *demoUpstream) close(ctx context.Context) error {
	var errs []error
	for _, s := range u.servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, s.Close())
		}
	}
	u.serving.Wait()
	return errors.Join(errs...)
}

// demoAnswer is the body of every answer.
type demoAnswer struct {
	Account string `json:"account,omitempty"`
	Hello   string `json:"hello,omitempty"`
	Error   string `json:"error,omitempty"`
	Echo    string `json:"echo,omitempty"`
}

func (u *demoUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	given := r.Header.Values("Authorization")
	authorized := len(given) == 1 && subtle.ConstantTimeCompare([]byte(given[0]), []byte("Bearer "+u.token)) == 1
	status, answer := http.StatusOK, demoAnswer{Account: "demo", Hello: strings.TrimPrefix(r.URL.Path, "/v1/hello/")}
	if answer.Hello == r.URL.Path {
		answer.Hello = ""
	}
	w.Header().Set("Content-Type", "application/json")
	if authorized {
		answer.Echo = given[0]
		w.Header().Set(demoEcho, given[0])
	} else {
		status, answer = http.StatusUnauthorized, demoAnswer{Error: "a bearer token is required"}
		w.Header().Set("Www-Authenticate", "Bearer")
	}
	body, _ := json.MarshalIndent(answer, "", "  ") // strings alone: cannot fail
	u.record(r, w.Header(), received{Host: r.Host, Status: status, Authorizations: len(given), Authorized: authorized}, body)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func (u *demoUpstream) record(r *http.Request, answered http.Header, seen received, body []byte) {
	seen.Request = append([]string{fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), strings.TrimSuffix(r.Proto, ".0")), "Host: " + r.Host}, headerLines(r.Header)...)
	seen.Answer = append([]string{fmt.Sprintf("%d %s", seen.Status, http.StatusText(seen.Status))}, headerLines(answered)...)
	seen.Answer = append(append(seen.Answer, ""), strings.Split(string(body), "\n")...)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = append(u.seen, seen)
}

// take returns what arrived since it was last asked.
func (u *demoUpstream) take() []received {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

// headerLines are the header fields in the order of their names.
func headerLines(h http.Header) []string {
	var lines []string
	for name, values := range h {
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	slices.Sort(lines)
	return lines
}
