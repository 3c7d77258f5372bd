package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/latchgate/latchgate/gate"
)

// attackTimeout bounds each exchange.
const attackTimeout = 5 * time.Second

// reply is what a proxy said to an attack.
type reply struct {
	status    int
	code      string // Latchgate-Error, or "bad_request" for a plain 400 of the HTTP server itself
	challenge bool
}

func (a reply) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, a.code))
}

func replyOf(r *http.Response) reply {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
	_ = r.Body.Close()
	a := reply{status: r.StatusCode, code: r.Header.Get("Latchgate-Error"), challenge: r.Header.Get("Proxy-Authenticate") != ""}
	if a.code == "" {
		a.code = plainCodes[r.StatusCode]
	}
	return a
}

// plainCodes are for what the HTTP server answers before anything of ours sees
// the request.
var plainCodes = map[int]string{400: "bad_request", 431: "head_too_large", 501: "bad_request"}

func credentials(id, token string) string {
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+token))
}

func authorizing(run *gate.OpenedRun) string { return credentials(run.ID, run.Token) }

// message is a request head with lines of its own, and a body.
func message(request string, lines ...string) string {
	head, body, _ := strings.Cut(strings.Join(append([]string{request}, lines...), "\r\n"), "\r\n\r\n")
	return head + "\r\n\r\n" + body
}

func (s *subject) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: attackTimeout}
	c, err := dialer.DialContext(ctx, s.network, s.address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(attackTimeout))
}

// send sends raw bytes to the proxy and reads one answer.
func (s *subject) send(ctx context.Context, raw string) (reply, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = c.Close() }()
	return ask(c, raw)
}

// ask writes raw bytes and reads one answer. A proxy may answer and close before
// it has read all of it.
func ask(c net.Conn, raw string) (reply, error) {
	wrote := make(chan error, 1)
	go func() { _, err := io.WriteString(c, raw); wrote <- err }()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		_ = c.Close()
		return reply{}, errors.Join(err, <-wrote)
	}
	a := replyOf(r)
	_ = c.SetWriteDeadline(time.Unix(1, 0))
	<-wrote
	_ = c.SetWriteDeadline(time.Now().Add(attackTimeout))
	return a, nil
}

// tunnel opens one to the authority. Where that is refused, the connection is nil.
func (s *subject) tunnel(ctx context.Context, run *gate.OpenedRun, authority string) (net.Conn, reply, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, reply{}, err
	}
	if _, err := io.WriteString(c, message("CONNECT "+authority+" HTTP/1.1", "Host: "+authority, authorizing(run))); err != nil {
		return nil, reply{}, errors.Join(err, c.Close())
	}
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, reply{}, errors.Join(err, c.Close())
	}
	if r.StatusCode == http.StatusOK {
		return c, reply{status: r.StatusCode}, nil
	}
	return nil, replyOf(r), c.Close()
}

// inside is a connection to the proxy inside a tunnel to the authority.
func (s *subject) inside(ctx context.Context, run *gate.OpenedRun, authority, serverName, protocol string) (*tls.Conn, error) {
	c, got, err := s.tunnel(ctx, run, authority)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fmt.Errorf("no tunnel to %s: %s", authority, got)
	}
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	config := &tls.Config{RootCAs: s.roots, ServerName: host, NextProtos: []string{protocol}}
	if serverName != "" && serverName != host {
		// The leaf is for the tunnel's host, as it has to be.
		config.ServerName, config.InsecureSkipVerify = serverName, true
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS to the proxy: %w", err), c.Close())
	}
	return t, nil
}

// sendInside sends raw bytes in a tunnel to the authority.
func (s *subject) sendInside(ctx context.Context, run *gate.OpenedRun, authority, serverName, raw string) (reply, error) {
	c, err := s.inside(ctx, run, authority, serverName, "http/1.1")
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = c.Close() }()
	return ask(c, raw)
}

// sendHTTP2 asks for path with another :authority than the tunnel's.
func (s *subject) sendHTTP2(ctx context.Context, run *gate.OpenedRun, authority, other, path string) (reply, error) {
	c, err := s.inside(ctx, run, authority, "", "h2")
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = c.Close() }()
	transport := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	defer transport.CloseIdleConnections()
	u, err := url.Parse("https://" + authority + path)
	if err != nil {
		return reply{}, err
	}
	r, err := transport.RoundTrip((&http.Request{Method: http.MethodGet, URL: u, Host: other, Header: http.Header{}}).WithContext(ctx))
	if err != nil {
		return reply{}, err
	}
	return replyOf(r), nil
}
