package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// rootLifetime is long because a root is carried by hand into images and
	// trust stores; what limits it is that its key never leaves the machine.
	rootLifetime = 10 * 365 * 24 * time.Hour
	// backDate forgives a client whose clock is behind ours.
	backDate = time.Hour
)

// store is the CA folder on disk.
type store struct {
	dir string
	now time.Time
}

// pair is a CA that can sign: certificate and key belong together.
type pair struct {
	cert    *x509.Certificate
	key     crypto.Signer
	keyMode os.FileMode
}

func (s store) rootFile() string { return filepath.Join(s.dir, rootName) }
func (s store) keyFile() string  { return filepath.Join(s.dir, keyName) }

// loadOrCreate reads the pair without a lock first, so that a read-only folder
// with a complete pair works, and settles everything else under the lock: a
// half pair seen without it may be one that another process is just writing.
func (s store) loadOrCreate() (*pair, error) {
	p, err := s.load()
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrHalfPair) {
		return p, err
	}
	if mkErr := os.MkdirAll(s.dir, 0o700); mkErr != nil {
		return nil, fmt.Errorf("make folder of the certificate authority: %w", mkErr)
	}
	unlock, lockErr := s.lock()
	if lockErr != nil {
		if errors.Is(err, ErrHalfPair) {
			return nil, err
		}
		return nil, lockErr
	}
	defer unlock()
	p, err = s.load()
	if !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	if err := s.create(); err != nil {
		return nil, err
	}
	return s.load()
}

func (s store) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock certificate authority: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock certificate authority: %w", err)
		}
	}
}

// load returns fs.ErrNotExist where there is neither file.
func (s store) load() (*pair, error) {
	rootPEM, rootErr := os.ReadFile(s.rootFile())
	keyPEM, keyErr := os.ReadFile(s.keyFile())
	noRoot, noKey := errors.Is(rootErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	switch {
	case noRoot && noKey:
		return nil, rootErr
	case noRoot && keyErr == nil:
		return nil, fmt.Errorf("%w: %s is there and %s is not; restore the missing file, or move the other away to have a new authority made",
			ErrHalfPair, s.keyFile(), s.rootFile())
	case noKey && rootErr == nil:
		return nil, fmt.Errorf("%w: %s is there and %s is not; restore the missing file, or move the other away to have a new authority made",
			ErrHalfPair, s.rootFile(), s.keyFile())
	case rootErr != nil:
		return nil, fmt.Errorf("read certificate authority: %w", rootErr)
	case keyErr != nil:
		return nil, fmt.Errorf("read certificate authority: %w", keyErr)
	}
	p, err := s.parse(rootPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(s.keyFile())
	if err != nil {
		return nil, fmt.Errorf("read certificate authority: %w", err)
	}
	p.keyMode = fi.Mode()
	return p, nil
}

func (s store) parse(rootPEM, keyPEM []byte) (*pair, error) {
	unusable := func(file, why string) error {
		return fmt.Errorf("%w: %s: %s; restore both files, or move %s and %s away to have a new authority made",
			ErrUnusable, file, why, rootName, keyName)
	}
	block, _ := pem.Decode(rootPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, unusable(s.rootFile(), "not a PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, unusable(s.rootFile(), err.Error())
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, unusable(s.keyFile(), err.Error())
	}
	pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(key.Public()) {
		return nil, fmt.Errorf("%w: %s, %s; restore the files that belong together, or move both away to have a new authority made",
			ErrMismatch, s.keyFile(), s.rootFile())
	}
	if !cert.BasicConstraintsValid || !cert.IsCA || (cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0) {
		return nil, unusable(s.rootFile(), "not a certificate that may sign others")
	}
	if err := validNow(cert, s.now); err != nil {
		return nil, fmt.Errorf("%w: %s; move %s and %s away to have a new authority made, then install the new root where the old one was",
			err, s.rootFile(), rootName, keyName)
	}
	return &pair{cert: cert, key: key}, nil
}

// parseKey reads PKCS#8 (what we write) and SEC 1 (what `openssl ecparam`
// writes). Its errors never quote the input.
func parseKey(keyPEM []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, errors.New("not a PEM private key")
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a private key in PKCS#8 or SEC 1 form")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a key that can sign")
	}
	return signer, nil
}

// validNow returns ErrExpired with the date where cert is not valid at now.
func validNow(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%w: it ended on %s", ErrExpired, cert.NotAfter.Format(time.DateOnly))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%w: it begins on %s; is the clock right?", ErrExpired, cert.NotBefore.Format(time.DateOnly))
	}
	return nil
}

// create makes a new pair. The caller holds the lock and has seen that neither
// file exists. Each file appears complete; a crash between the two leaves a
// half pair, which nobody has trusted yet.
func (s store) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	certDER, err := selfSign(key, s.now)
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	for _, f := range []struct {
		path, kind string
		der        []byte
		mode       os.FileMode
	}{
		{s.keyFile(), "PRIVATE KEY", keyDER, 0o600},
		{s.rootFile(), "CERTIFICATE", certDER, 0o644},
	} {
		data := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})
		if err := writeFile(f.path, data, f.mode); err != nil {
			return fmt.Errorf("write certificate authority: %w", err)
		}
	}
	return nil
}

// selfSign makes the root as strict clients want it (RFC 5280 section 4.2;
// OpenSSL's X509_V_FLAG_X509_STRICT, which Python 3.13 sets).
func selfSign(key *ecdsa.PrivateKey, now time.Time) ([]byte, error) {
	ski, err := subjectKeyID(key.Public())
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"latchgate"}, CommonName: rootCommonName(ski)},
		NotBefore:             now.Add(-backDate),
		NotAfter:              now.Add(rootLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          ski,
		AuthorityKeyId:        ski,
	}
	return x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
}

// rootCommonName is what a person sees in a trust store: which machine's
// authority it is, and which one if there were several. A common name has at
// most 64 characters (RFC 5280 appendix A.1, ub-common-name).
func rootCommonName(ski []byte) string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	host, _, _ = strings.Cut(host, ".")
	host = host[:min(len(host), 40)]
	return fmt.Sprintf("latchgate CA %s %x", strings.ToValidUTF8(host, ""), ski[:4])
}

// subjectKeyID is method 1 of RFC 7093 section 2: the leftmost 160 bits of the
// SHA-256 of the public key's bits.
func subjectKeyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &spki); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spki.Key.Bytes)
	return sum[:20], nil
}
