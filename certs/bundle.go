package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// rootPlaces are where a system keeps its roots: the first file that exists is
// used, and the folders where there is none.
type rootPlaces struct{ files, dirs []string }

// systemPlaces are those of crypto/x509 (root_linux.go, root_bsd.go). On macOS
// /etc/ssl/cert.pem holds the roots that come with the system, without those
// added to a keychain.
func systemPlaces() rootPlaces {
	return rootPlaces{
		files: []string{
			"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, NixOS
			"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
			"/etc/ssl/ca-bundle.pem",                            // openSUSE
			"/etc/pki/tls/cacert.pem",                           // OpenELEC
			"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS, RHEL 7
			"/usr/local/etc/ssl/cert.pem",                       // FreeBSD
			"/etc/ssl/cert.pem",                                 // Alpine, macOS, OpenBSD
			"/usr/local/share/certs/ca-root-nss.crt",            // DragonFly
			"/etc/openssl/certs/ca-certificates.crt",            // NetBSD
		},
		dirs: []string{"/etc/ssl/certs", "/etc/pki/tls/certs"},
	}
}

// Bundle returns the system's roots and ours as PEM, each once: what a client
// needs whose setting replaces its roots (SSL_CERT_FILE and its kin). The
// operator's SSL_CERT_FILE and SSL_CERT_DIR are honoured as crypto/x509 does;
// a file named there that holds no certificate is an error. A system without
// any roots gets ours alone, and a warning in the log.
func (c *CA) Bundle() ([]byte, error) {
	system, err := c.system.read(os.Getenv("SSL_CERT_FILE"), os.Getenv("SSL_CERT_DIR"))
	if err != nil {
		return nil, err
	}
	certs := certificatesIn(system)
	if len(certs) == 0 {
		c.log.Warn("no system roots found: the bundle holds the latchgate root alone",
			"do", "install the ca-certificates package or set SSL_CERT_FILE")
	}
	var out bytes.Buffer
	seen := make(map[string]bool)
	for _, cert := range append(certs, c.root) {
		if seen[string(cert.Raw)] {
			continue
		}
		seen[string(cert.Raw)] = true
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return nil, fmt.Errorf("write bundle: %w", err)
		}
	}
	return out.Bytes(), nil
}

// WriteBundle writes Bundle to path, mode 0644: a reader sees the old file or
// the new one.
func (c *CA) WriteBundle(path string) error {
	bundle, err := c.Bundle()
	if err != nil {
		return err
	}
	if err := writeFile(path, bundle, 0o644); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// writeFile replaces path in one step, with mode whatever the umask and the
// mode of the file that was there.
func writeFile(path string, data []byte, mode os.FileMode) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// UpstreamRoots returns what an upstream's certificate is verified against: the
// system's roots, and those of extraFile unless that is "". An extraFile that
// cannot be read, holds no certificate or holds one that does not parse is an
// error: a root left out silently shows as an outage much later.
func UpstreamRoots(extraFile string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read system roots: %w", err)
	}
	if extraFile == "" {
		return pool, nil
	}
	data, err := os.ReadFile(extraFile)
	if err != nil {
		return nil, fmt.Errorf("read upstream roots: %w", err)
	}
	added := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		added++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read upstream roots: %s: certificate %d: %w", extraFile, added, err)
		}
		pool.AddCert(cert)
	}
	if added == 0 {
		return nil, fmt.Errorf("read upstream roots: %s holds no PEM certificate", extraFile)
	}
	return pool, nil
}

// read returns the PEM text of the system's roots. file and dirs are the
// operator's SSL_CERT_FILE and SSL_CERT_DIR, "" where not set.
func (p rootPlaces) read(file, dirs string) ([]byte, error) {
	var out []byte
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read system roots (SSL_CERT_FILE): %w", err)
		}
		if len(certificatesIn(data)) == 0 {
			return nil, fmt.Errorf("read system roots: SSL_CERT_FILE %s holds no certificate", file)
		}
		out = data
	} else {
		out = firstFile(p.files)
	}
	switch {
	case dirs != "":
		return appendFolders(out, filepath.SplitList(dirs))
	case out == nil:
		return appendFolders(nil, p.dirs)
	}
	return out, nil
}

// firstFile returns the first of paths that can be read and holds a certificate.
func firstFile(paths []string) []byte {
	for _, path := range paths {
		if data, err := os.ReadFile(path); err == nil && len(certificatesIn(data)) > 0 {
			return data
		}
	}
	return nil
}

// appendFolders appends each file of each folder, as crypto/x509 does: files
// that are not certificates are passed over later, folders that do not exist now.
func appendFolders(out []byte, dirs []string) ([]byte, error) {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read system roots: %w", err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				continue // a dangling link or a folder
			}
			out = append(append(out, '\n'), data...)
		}
	}
	return out, nil
}

// certificatesIn returns the certificates in PEM text that parse; a system
// store may hold old ones that Go refuses, and they are left out.
func certificatesIn(data []byte) []*x509.Certificate {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			certs = append(certs, cert)
		}
	}
	return certs
}
