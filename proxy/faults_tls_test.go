package proxy

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every way in which an upstream's TLS is bad has a sentence of its own, at both
// doors of a secret: an intercepted request never leaves.
func TestEachFaultOfAnUpstreamsTLSHasItsOwnError(t *testing.T) {
	ca, stranger := newAuthority(t, "root"), newAuthority(t, "stranger")
	weak1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := ca.issue(t, newECKey(t), nil)
	for name, c := range map[string]struct {
		config *tls.Config
		serve  func(net.Conn) // instead of TLS
		want   string         // "": it works
	}{
		"good":          {config: serving(good)},
		"TLS 1.2 alone": {config: &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}},
		"RSA 2048":      {config: serving(ca.issue(t, newRSAKey(t), nil))},
		"expired": {config: serving(ca.issue(t, newECKey(t), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })),
			want: "has expired"},
		"not valid yet": {config: serving(ca.issue(t, newECKey(t), func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })),
			want: "not valid yet"},
		"wrong name": {config: serving(ca.issue(t, newECKey(t), func(c *x509.Certificate) { c.DNSNames = []string{"other.localhost"} })),
			want: "for another name"},
		"name in the common name alone": {config: serving(ca.issue(t, newECKey(t), func(c *x509.Certificate) {
			c.DNSNames, c.Subject.CommonName = nil, apiHost
		})), want: "for another name"},
		"unknown root": {config: serving(stranger.issue(t, newECKey(t), nil)), want: "a CA that is not trusted here"},
		"RSA 1024":     {config: serving(ca.issue(t, weak1024, nil)), want: "less than 2048 bits"},
		"SHA-1":        {config: serving(ca.issueSHA1(t)), want: "SHA-1"},
		"a client's certificate": {config: serving(ca.issue(t, newECKey(t), func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})), want: "certificate is not valid"},
		"TLS 1.1": {config: &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			want: "no TLS version from 1.2 on"},
		"asks for a certificate": {config: &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12},
			want: "refused the TLS handshake"},
		"asks for a certificate, TLS 1.3": {config: &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert},
			want: "asks for a client certificate"},
		"no TLS": {serve: func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") },
			want: "does not speak TLS"},
		"SSH": {serve: func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2p1\r\n") }, want: "does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			serve := c.serve
			if serve == nil {
				serve = func(conn net.Conn) { answerOne(tls.Server(conn, c.config)) }
			}
			h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) { w.Upstream.Roots = ca.pool() })
			h.origin.port = listen(t, serve)
			run, tok := h.open(bearerManifest)
			resp, body := get(t, h.client(run, tok), h.url("/"))
			if c.want == "" {
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("%s %s\n%s", resp.Status, body, h.log)
				}
				return
			}
			denied(t, resp, body, UpstreamTLS)
			if !strings.Contains(body, c.want) {
				t.Errorf("got %s, want %q\n%s", body, c.want, h.log)
			}
		})
	}
}

// An upstream that is slow, not one that is wrong: how long each part may take.
func TestSlowUpstreams(t *testing.T) {
	ca := newAuthority(t, "root")
	cert := ca.issue(t, newECKey(t), nil)
	upstreams := map[string]func(net.Conn){
		"says nothing to the ClientHello": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"head and body byte by byte": func(c net.Conn) {
			tc := tls.Server(c, serving(cert))
			if _, err := http.ReadRequest(bufio.NewReader(tc)); err != nil {
				return
			}
			for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") {
				_, _ = tc.Write([]byte{b})
			}
		},
	}
	for name, serve := range upstreams {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policyOptions) { w.Upstream.Roots = ca.pool() })
			h.wire.up.TLSHandshakeTimeout = 200 * time.Millisecond
			h.wire.up.inlined = h.wire.up.inlineClient(200 * time.Millisecond)
			h.origin.port = listen(t, serve)
			run, tok := h.open(bearerManifest)
			resp, body := get(t, h.client(run, tok), h.url("/"))
			if strings.Contains(name, "nothing") {
				denied(t, resp, body, UpstreamTimeout)
			} else if resp.StatusCode != http.StatusOK || body != "hello" {
				t.Errorf("%s %q", resp.Status, body)
			}
		})
	}
}

func serving(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// answerOne reads one request head and answers it.
func answerOne(c net.Conn) {
	head := make([]byte, 4096)
	for n := 0; !strings.Contains(string(head[:n]), "\r\n\r\n"); {
		k, err := c.Read(head[n:])
		if err != nil {
			return
		}
		n += k
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	_, _ = io.Copy(io.Discard, c)
}

// listen serves each connection to a loopback port, which it returns.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// testCA issues upstream certificates, bad ones among them.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB, name string) *testCA {
	t.Helper()
	ca := &testCA{key: newECKey(t)}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &ca.key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return ca
}

func (ca *testCA) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

func (ca *testCA) issue(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "upstream"}, DNSNames: []string{apiHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(2 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// issueSHA1 signs what crypto/x509 refuses to sign: it changes the algorithm in
// a certificate's DER and signs that anew.
func (ca *testCA) issueSHA1(t testing.TB) tls.Certificate {
	t.Helper()
	cert := ca.issue(t, newECKey(t), nil)
	sha256OID := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02} // ecdsa-with-SHA256
	var outer struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.Certificate[0], &outer); err != nil {
		t.Fatal(err)
	}
	// ecdsa-with-SHA1 is one arc shorter, so the lengths around it change too.
	sha1Algorithm := []byte{0x30, 0x09, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01}
	sha256Algorithm := slices.Concat([]byte{0x30, 0x0a, 0x06, 0x08}, sha256OID)
	tbs := slices.Concat(outer.TBS.Bytes)
	i := strings.Index(string(tbs), string(sha256Algorithm))
	if i < 0 {
		t.Fatal("no algorithm in the certificate")
	}
	tbs = slices.Concat(tbs[:i], sha1Algorithm, tbs[i+len(sha256Algorithm):])
	signed, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSequence, IsCompound: true, Bytes: tbs})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(signed)
	signature, err := ecdsa.SignASN1(rand.Reader, ca.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	outer.TBS = asn1.RawValue{FullBytes: signed}
	outer.Algorithm = asn1.RawValue{FullBytes: sha1Algorithm}
	outer.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	der, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := x509.ParseCertificate(der); err != nil || c.SignatureAlgorithm != x509.ECDSAWithSHA1 {
		t.Fatal(c, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: cert.PrivateKey}
}

func withAddresses(ips ...net.IP) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.IPAddresses = ips }
}
