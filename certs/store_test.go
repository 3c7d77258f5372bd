package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openOnly makes the test binary a process that opens the folder it names and
// prints the root it got.
const openOnly = "LATCHGATE_CERTS_TEST_OPEN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(openOnly); dir != "" {
		ca, err := Open(dir, Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Stdout.Write(ca.RootPEM())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func openCA(t testing.TB, o Options) *CA {
	t.Helper()
	ca, err := Open(filepath.Join(t.TempDir(), "ca"), o)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestFirstOpenMakesAPairAndLaterOnesKeepIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "ca")
	first, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{".": fs.ModeDir | 0o700, rootName: 0o644, keyName: 0o600} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != want {
			t.Errorf("mode of %s is %v, want %v", name, fi.Mode(), want)
		}
	}
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	second, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !first.Root().Equal(second.Root()) {
		t.Error("the second Open has another root")
	}
	if _, err := os.Stat(filepath.Join(dir, lockName)); err == nil {
		t.Error("loading a complete pair wrote to the folder")
	}
	onDisk, err := os.ReadFile(second.RootFile())
	if err != nil || !bytes.Equal(onDisk, second.RootPEM()) {
		t.Errorf("RootFile holds something else than RootPEM (%v)", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

func TestRootIsWhatStrictClientsWant(t *testing.T) {
	root := openCA(t, Options{}).Root()
	if err := root.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
	if !root.IsCA || !root.MaxPathLenZero || root.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("CA %v, path length 0 %v, key usage %b", root.IsCA, root.MaxPathLenZero, root.KeyUsage)
	}
	if key, ok := root.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("key is %T", root.PublicKey)
	}
	if len(root.SubjectKeyId) != 20 || !bytes.Equal(root.SubjectKeyId, root.AuthorityKeyId) {
		t.Errorf("SKI %x, AKI %x", root.SubjectKeyId, root.AuthorityKeyId)
	}
	for _, e := range root.Extensions {
		if id := e.Id.String(); (id == "2.5.29.15" || id == "2.5.29.19") && !e.Critical {
			t.Errorf("extension %s is not critical", id)
		}
	}
	if cn := root.Subject.CommonName; !strings.HasPrefix(cn, "latchgate CA ") || len(cn) > 64 ||
		!strings.HasSuffix(cn, fmt.Sprintf(" %x", root.SubjectKeyId[:4])) {
		t.Errorf("common name %q", cn)
	}
}

func TestProcessesThatStartTogetherEndWithOnePair(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		dir := filepath.Join(t.TempDir(), "ca")
		var procs [4]*exec.Cmd
		var roots, problems [len(procs)]bytes.Buffer
		for i := range procs {
			procs[i] = exec.Command(exe)
			procs[i].Env = append(os.Environ(), openOnly+"="+dir)
			procs[i].Stdout, procs[i].Stderr = &roots[i], &problems[i]
			if err := procs[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		for i, p := range procs {
			if err := p.Wait(); err != nil {
				t.Errorf("%v: %s", err, &problems[i])
			}
			if roots[i].Len() == 0 || roots[i].String() != roots[0].String() {
				t.Errorf("process %d has another root than process 0", i)
			}
		}
	}
}

// writePair fills a folder with a pair made from a template.
func writePair(t *testing.T, tmpl *x509.Certificate, key *ecdsa.PrivateKey) (dir string) {
	t.Helper()
	tmpl.SerialNumber, tmpl.Subject = big.NewInt(1), pkix.Name{CommonName: "test"}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	write(t, dir, rootName, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	write(t, dir, keyName, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	return dir
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func caTemplate() *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
}

func TestOperatorsOwnPairIsUsed(t *testing.T) {
	dir := writePair(t, caTemplate(), newKey(t))
	ca, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Leaf("example.com"); err != nil {
		t.Error(err)
	}
}

func TestBrokenAuthorityIsAnErrorAndNeverMadeAnew(t *testing.T) {
	edit := func(change func(*x509.Certificate)) func(*testing.T) string {
		return func(t *testing.T) string {
			tmpl := caTemplate()
			change(tmpl)
			return writePair(t, tmpl, newKey(t))
		}
	}
	with := func(name string, data []byte) func(*testing.T) string {
		return func(t *testing.T) string {
			dir := writePair(t, caTemplate(), newKey(t))
			if data == nil {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				return dir
			}
			write(t, dir, name, data)
			return dir
		}
	}
	for name, c := range map[string]struct {
		dir  func(*testing.T) string
		want error
	}{
		"no key":         {with(keyName, nil), ErrHalfPair},
		"no certificate": {with(rootName, nil), ErrHalfPair},
		"key of another": {func(t *testing.T) string {
			dir := writePair(t, caTemplate(), newKey(t))
			other, err := os.ReadFile(filepath.Join(writePair(t, caTemplate(), newKey(t)), keyName))
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, keyName, other)
			return dir
		}, ErrMismatch},
		"empty key":             {with(keyName, []byte{}), ErrUnusable},
		"key is not one":        {with(keyName, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})), ErrUnusable},
		"empty certificate":     {with(rootName, []byte{}), ErrUnusable},
		"broken certificate":    {with(rootName, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), ErrUnusable},
		"not an authority":      {edit(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }), ErrUnusable},
		"may not sign":          {edit(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), ErrUnusable},
		"over":                  {edit(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ErrExpired},
		"not begun, or a clock": {edit(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			dir := c.dir(t)
			before := contents(t, dir)
			_, err := Open(dir, Options{})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), "to have a new authority made") {
				t.Errorf("the error does not say what to do: %v", err)
			}
			if after := contents(t, dir); after != before {
				t.Error("Open changed the files")
			}
			if key, _ := pem.Decode([]byte(readKey(t, dir))); key != nil && strings.Contains(err.Error(), string(key.Bytes)) {
				t.Error("the error quotes the key")
			}
		})
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	root, _ := os.ReadFile(filepath.Join(dir, rootName))
	return string(root) + readKey(t, dir)
}

func readKey(t *testing.T, dir string) string {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(dir, keyName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(key)
}

func TestKeyThatOthersCanReadIsWarnedAbout(t *testing.T) {
	for mode, warns := range map[fs.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o620: true} {
		ca := openCA(t, Options{})
		keyFile := filepath.Join(filepath.Dir(ca.RootFile()), keyName)
		if err := os.Chmod(keyFile, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		again, err := Open(filepath.Dir(keyFile), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "chmod 600 "+keyFile); got != warns {
			t.Errorf("mode %v: warned %v\n%s", mode, got, &log)
		}
		if got, err := again.KeyFileMode(); err != nil || got != mode {
			t.Errorf("KeyFileMode %v, %v; want %v", got, err, mode)
		}
	}
}
