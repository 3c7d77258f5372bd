package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// patience bounds one request, and one connection's beginning.
const patience = 30 * time.Second

// conn is a connection to the origin, through a proxy or not.
type conn struct {
	net.Conn
	br *bufio.Reader
}

// dial opens the connection of t's i-th client to name at the origin's port. It
// offers what most clients do; cache, when not nil, offers to resume.
func (b *bench) dial(t *target, i int, name string, cache tls.ClientSessionCache, protocols ...string) (*conn, error) {
	address := t.address
	if address == "" {
		address = net.JoinHostPort("127.0.0.1", b.port)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if t.address != "" {
		if err := b.tunnel(t, i, c, name); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	tc := tls.Client(c, &tls.Config{RootCAs: t.roots, ServerName: name, ClientSessionCache: cache, NextProtos: protocols,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}})
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &conn{tc, bufio.NewReaderSize(tc, 32<<10)}, nil
}

func (b *bench) tunnel(t *target, i int, c net.Conn, name string) error {
	authority := net.JoinHostPort(name, b.port)
	_, auth := t.client(i)
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", authority, authority, auth); err != nil {
		return err
	}
	// The proxy says nothing after this head before we do, so the reader takes no more.
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New("CONNECT: " + resp.Status)
	}
	return nil
}

// head is a request's head. Without a proxy the client has to have the secret.
func (b *bench) head(t *target, method, name, path string, length int) []byte {
	credential := "placeholder"
	if t.address == "" {
		credential = secret
	}
	s := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\nAccept: application/json\r\nAuthorization: Bearer %s\r\n",
		method, path, net.JoinHostPort(name, b.port), credential)
	if length > 0 {
		s += fmt.Sprintf("Content-Length: %d\r\n", length)
	}
	return []byte(s + "\r\n")
}

// do sends a request and reads the answer to its end.
func (c *conn) do(head, body []byte) error {
	resp, err := c.ask(head, body)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (c *conn) ask(head, body []byte) (*http.Response, error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(head); err != nil {
		return nil, err
	}
	for len(body) > 0 {
		n, err := c.Write(body[:min(len(body), 64<<10)])
		if err != nil {
			return nil, err
		}
		body = body[n:]
	}
	resp, err := http.ReadResponse(c.br, nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return resp, err
}
