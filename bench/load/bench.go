package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The names of a measurement. All under .localhost are this machine (RFC 6761
// section 6.3), so nothing has to be written into /etc/hosts.
const (
	domain = "load.localhost"
	host   = "api." + domain
)

// bench is an origin and what it takes to start proxies in front of it.
type bench struct {
	ctx       context.Context
	dir       string // of this measurement, removed at its end
	program   string
	environ   []string
	port      string // the origin's
	roots     *x509.CertPool
	processes []*exec.Cmd
	length    time.Duration
	fresh     map[string]int // cold hosts used so far, by target
}

func newBench(ctx context.Context, program, environ string) (_ *bench, err error) {
	b := &bench{ctx: ctx, program: program, fresh: map[string]int{}}
	if environ != "" {
		b.environ = strings.Split(environ, ",")
	}
	if b.dir, err = os.MkdirTemp("", "latchgate-load-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := errors.Join(writePair(b.dir+"/ca", true), writePair(b.dir+"/origin", false)); err != nil {
		return nil, err
	}
	if b.roots, err = poolOf(b.dir + "/origin.pem"); err != nil {
		return nil, err
	}
	if b.program == "" {
		b.program = b.dir + "/latchgate"
		build := exec.Command("go", "build", "-trimpath", "-o", b.program, "github.com/latchgate/latchgate/cmd/latchgate")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build latchgate: %w\n%s", err, out)
		}
	}
	origin, address, err := b.spawnSelf("origin", b.dir)
	if err != nil {
		return nil, err
	}
	_ = origin
	_, b.port, err = net.SplitHostPort(address)
	return b, err
}

// close stops all that was started.
func (b *bench) close() {
	b.stopFrom(0)
	_ = os.RemoveAll(b.dir)
}

// stopFrom stops all that was started after the first n processes, the last first.
func (b *bench) stopFrom(n int) {
	for _, c := range slices.Backward(b.processes[n:]) {
		stop(c)
	}
	b.processes = b.processes[:n]
}

func stop(c *exec.Cmd) {
	_ = c.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(3*time.Second, func() { _ = c.Process.Kill() })
	_ = c.Wait()
	timer.Stop()
}

// spawn starts a program in a process of its own.
func (b *bench) spawn(stdout io.Writer, name string, args ...string) (*exec.Cmd, error) {
	c := exec.Command(name, args...)
	c.Dir, c.Stdout = b.dir, stdout
	c.Env = append(os.Environ(), b.environ...)
	log, err := os.CreateTemp(b.dir, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	c.Stderr = log
	if err := c.Start(); err != nil {
		return nil, err
	}
	b.processes = append(b.processes, c)
	return c, nil
}

// spawnSelf starts this program in another role, which prints its address.
func (b *bench) spawnSelf(role, arg string) (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = r.Close() }()
	c, err := b.spawn(w, self, role, arg)
	_ = w.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	return c, strings.TrimSpace(line), err
}

// writePair makes path.pem and path.key: a CA, or a certificate of the origin's
// that is its own issuer.
func writePair(path string, ca bool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "latchgate load " + filepath.Base(path)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if !ca {
		tmpl.KeyUsage |= x509.KeyUsageDigitalSignature
		tmpl.DNSNames = []string{"*." + domain}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(path+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(path+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

func poolOf(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
