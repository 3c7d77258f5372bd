package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/manifests"
)

// authorities are CAs with a key of each kind that an operator may bring.
func authorities(t *testing.T, now time.Time) map[string]*pair {
	t.Helper()
	all := map[string]*pair{}
	add := func(name string, key crypto.Signer, err error) {
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"an operator"}, CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(rootLifetime), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &pair{cert: cert, key: key}
	}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(name, key, err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	add("RSA", rsaKey, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	add("Ed25519", edKey, err)
	return all
}

// someHost is a canonical host: most often a name, of up to 253 characters.
func someHost(r *mathrand.Rand) string {
	switch r.IntN(6) {
	case 0:
		return netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}).String()
	case 1:
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(r.Uint32())}
		a[7] = byte(r.Uint32())
		return netip.AddrFrom16(a).String()
	}
	const chars = "abcdefghijklmnopqrstuvwxyz0123456789_-"
	var name strings.Builder
	for limit := 1 + r.IntN(240); name.Len() < limit; name.WriteByte('.') {
		name.WriteByte('x')
		for range min(r.IntN(61), limit-name.Len()) {
			name.WriteByte(chars[r.IntN(len(chars))])
		}
		name.WriteByte('x')
	}
	return name.String() + "com"
}

// TestALeafIsWhatX509WouldMake compares with the encoder that we pass by: what is
// signed is the same to the last byte.
func TestALeafIsWhatX509WouldMake(t *testing.T) {
	seed := mathrand.Uint64()
	r := mathrand.New(mathrand.NewPCG(seed, seed))
	t.Logf("seed %d", seed)
	now := time.Now()
	for _, now := range []time.Time{now, time.Date(2049, 12, 31, 12, 0, 0, 0, time.FixedZone("", 3600))} {
		for name, ca := range authorities(t, now) {
			leafKey := newKey(t)
			m, err := newMint(ca, leafKey)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for range 20 {
				host := someHost(r)
				if canonical, err := manifests.CanonicalHost(host); err != nil || canonical != host {
					t.Fatalf("%q is no canonical host: %v", host, err)
				}
				sameAsX509(t, m, ca, leafKey, host, now)
			}
		}
	}
}

func sameAsX509(t *testing.T, m *mint, ca *pair, leafKey *ecdsa.PrivateKey, host string, now time.Time) {
	t.Helper()
	der, err := m.sign(host, now.Add(-backDate), now.Add(leafLifetime))
	if err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	got, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	if _, err := got.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: now}); err != nil {
		t.Errorf("%s: %v", host, err)
	}
	ski, err := subjectKeyID(leafKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: got.SerialNumber, RawSubject: got.RawSubject, NotBefore: now.Add(-backDate), NotAfter: now.Add(leafLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, SubjectKeyId: ski}
	if ip := net.ParseIP(host); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	} else {
		tmpl.DNSNames = []string{host}
	}
	der, err = x509.CreateCertificate(rand.Reader, tmpl, ca.cert, leafKey.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.RawTBSCertificate, want.RawTBSCertificate) || got.SignatureAlgorithm != want.SignatureAlgorithm {
		t.Errorf("%s:\n got %x\nwant %x", host, got.RawTBSCertificate, want.RawTBSCertificate)
	}
	subject := "CN=" + host
	if len(host) > 64 {
		subject = ""
	}
	if got.Subject.String() != subject {
		t.Errorf("%s: subject %q", host, got.Subject)
	}
	if n := got.SerialNumber.BitLen(); n != 127 {
		t.Errorf("a serial number of %d bits", n)
	}
}

func TestOpensslTakesTheLeavesOfEachKindOfKey(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	for name, ca := range authorities(t, now) {
		m, err := newMint(ca, newKey(t))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
		for _, host := range []string{"api.example.com", "a_b.example.com", "127.0.0.1", "2001:db8::1", strings.Repeat("a23456789.", 12) + "com"} {
			der, err := m.sign(host, now.Add(-backDate), now.Add(leafLifetime))
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "leaf.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
			check := "-verify_hostname"
			if net.ParseIP(host) != nil {
				check = "-verify_ip"
			}
			out, err := runClient(t, nil, "openssl", "verify", "-purpose", "sslserver", check, host, "-CAfile", filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem"))
			if err != nil {
				t.Errorf("%s, %s: %v\n%s", name, host, err, out)
			}
		}
	}
}
