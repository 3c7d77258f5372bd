package gate

import (
	"bytes"
	"crypto/x509"
	_ "embed"
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
	PHP        string `json:"php"`        // a folder of PHP settings that name the bundle
	NodeProxy  string `json:"node_proxy"` // a module that takes old versions of Node through HTTPS_PROXY
}

//go:embed nodeproxy.cjs
var nodeProxy []byte

// TruststorePassword protects nothing: Java insists on one.
const TruststorePassword = "changeit"

// TrustIn names the files that are in the CA's folder once a gate was opened.
func TrustIn(dir string) Trust {
	return Trust{Root: filepath.Join(dir, "ca.pem"), Bundle: filepath.Join(dir, "bundle.pem"), Wgetrc: filepath.Join(dir, "wgetrc"),
		Truststore: filepath.Join(dir, "truststore.p12"), PHP: filepath.Join(dir, "php"), NodeProxy: filepath.Join(dir, "nodeproxy.cjs")}
}

// writeTrust writes those files beside the CA, each in one step.
func writeTrust(ca *certs.CA) (Trust, error) {
	t := TrustIn(filepath.Dir(ca.RootFile()))
	bundle, err := ca.Bundle()
	if err != nil {
		return t, fmt.Errorf("read the system's certificates: %w", err)
	}
	if err := os.MkdirAll(t.PHP, 0o755); err != nil {
		return t, fmt.Errorf("make a folder for PHP's settings: %w", err)
	}
	// A trust store is encrypted anew each time, and is right when the bundle is.
	if !holds(t.Bundle, bundle) || !exists(t.Truststore) {
		store, err := truststore(bundle)
		if err != nil {
			return t, err
		}
		if err := replace(t.Truststore, store); err != nil {
			return t, err
		}
	}
	// The bundle is last: that it is there says that the trust store is its.
	for _, f := range []struct {
		path string
		data []byte
	}{
		{t.NodeProxy, nodeProxy},
		{filepath.Join(t.PHP, "latchgate.ini"), fmt.Appendf(nil, "curl.cainfo = %[1]q\nopenssl.cafile = %[1]q\n", t.Bundle)},
		{t.Wgetrc, []byte("ca_certificate = " + t.Bundle + "\n")},
		{t.Bundle, bundle},
	} {
		if holds(f.path, f.data) {
			continue
		}
		if err := replace(f.path, f.data); err != nil {
			return t, err
		}
	}
	return t, nil
}

// truststore is the bundle as Java reads it.
func truststore(bundle []byte) ([]byte, error) {
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
		return nil, fmt.Errorf("make Java's trust store: %w", err)
	}
	return store, nil
}

// replace writes a file for everybody to read, in one step.
func replace(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func holds(path string, data []byte) bool {
	old, err := os.ReadFile(path)
	return err == nil && bytes.Equal(old, data)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
