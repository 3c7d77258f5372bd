// Package certs is the certificate authority of this machine: the root that
// clients are told to trust, the short-lived leaves that intercepted hosts
// answer with, and the trust bundles that both sides need.
//
// Call Open once, hand CA.Leaf to tls.Config.GetCertificate with a host name
// that is already canonical, and point clients at CA.RootFile (runtimes that
// add to their roots) or at a file from CA.WriteBundle (runtimes that replace
// them). UpstreamRoots is for the other direction, latchgate to the upstream.
//
// Do not sign with anything else: goproxy's signer derives leaf keys
// deterministically. Do not serve the CA certificate itself as a leaf. The
// private key of the CA never leaves this package.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
)

// The files of a CA folder. Both are there or neither is.
const (
	rootName = "ca.pem"
	keyName  = "ca.key"
	lockName = "ca.lock"
)

// Errors of Open, and ErrExpired also of Leaf. The wrapping error names the
// files and says what to do. None of these states is ever repaired silently:
// clients trust the old root, and a new one would fail them without a word.
var (
	// ErrHalfPair: one of ca.pem and ca.key is there and the other is not.
	ErrHalfPair = errors.New("certificate authority is incomplete")
	// ErrMismatch: ca.key is not the key of ca.pem.
	ErrMismatch = errors.New("certificate authority key does not match its certificate")
	// ErrUnusable: a file that does not parse, or a certificate that may not sign leaves.
	ErrUnusable = errors.New("certificate authority cannot be used")
	// ErrExpired: the CA certificate is not valid now (over, or not yet begun).
	ErrExpired = errors.New("certificate authority is not valid now")
)

// Options are what a CA needs besides its folder. The zero value works.
type Options struct {
	Registerer prometheus.Registerer // nil: metrics are counted and not exported
	Logger     *slog.Logger          // nil: nothing is logged
	Clock      func() time.Time      // nil: time.Now
}

// CA signs leaves for intercepted hosts. It is safe for concurrent use and
// holds nothing that needs closing.
type CA struct {
	dir      string
	root     *x509.Certificate
	rootPEM  []byte
	leafKey  *ecdsa.PrivateKey // one a process: a leaf lives a day and never touches the disk
	leafMint *mint
	system   rootPlaces

	clock   func() time.Time
	log     *slog.Logger
	metrics metrics
	leaves  leafCache
	minting singleflight.Group
}

// Open loads dir/ca.pem and dir/ca.key, or makes both where neither exists
// (folder 0700, key 0600, certificate 0644). Processes that start at the same
// time end with the same pair. A key that others can read is used with a
// warning. It returns ErrHalfPair, ErrMismatch, ErrUnusable or ErrExpired,
// wrapped, or the error of the file system.
func Open(dir string, o Options) (*CA, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open certificate authority: %w", err)
	}
	s := store{dir: dir, now: o.Clock()}
	p, err := s.loadOrCreate()
	if err != nil {
		return nil, err
	}
	if mode := p.keyMode.Perm(); mode&0o077 != 0 {
		o.Logger.Warn("the key of the certificate authority can be read by others",
			"file", s.keyFile(), "mode", fmt.Sprintf("%04o", mode), "do", "chmod 600 "+s.keyFile())
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make leaf key: %w", err)
	}
	leafMint, err := newMint(p, leafKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; restore both files, or move %s and %s away to have a new authority made",
			ErrUnusable, s.keyFile(), err, rootName, keyName)
	}
	return &CA{
		dir:      dir,
		root:     p.cert,
		rootPEM:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}),
		leafKey:  leafKey,
		leafMint: leafMint,
		system:   systemPlaces(),
		clock:    o.Clock,
		log:      o.Logger,
		metrics:  newMetrics(o.Registerer),
		leaves:   newLeafCache(leafCacheSize),
	}, nil
}

// Root returns the CA certificate. The caller does not change it.
func (c *CA) Root() *x509.Certificate { return c.root }

// RootPEM returns the CA certificate as PEM, without its key.
func (c *CA) RootPEM() []byte { return slices.Clone(c.rootPEM) }

// RootFile returns the absolute path of the CA certificate, for runtimes whose
// setting adds to the system roots (NODE_EXTRA_CA_CERTS).
func (c *CA) RootFile() string { return filepath.Join(c.dir, rootName) }

// Expires returns the moment after which the CA certificate is worth nothing.
func (c *CA) Expires() time.Time { return c.root.NotAfter }

// KeyFileMode returns the permission bits of dir/ca.key as they are now, for
// checks of an installation; anything beyond 0600 is too open.
func (c *CA) KeyFileMode() (os.FileMode, error) {
	fi, err := os.Stat(filepath.Join(c.dir, keyName))
	if err != nil {
		return 0, err
	}
	return fi.Mode().Perm(), nil
}
