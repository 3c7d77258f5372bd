package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

// target is one way to the origin.
type target struct {
	name    string
	address string // of the proxy; "" is straight to the origin
	auth    string // the Proxy-Authorization line
	roots   *x509.CertPool
	pid     int // 0: nothing to measure
}

func (b *bench) start(name string) (*target, error) {
	switch name {
	case "direct":
		return &target{name: name, roots: b.roots}, nil
	case "goproxy":
		c, address, err := b.spawnSelf("goproxy", b.dir)
		if err != nil {
			return nil, err
		}
		return b.behindCA(name, address, c.Process.Pid, b.dir+"/ca.pem")
	case "latchgate":
		return b.startLatchgate()
	case "squid":
		return b.startSquid()
	case "mitmdump":
		return b.startMitmdump()
	}
	return nil, fmt.Errorf("no such target")
}

func (b *bench) behindCA(name, address string, pid int, ca string) (*target, error) {
	roots, err := poolOf(ca)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return &target{name: name, address: address, roots: roots, pid: pid}, nil
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
}

// startLatchgate starts the daemon as a user does, with everything on: a home, an
// encrypted secrets file, a manifest, audit and metrics.
func (b *bench) startLatchgate() (*target, error) {
	home := b.dir + "/home"
	if err := os.MkdirAll(home+"/manifests", 0o700); err != nil {
		return nil, err
	}
	proxy, metrics := freePort(), freePort()
	config := fmt.Sprintf(`
[proxy]
listen = "127.0.0.1:%d"
allow_private = ["127.0.0.0/8"]
upstream_ca_file = %q
[gate]
socket = %q
[metrics]
listen = "127.0.0.1:%d"
[manifests]
dirs = [%q]
[secrets]
sops_secrets_file = %q
sops_key_file = %q
[ca]
dir = %q
[audit]
file = %q
[log]
level = "warn"
`, proxy, b.dir+"/origin.pem", home+"/gate.sock", metrics, home+"/manifests", home+"/secrets.enc.yaml", home+"/age.key", home+"/ca", home+"/audit.jsonl")
	if err := os.WriteFile(home+"/latchgate.toml", []byte(config), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(home+"/manifests/load.yaml", []byte(b.manifests()), 0o600); err != nil {
		return nil, err
	}
	cli := func(stdin string, args ...string) ([]byte, error) {
		c := exec.Command(b.program, append(args, "--config", home+"/latchgate.toml")...)
		c.Dir, c.Stdin = home, strings.NewReader(stdin)
		out, err := c.Output()
		if err != nil {
			var fault *exec.ExitError
			if e, ok := err.(*exec.ExitError); ok {
				fault = e
				return nil, fmt.Errorf("latchgate %s: %w: %s", args[0], err, bytes.TrimSpace(fault.Stderr))
			}
		}
		return out, err
	}
	if _, err := cli("", "secrets", "init"); err != nil {
		return nil, err
	}
	for i := range b.secrets {
		value := secret
		if i > 0 {
			value = fmt.Sprintf("another-secret-%04d-%s", i, secret)
		}
		if _, err := cli(value, "secrets", "set", fmt.Sprintf("TOKEN_%d", i), "--stdin"); err != nil {
			return nil, err
		}
	}
	daemon, err := b.spawn(nil, b.program, "proxy", "--config", home+"/latchgate.toml")
	if err != nil {
		return nil, err
	}
	args := []string{"env", "--format", "json"}
	for i := range b.actions {
		args = append(args, "--action", fmt.Sprintf("load_%d", i))
	}
	var out []byte
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if out, err = cli("", args...); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	var vars map[string]string
	if err := json.Unmarshal(out, &vars); err != nil {
		return nil, err
	}
	u, err := url.Parse(vars["HTTPS_PROXY"])
	if err != nil {
		return nil, err
	}
	t, err := b.behindCA("latchgate", u.Host, daemon.Process.Pid, home+"/ca/ca.pem")
	if err != nil {
		return nil, err
	}
	t.auth = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.String())) + "\r\n"
	return t, nil
}

// manifests declare the run's actions. The first binds all secrets; the first of
// these is the one that is sent as a bearer token.
func (b *bench) manifests() string {
	var s strings.Builder
	for i := range b.actions {
		_, _ = fmt.Fprintf(&s, "---\naction_id: load_%d\ndescription: what is measured\nrisk_level: low\negress: {profile: proxy_allowlist, allowed_domains: [\"*.%s:%s\"]}\n", i, domain, b.port)
		if i > 0 {
			continue
		}
		s.WriteString("secrets:\n")
		for j := range b.secrets {
			inject := "as: bearer"
			if j > 0 {
				inject = fmt.Sprintf("as: header, header: X-Token-%d", j)
			}
			_, _ = fmt.Fprintf(&s, "  - {name: TOKEN_%d, required: true, inject: [{%s, hosts: [\"*.%s:%s\"]}]}\n", j, inject, domain, b.port)
		}
	}
	return s.String()
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
	return b.behindCA("mitmdump", fmt.Sprintf("127.0.0.1:%d", port), c.Process.Pid, b.dir+"/ca.pem")
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
	return b.behindCA("squid", fmt.Sprintf("127.0.0.1:%d", port), c.Process.Pid, b.dir+"/ca.pem")
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
