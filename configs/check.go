package configs

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SplitListen splits a listen address into what net.Listen takes: "unix" and a
// path for unix:/path, else "tcp" and host:port.
func SplitListen(listen string) (network, address string) {
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		return "unix", path
	}
	return "tcp", listen
}

// maxSocketPath is the longest path that a unix socket can have here, in bytes:
// 107 on Linux, 103 on macOS (sun_path, less the final NUL).
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// check adds a problem for every value that parsed and makes no sense.
func (l *loader) check(c *Config) {
	l.checkListeners(c)
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"proxy.header_timeout", c.Proxy.HeaderTimeout},
		{"proxy.idle_timeout", c.Proxy.IdleTimeout},
		{"proxy.drain_timeout", c.Proxy.DrainTimeout},
		{"secrets.decrypt_timeout", c.Secrets.DecryptTimeout},
	} {
		if d.value <= 0 {
			l.wrong(d.key, `must be greater than 0: write a duration such as "30s"`)
		}
	}
	if c.Proxy.MaxRequestBytes < 0 {
		l.wrong("proxy.max_request_bytes", "must not be negative: write 0 for no limit")
	}
	if c.Gate.MaxRuns <= 0 {
		l.wrong("gate.max_runs", "must be greater than 0: write the number of runs that may be open at the same time")
	}
	l.checkCollector(c.Tracing.Endpoint)
	if c.CA.Dir == "" {
		l.wrong("ca.dir", "must not be empty: write the folder of the certificate authority")
	}
	l.checkEnum("secrets.backend", c.Secrets.Backend, "auto", "embedded", "sops")
	l.checkEnum("audit.on_failure", c.Audit.OnFailure, "refuse", "warn")
	l.checkEnum("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.checkEnum("log.format", c.Log.Format, "auto", "text", "json")
}

// checkListeners checks the addresses, and that nobody beyond this machine can
// reach a listener that gives runs away without credentials.
func (l *loader) checkListeners(c *Config) {
	local := false
	switch network, address := SplitListen(c.Proxy.Listen); {
	case network == "unix" && address == "":
		l.wrong("proxy.listen", "names no socket: write unix:/path")
	case network == "unix":
		local = true
		l.checkSocket("proxy.listen", address)
	default:
		local = l.checkAddress("proxy.listen", address, "host:port such as 127.0.0.1:8470, or unix:/path")
	}
	if len(c.Proxy.DefaultActions) > 0 && !local {
		l.wrong("proxy.default_actions", "gives a run to clients without credentials, which only a loopback or unix listener may do, "+
			"and proxy.listen is %q: listen on 127.0.0.1 or unix:/path, or write default_actions = []", c.Proxy.Listen)
	}
	l.checkSocket("gate.socket", c.Gate.Socket)
	if c.Metrics.Listen != "" {
		l.checkAddress("metrics.listen", c.Metrics.Listen, `host:port such as 127.0.0.1:9470, or "" for none`)
		if c.Metrics.Listen == c.Proxy.Listen && !strings.HasSuffix(c.Metrics.Listen, ":0") {
			l.wrong("metrics.listen", "is the same address as proxy.listen: write another port")
		}
	}
}

// checkAddress checks host:port and reports whether the host is this machine's
// loopback.
func (l *loader) checkAddress(key, address, want string) (loopback bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		l.wrong(key, "%q is not an address: write %s", address, want)
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		l.wrong(key, "%q has no port between 0 and 65535: write %s", address, want)
		return false
	}
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// checkCollector checks the collector's address, and does not repeat it: a wrong
// one may hold a password, which has a variable of OpenTelemetry's own.
func (l *loader) checkCollector(endpoint string) {
	if endpoint == "" {
		return
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		l.wrong("tracing.endpoint", `must be the base URL of a collector without credentials, query or fragment: write http://host:4318, or "" for no traces`)
	}
}

func (l *loader) checkSocket(key, path string) {
	if len(path) > maxSocketPath {
		l.wrong(key, "%s has %d bytes and the path of a unix socket at most %d: write a shorter path", path, len(path), maxSocketPath)
	}
}

func (l *loader) checkEnum(key, value string, valid ...string) {
	if !slices.Contains(valid, value) {
		l.wrong(key, "%q is not known: write one of %s", value, strings.Join(valid, ", "))
	}
}

// wrong adds a problem with the value of key, at the place that set it.
func (l *loader) wrong(key, format string, args ...any) {
	l.add(l.origins[key].problem(key, format, args...))
}
