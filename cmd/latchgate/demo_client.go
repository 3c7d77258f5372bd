package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// demoClient is the agent of the demo: a program in a process of its own that
// knows nothing of latchgate but what its environment says.
type demoClient struct {
	name string   // as it is shown
	argv []string // what is run, but for the URL
}

// findDemoClient takes curl, or this program itself where there is none.
func findDemoClient(api, address string) (demoClient, error) {
	if curl, err := exec.LookPath("curl"); err == nil {
		// -q: no .curlrc. --resolve is for the request that goes straight to
		// the upstream: not every resolver knows *.localhost.
		return demoClient{"curl", []string{curl, "-q", "-sSv", "--max-time", "20", "--resolve", api + ":" + address}}, nil
	}
	self, err := os.Executable()
	if err != nil {
		return demoClient{}, fmt.Errorf("find a client for the demo: %w", err)
	}
	return demoClient{"latchgate demo client", []string{self, "demo", "client"}}, nil
}

// clientRun is what the client says it sent and got.
type clientRun struct {
	Command string
	Sent    []string // request line and header
	Back    []string // status line, header, body
	Raw     []byte   // all that it printed
	Err     error    // it failed to get an answer
}

// run runs the client. What it sent and got is read from its trace, which curl
// and our own client write alike: "> " before what is sent, "< " before what
// comes back.
func (c demoClient) run(ctx context.Context, url string, environ []string) clientRun {
	cmd := exec.CommandContext(ctx, c.argv[0], append(c.argv[1:], url)...)
	cmd.Env = environ
	cmd.WaitDelay = time.Second
	var body, trace bytes.Buffer
	cmd.Stdout, cmd.Stderr = &body, &trace
	r := clientRun{Command: c.name + " " + url}
	if err := cmd.Run(); err != nil {
		r.Err = fmt.Errorf("%s: %w: %s", c.name, err, lastLine(trace.String()))
	}
	r.Sent, r.Back = lastHead(trace.String(), ">"), lastHead(trace.String(), "<")
	if text := strings.TrimRight(body.String(), "\n"); text != "" {
		r.Back = append(append(r.Back, ""), strings.Split(text, "\n")...)
	}
	r.Raw = append(body.Bytes(), trace.Bytes()...)
	return r
}

// lastHead returns the last message head of a trace; the one before it, of a
// tunnel, is between client and proxy alone.
func lastHead(trace, mark string) []string {
	var head []string
	ended := true
	for line := range strings.Lines(trace) {
		line, marked := strings.CutPrefix(line, mark)
		line = strings.TrimSpace(line)
		switch {
		case !marked:
		case line == "":
			ended = true
		case ended:
			head, ended = []string{line}, false
		default:
			head = append(head, line)
		}
	}
	return head
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// demoClientCommand is the client where curl is not installed.
func (a *app) demoClientCommand() *cobra.Command {
	return &cobra.Command{Use: "client URL", Short: "The client of the demo where there is no curl", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.demoGet(c.Context(), args[0]) }}
}

// demoGet asks for url as net/http does by default, proxy variables honoured,
// and writes the trace that curl -v writes.
func (a *app) demoGet(ctx context.Context, url string) error {
	roots, err := rootsOfEnvironment()
	if err != nil {
		return err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialLocalhost, TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(name string, values []string) {
		for _, v := range values {
			fmt.Fprintf(a.err, "> %s: %s\n", name, v)
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.err, "> %s %s HTTP/1.1\n", req.Method, req.URL.RequestURI())
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Fprintf(a.err, "> \n< %s %s\n", resp.Proto, resp.Status)
	for _, line := range headerLines(resp.Header) {
		fmt.Fprintf(a.err, "< %s\n", line)
	}
	fmt.Fprintln(a.err, "< ")
	_, err = io.Copy(a.out, resp.Body)
	return err
}

// rootsOfEnvironment reads SSL_CERT_FILE, which crypto/x509 does on Linux only.
func rootsOfEnvironment() (*x509.CertPool, error) {
	file := os.Getenv("SSL_CERT_FILE")
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// dialLocalhost takes *.localhost for this machine, whatever a resolver says.
func dialLocalhost(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return d.DialContext(ctx, network, address)
}
