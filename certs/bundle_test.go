package certs

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// bundleOf returns the certificates of a bundle, and fails where one is not
// readable as it stands.
func bundleOf(t *testing.T, ca *CA) []*x509.Certificate {
	t.Helper()
	data, err := ca.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	certs := certificatesIn(data)
	if len(certs) != bytes.Count(data, []byte("BEGIN CERTIFICATE")) {
		t.Error("the bundle holds certificates that do not parse")
	}
	return certs
}

func holds(certs []*x509.Certificate, c *x509.Certificate) bool {
	return slices.ContainsFunc(certs, c.Equal)
}

func TestBundleHoldsTheSystemsRootsAndOurs(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", "")
	t.Setenv("SSL_CERT_DIR", "")
	ca := openCA(t, Options{})
	system := certificatesIn(firstFile(systemPlaces().files))
	if len(system) == 0 {
		t.Skip("this system has no roots")
	}
	bundle := bundleOf(t, ca)
	if !holds(bundle, ca.Root()) || !holds(bundle, system[0]) || len(bundle) < 2 {
		t.Errorf("%d certificates, ours %v", len(bundle), holds(bundle, ca.Root()))
	}
}

func TestBundleFollowsTheOperatorsSettings(t *testing.T) {
	ca, other, third := openCA(t, Options{}), openCA(t, Options{}), openCA(t, Options{})
	dir := t.TempDir()
	write(t, dir, "a.pem", slices.Concat([]byte("# a comment\n"), other.RootPEM(), other.RootPEM(), ca.RootPEM()))
	folder := t.TempDir()
	write(t, folder, "b.crt", bytes.TrimSpace(third.RootPEM()))
	write(t, folder, "README", []byte("nothing"))

	t.Setenv("SSL_CERT_FILE", filepath.Join(dir, "a.pem"))
	t.Setenv("SSL_CERT_DIR", "")
	if got := bundleOf(t, ca); len(got) != 2 || !holds(got, ca.Root()) || !holds(got, other.Root()) {
		t.Errorf("file: %d certificates, want ours and the other, each once", len(got))
	}
	t.Setenv("SSL_CERT_DIR", folder+":"+filepath.Join(dir, "missing"))
	if got := bundleOf(t, ca); len(got) != 3 || !holds(got, third.Root()) {
		t.Errorf("file and folder: %d certificates", len(got))
	}
	t.Setenv("SSL_CERT_FILE", filepath.Join(dir, "missing.pem"))
	if _, err := ca.Bundle(); err == nil || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("missing file: %v", err)
	}
	t.Setenv("SSL_CERT_FILE", filepath.Join(folder, "README"))
	if _, err := ca.Bundle(); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("file without a certificate: %v", err)
	}
}

func TestBundleWithoutSystemRootsIsOursAndAWarning(t *testing.T) {
	var log bytes.Buffer
	ca := openCA(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ca.system = rootPlaces{}
	t.Setenv("SSL_CERT_FILE", "")
	t.Setenv("SSL_CERT_DIR", "")
	if got := bundleOf(t, ca); len(got) != 1 || !holds(got, ca.Root()) {
		t.Errorf("%d certificates", len(got))
	}
	if !strings.Contains(log.String(), "no system roots found") {
		t.Errorf("log: %s", &log)
	}
}

func TestBundleFallsBackToFolders(t *testing.T) {
	ca, other := openCA(t, Options{}), openCA(t, Options{})
	dir := t.TempDir()
	write(t, dir, "other.pem", other.RootPEM())
	ca.system = rootPlaces{files: []string{filepath.Join(dir, "missing")}, dirs: []string{filepath.Join(dir, "none"), dir}}
	t.Setenv("SSL_CERT_FILE", "")
	t.Setenv("SSL_CERT_DIR", "")
	if got := bundleOf(t, ca); len(got) != 2 || !holds(got, other.Root()) {
		t.Errorf("%d certificates", len(got))
	}
}

func TestBundleFileIsReadableByAllAndReplacedWhole(t *testing.T) {
	ca := openCA(t, Options{})
	path := filepath.Join(t.TempDir(), "bundle.pem")
	write(t, filepath.Dir(path), "bundle.pem", []byte("old")) // with mode 0600
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	if err := ca.WriteBundle(path); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode() != 0o644 {
		t.Errorf("mode %v", fi.Mode())
	}
	want, _ := ca.Bundle()
	if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
		t.Error("the file is not the bundle")
	}
	if err := ca.WriteBundle(filepath.Join(t.TempDir(), "missing", "bundle.pem")); err == nil {
		t.Error("no error for a folder that is not there")
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestUpstreamRootsTakeExtraOnesOrSayWhyNot(t *testing.T) {
	ca := openCA(t, Options{})
	l := mustLeaf(t, ca, "example.com").Leaf
	dir := t.TempDir()
	write(t, dir, "empty.pem", nil)
	write(t, dir, "text.pem", []byte("not PEM"))
	write(t, dir, "broken.pem", slices.Concat(ca.RootPEM(), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")))

	pool, err := UpstreamRoots("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify(x509.VerifyOptions{Roots: pool}); err == nil {
		t.Error("the system trusts our root")
	}
	if pool, err = UpstreamRoots(ca.RootFile()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify(x509.VerifyOptions{Roots: pool}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"empty.pem", "text.pem", "broken.pem", "missing.pem"} {
		if _, err := UpstreamRoots(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := UpstreamRoots(dir); err == nil {
		t.Error("a folder is no file")
	}
}
