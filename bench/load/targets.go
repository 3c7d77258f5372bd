package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

// target is one way to the origin.
type target struct {
	name    string
	address string   // of the proxy; "" is straight to the origin
	auths   []string // the Proxy-Authorization lines of its clients; none: they send none
	hosts   int      // names of the origin that are asked for
	roots   *x509.CertPool
	pid     int // 0: nothing to measure
}

// client is what the i-th of a target's clients says: to whom it wants to speak,
// and who it is. Clients take turns at hosts and runs.
func (t *target) client(i int) (name, auth string) {
	if name = host; t.hosts > 1 {
		name = fmt.Sprintf("api%d.%s", i%t.hosts, domain)
	}
	if len(t.auths) > 0 {
		auth = t.auths[i%len(t.auths)]
	}
	return name, auth
}

// start starts a target: its name, and for latchgate what it is measured with.
func (b *bench) start(name string) (*target, error) {
	kind, options, _ := strings.Cut(name, ":")
	switch kind {
	case "direct":
		return &target{name: name, roots: b.roots}, nil
	case "goproxy":
		c, address, err := b.spawnSelf("goproxy", b.dir)
		if err != nil {
			return nil, err
		}
		return b.behindCA(name, address, c, b.dir+"/ca.pem")
	case "latchgate":
		o, err := b.parseSetup(options)
		if err != nil {
			return nil, err
		}
		return b.startLatchgate(name, o)
	case "squid":
		return b.startSquid()
	case "mitmdump":
		return b.startMitmdump()
	}
	return nil, fmt.Errorf("no such target")
}

func (b *bench) behindCA(name, address string, process *exec.Cmd, ca string) (*target, error) {
	roots, err := poolOf(ca)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return &target{name: name, address: address, roots: roots, pid: process.Process.Pid}, nil
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
}

// startMitmdump needs Debian's mitmproxy.
func (b *bench) startMitmdump() (*target, error) {
	program, err := exec.LookPath("mitmdump")
	if err != nil {
		return nil, err
	}
	dir := b.dir + "/mitm"
	ca, err := joined(b.dir+"/ca.key", b.dir+"/ca.pem")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/mitmproxy-ca.pem", ca, 0o600); err != nil {
		return nil, err
	}
	addon := "class Stamp:\n    def requestheaders(self, flow):\n        flow.request.headers['Authorization'] = 'Bearer " + secret + "'\n        flow.request.stream = True\n" +
		"    def server_connect(self, data):\n        data.server.address = ('127.0.0.1', data.server.address[1])\n" +
		"    def responseheaders(self, flow):\n        flow.response.stream = True\n\naddons = [Stamp()]\n"
	if err := os.WriteFile(dir+"/stamp.py", []byte(addon), 0o600); err != nil {
		return nil, err
	}
	port := freePort()
	c, err := b.spawn(nil, program, "-q", "--listen-host", "127.0.0.1", "-p", fmt.Sprint(port), "-s", dir+"/stamp.py", "--set", "confdir="+dir,
		"--set", "ssl_verify_upstream_trusted_ca="+b.dir+"/origin.pem", "--set", "connection_strategy=lazy")
	if err != nil {
		return nil, err
	}
	return b.behindCA("mitmdump", fmt.Sprintf("127.0.0.1:%d", port), c, b.dir+"/ca.pem")
}

// startSquid needs Debian's squid-openssl.
func (b *bench) startSquid() (*target, error) {
	const program, signer = "/usr/sbin/squid", "/usr/lib/squid/security_file_certgen"
	if _, err := os.Stat(signer); err != nil {
		return nil, err
	}
	dir := b.dir + "/squid"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	port := freePort()
	config := fmt.Sprintf(`http_port 127.0.0.1:%d ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=16MB tls-cert=%s tls-key=%s
sslcrtd_program %s -s %s/certs -M 16MB
acl step1 at_step SslBump1
ssl_bump bump all
tls_outgoing_options cafile=%s
http_access allow all
request_header_access Authorization deny all
request_header_add Authorization "Bearer %s" all
cache deny all
access_log none
cache_log %s/cache.log
pid_filename none
coredump_dir %[5]s
hosts_file %[5]s/hosts
via off
forwarded_for delete
shutdown_lifetime 0 seconds
visible_hostname load
`, port, b.dir+"/ca.pem", b.dir+"/ca.key", signer, dir, b.dir+"/origin.pem", secret, dir)
	var hosts strings.Builder // squid asks a name server for .localhost
	_, _ = fmt.Fprintf(&hosts, "127.0.0.1 %s\n", host)
	for i := range 4000 {
		_, _ = fmt.Fprintf(&hosts, "127.0.0.1 h%d.%s\n", i, domain)
	}
	if err := os.WriteFile(dir+"/hosts", []byte(hosts.String()), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/squid.conf", []byte(config), 0o644); err != nil {
		return nil, err
	}
	prepare := fmt.Sprintf("%s -c -s %s/certs -M 16MB && chown -R proxy:proxy %[2]s && chmod 711 %s && chown proxy %s/ca.key", signer, dir, b.dir, b.dir)
	if out, err := exec.Command("sh", "-c", prepare).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	c, err := b.spawn(nil, program, "-N", "-f", dir+"/squid.conf")
	if err != nil {
		return nil, err
	}
	return b.behindCA("squid", fmt.Sprintf("127.0.0.1:%d", port), c, b.dir+"/ca.pem")
}

func joined(files ...string) (all []byte, err error) {
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// freePort is a port that nobody listens on, a moment ago.
func freePort() int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port
}
