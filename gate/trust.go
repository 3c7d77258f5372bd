package gate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/latchgate/latchgate/certs"
)

// Trust names the files that clients need to trust the CA. None is secret.
type Trust struct {
	Root       string `json:"root"`       // our root alone, PEM
	Bundle     string `json:"bundle"`     // the system's roots and ours, PEM
	Wgetrc     string `json:"wgetrc"`     // a start-up file for wget, which no variable tells about a CA
	Truststore string `json:"truststore"` // the bundle for Java, PKCS #12, password TruststorePassword
}

// TruststorePassword protects nothing: Java insists on one.
const TruststorePassword = "changeit"

// writeTrust writes those files beside the CA, each in one step.
func writeTrust(ca *certs.CA) (Trust, error) {
	dir := filepath.Dir(ca.RootFile())
	t := Trust{Root: ca.RootFile(), Bundle: filepath.Join(dir, "bundle.pem"),
		Wgetrc: filepath.Join(dir, "wgetrc"), Truststore: filepath.Join(dir, "truststore.p12")}
	bundle, err := ca.Bundle()
	if err != nil {
		return t, fmt.Errorf("read the system's certificates: %w", err)
	}
	if old, err := os.ReadFile(t.Bundle); err == nil && bytes.Equal(old, bundle) && exists(t.Wgetrc) && exists(t.Truststore) {
		return t, nil
	}
	var roots []*x509.Certificate
	for rest := bundle; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if c, err := x509.ParseCertificate(b.Bytes); err == nil { // what Go can't read, Java can do without
			roots = append(roots, c)
		}
	}
	store, err := pkcs12.Modern.EncodeTrustStore(roots, TruststorePassword)
	if err != nil {
		return t, fmt.Errorf("make Java's trust store: %w", err)
	}
	// The bundle is last: that it is there says that the others are.
	for _, f := range []struct {
		path string
		data []byte
	}{{t.Truststore, store}, {t.Wgetrc, []byte("ca_certificate = " + t.Bundle + "\n")}, {t.Bundle, bundle}} {
		if err := renameio.WriteFile(f.path, f.data, 0o644); err != nil {
			return t, fmt.Errorf("write %s: %w", f.path, err)
		}
	}
	return t, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
