package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/latchgate/latchgate/gate"
)

// tryHost is the name of the server that clients are tried with: one that no
// resolver knows (RFC 6761 section 6.2), and that is not localhost, which many
// clients never send to a proxy.
const tryHost = "api.latchgate.test"

// tryTimeout bounds each client.
const tryTimeout = 10 * time.Second

// triedClient is how far a client's request came, as the proxy and the server
// saw it; what the client itself says does not count.
type triedClient struct {
	Program       string `json:"program"`
	Version       string `json:"version,omitempty"`
	FoundProxy    bool   `json:"found_proxy"`
	TrustsCA      bool   `json:"trusts_ca"`
	Authenticated bool   `json:"authenticated"`
	Said          string `json:"said,omitempty"` // its last line, where it did not arrive
	late          bool
	unknown       bool // the proxy did not get the run's credentials
}

// tryClients lets each client on PATH make a request, with what `exec` sets.
func (d *doctor) tryClients(ctx context.Context, a *app) {
	d.group = "clients"
	h, err := a.openDemoHouse(ctx, d.step, tryHost)
	if err != nil {
		d.fail("proxy", "a proxy to try them with does not start: "+err.Error(), "can this user write to "+os.TempDir()+" and listen on 127.0.0.1?")
		return
	}
	var missing []string
	for i := range triables {
		c := &triables[i]
		d.step("trying " + c.name)
		tried, err := h.try(ctx, c)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, exec.ErrNotFound):
			missing = append(missing, c.name)
		case err != nil:
			d.fail(c.name, err.Error(), "this is a fault of latchgate or of this machine; is its disk full?")
		default:
			d.reportClient(c, tried)
		}
	}
	if len(missing) > 0 {
		d.ok("not here", strings.Join(missing, ", "), "")
	}
	d.step("putting the proxy away")
	if err := h.close(); err != nil {
		d.warn("proxy", "what they were tried with is not all put away: "+err.Error(), "remove "+h.dir)
	}
}

func (d *doctor) reportClient(c *triable, t *triedClient) {
	version := ""
	if t.Version != "" {
		version = t.Version + ": "
	}
	said := ""
	if t.Said != "" {
		said = " (" + t.Said + ")"
	}
	switch {
	case t.Authenticated:
		d.ok(c.name, version+"finds the proxy, trusts the certificate, arrives with the credential", "")
	case t.TrustsCA:
		d.fail(c.name, version+"arrives without the credential"+said, "this is a fault of latchgate; please report it with the version")
	case t.unknown:
		d.warn(c.name, version+"finds the proxy and sends it no credentials"+said, or(c.credentials, "it has a setting of its own for the proxy's user and password: they are in $HTTPS_PROXY"))
	case t.FoundProxy:
		d.warn(c.name, version+"finds the proxy and does not trust its certificate"+said, or(c.trust, "it has a setting of its own for a CA file: give it $SSL_CERT_FILE, which `exec` sets"))
	case t.late:
		d.warn(c.name, version+fmt.Sprintf("made no request within %s", tryTimeout), "try it again when the machine is less busy")
	default:
		d.warn(c.name, version+"does not find the proxy"+said, or(c.proxy, "it has a setting of its own for a proxy: give it $HTTPS_PROXY, which `exec` sets"))
	}
	d.checks[len(d.checks)-1].Client = t
}

func or(special, general string) string {
	if special != "" {
		return special
	}
	return general
}

// try runs the client to its end. The error wraps exec.ErrNotFound where the
// program, or the library that it is about, is not installed.
func (h *demoHouse) try(ctx context.Context, c *triable) (*triedClient, error) {
	program, err := exec.LookPath(c.program)
	if err != nil {
		return nil, exec.ErrNotFound
	}
	home, err := os.MkdirTemp(h.dir, "client-")
	if err != nil {
		return nil, err
	}
	run, release, err := h.client.OpenAttached(ctx, gate.OpenRequest{Door: gate.DoorExec, Actions: []string{demoAction}})
	if err != nil {
		return nil, fmt.Errorf("open a run: %w", err)
	}
	defer release()
	javaProxy := hostOf(run.Proxy)
	door, err := openLocalDoor(run.Proxy)
	if err != nil {
		return nil, err
	}
	if door != nil {
		defer door.close()
		javaProxy = door.ln.Addr().String()
	}
	p := tryProcess{timeout: tryTimeout, dir: home, environ: childEnviron(homeless(os.Environ(), home), run, javaProxy)}
	for _, v := range c.given {
		p.environ = append(p.environ, strings.ReplaceAll(v, "PLACEHOLDER", run.Placeholders[demoSecret]))
	}
	if len(c.has) > 0 {
		if _, _, err := p.run(ctx, program, c.has); err != nil {
			return nil, exec.ErrNotFound
		}
	}
	t := &triedClient{Program: program}
	t.Version = p.version(ctx, program, c.version)
	for name, text := range c.files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return t, h.see(ctx, t, func() error {
		out, late, err := p.run(ctx, program, c.command("https://"+tryHost))
		t.late = late
		if err != nil {
			t.Said = cut(lastLine(out), 160)
		}
		return ctx.Err()
	})
}

// see notes what arrives at the proxy and at the server while act is under way.
func (h *demoHouse) see(ctx context.Context, t *triedClient, act func() error) error {
	metrics := h.daemon.metricsLn.Addr().String()
	before, _, err := scrapeMetrics(ctx, metrics)
	if err != nil {
		return err
	}
	h.upstream.take()
	connections := h.door.taken.Load()
	if err := act(); err != nil {
		return err
	}
	arrived := h.upstream.take()
	after, _, err := scrapeMetrics(ctx, metrics)
	if err != nil {
		return err
	}
	const denied, unknown = "latchgate_proxy_denied_total", `code="run_unknown"`
	t.FoundProxy = h.door.taken.Load() > connections
	t.unknown = after.sum(denied, unknown) > before.sum(denied, unknown)
	t.TrustsCA = len(arrived) > 0
	t.Authenticated = slices.ContainsFunc(arrived, func(r received) bool { return r.Authorized })
	if t.Authenticated {
		t.Said = "" // it wanted another answer than the server's
	}
	return nil
}

// version is the first number in what the program tells about itself.
func (p tryProcess) version(ctx context.Context, program string, args []string) string {
	out, _, _ := p.run(ctx, program, args)
	for line := range strings.Lines(out) {
		if n := aNumber.FindString(line); n != "" && !strings.Contains(line, "JAVA_TOOL_OPTIONS") { // a JVM tells of these first
			return n
		}
	}
	return ""
}

var aNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// homeless is environ with another home, where a client may write what it likes
// and finds no settings. Where toolchains are installed is kept.
func homeless(environ []string, home string) []string {
	kept := slices.DeleteFunc(slices.Clone(environ), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "HOME" || name == "GOMODCACHE" || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "npm_config_") || strings.HasPrefix(name, "CARGO_") || strings.HasPrefix(name, "GIT_")
	})
	kept = append(kept, "HOME="+home, "TMPDIR="+home, "CARGO_HOME="+home, "GOPATH="+home)
	if real, err := os.UserHomeDir(); err == nil && os.Getenv("RUSTUP_HOME") == "" {
		kept = append(kept, "RUSTUP_HOME="+filepath.Join(real, ".rustup"))
	}
	return kept
}

// tryProcess is where a client runs.
type tryProcess struct {
	timeout time.Duration // of each program
	dir     string
	environ []string
}

// run runs a program for at most the timeout, and takes what it started with it.
// out is the first of what it printed.
func (p tryProcess) run(ctx context.Context, program string, args []string) (out string, late bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Dir, c.Env, c.WaitDelay = p.dir, p.environ, time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	var printed firstBytes
	c.Stdout, c.Stderr = &printed, &printed
	err = c.Run()
	return string(printed.kept), ctx.Err() != nil, err
}

// firstBytes keeps so many bytes of what a program prints, and takes the rest. It
// is no bytes.Buffer, whose ReadFrom would be used and go past Write.
type firstBytes struct{ kept []byte }

const maxPrinted = 1 << 20

// Write satisfies io.Writer.
func (b *firstBytes) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), maxPrinted-len(b.kept))]...)
	return len(p), nil
}
