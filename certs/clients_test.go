package certs

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
)

// serve answers on loopback with leaves of ca, as an intercepted tunnel does.
func serve(t *testing.T, ca *CA) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	srv := &http.Server{
		Handler:  http.HandlerFunc(answerClient),
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName == "" {
				return ca.Leaf("127.0.0.1")
			}
			return ca.Leaf(h.ServerName)
		}},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeTLS(ln, "", "")
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return port
}

// answerClient is a web server, and a git server of the dumb protocol.
func answerClient(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	if strings.HasSuffix(r.URL.Path, "/info/refs") {
		fmt.Fprintf(w, "%040d\trefs/heads/main\n", 1)
		return
	}
	io.WriteString(w, "hello client")
}

func runClient(t *testing.T, env []string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Program(t, program), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// strictPython connects with the flags that Python 3.13 sets by default.
const strictPython = `
import socket, ssl, sys
ctx = ssl.create_default_context()
ctx.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as s:
    with ctx.wrap_socket(s, server_hostname=sys.argv[1]) as tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        print(b"".join(iter(lambda: tls.recv(4096), b"")).decode())
`

const nodeFetch = `require("https").get({host: "127.0.0.1", port: process.argv[2], servername: process.argv[1], path: "/",
  checkServerIdentity: (_, c) => require("tls").checkServerIdentity(process.argv[1], c)},
  r => r.pipe(process.stdout)).on("error", e => { console.error(e.message); process.exit(1) })`

func TestRealClientsTrustLeavesThroughTheBundle(t *testing.T) {
	ca := openCA(t, Options{})
	port := serve(t, ca)
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle.pem")
	if err := ca.WriteBundle(bundle); err != nil {
		t.Fatal(err)
	}
	wgetrc := filepath.Join(dir, "wgetrc")
	write(t, dir, "wgetrc", []byte("ca_certificate="+bundle+"\n"))
	url := "https://127.0.0.1:" + port + "/"
	for name, c := range map[string]struct {
		trust   string // the variable that makes the client trust us
		program string
		args    []string
		want    string
	}{
		"curl":                 {"SSL_CERT_FILE=" + bundle, "curl", []string{"-sS", "--resolve", "api.example.com:" + port + ":127.0.0.1", "https://api.example.com:" + port}, "hello client"},
		"curl, address":        {"CURL_CA_BUNDLE=" + bundle, "curl", []string{"-sS", url}, "hello client"},
		"wget":                 {"WGETRC=" + wgetrc, "wget", []string{"-qO-", url}, "hello client"},
		"git":                  {"GIT_SSL_CAINFO=" + bundle, "git", []string{"ls-remote", url}, "refs/heads/main"},
		"python, strict":       {"SSL_CERT_FILE=" + bundle, "python3", []string{"-c", strictPython, "api.example.com", port}, "hello client"},
		"python, long name":    {"SSL_CERT_FILE=" + bundle, "python3", []string{"-c", strictPython, strings.Repeat("a23456789.", 8) + "com", port}, "hello client"},
		"python, address":      {"SSL_CERT_FILE=" + bundle, "python3", []string{"-c", strictPython, "127.0.0.1", port}, "hello client"},
		"node, our root alone": {"NODE_EXTRA_CA_CERTS=" + ca.RootFile(), "node", []string{"-e", nodeFetch, "api.example.com", port}, "hello client"},
		"openssl":              {"", "openssl", []string{"s_client", "-connect", "127.0.0.1:" + port, "-servername", "api.example.com", "-verify_hostname", "api.example.com", "-verify_return_error", "-x509_strict", "-CAfile", bundle}, "Verify return code: 0 (ok)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := runClient(t, []string{c.trust}, c.program, c.args...)
			if err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%v\n%s", err, out)
			}
			if c.trust == "" {
				return
			}
			if out, err := runClient(t, nil, c.program, c.args...); err == nil {
				t.Errorf("trusts us without %s\n%s", c.trust, out)
			}
		})
	}
}

func TestOpensslFindsNothingWrongWithTheChain(t *testing.T) {
	ca := openCA(t, Options{})
	file := filepath.Join(t.TempDir(), "leaf.pem")
	for _, host := range []string{"api.example.com", "127.0.0.1", "2001:db8::1"} {
		der := mustLeaf(t, ca, host).Certificate[0]
		write(t, filepath.Dir(file), "leaf.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		out, err := runClient(t, nil, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslserver", "-CAfile", ca.RootFile(), file)
		if err != nil {
			t.Errorf("%s: %v\n%s", host, err, out)
		}
	}
	out, err := runClient(t, nil, "openssl", "x509", "-in", ca.RootFile(), "-noout", "-text")
	if err != nil || !strings.Contains(out, "CA:TRUE, pathlen:0") || !strings.Contains(out, "X509v3 Key Usage: critical") {
		t.Errorf("%v\n%s", err, out)
	}
}
