package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

var (
	errNoProgram = errors.New("sops is not on PATH")
	errTooMuch   = errors.New("the output is too large")
)

// child is one run of the sops program: in a process group of its own that does
// not outlive the run, with little of our environment, its output capped and kept
// in memory that is overwritten.
type child struct {
	args  []string
	stdin []byte
	env   []string
	limit int    // bytes of standard output
	path  string // set by run
}

const (
	stderrLimit = 4096
	// pipeGrace is how long a process that outlives sops may hold its pipes.
	pipeGrace = time.Second
)

func (c *child) run(ctx context.Context, mem *memory) (stdout, stderr []byte, err error) {
	if c.path, err = exec.LookPath("sops"); err != nil {
		return nil, nil, errNoProgram
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &output{limit: c.limit, full: func() { cancel(errTooMuch) }}
	diag := &output{limit: stderrLimit}
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Env = c.env
	cmd.Stdout, cmd.Stderr = out, diag
	if c.stdin != nil {
		cmd.Stdin = bytes.NewReader(c.stdin)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = pipeGrace
	err = cmd.Run()
	if cmd.Process != nil {
		_ = killGroup(cmd) // what sops left behind
	}
	mem.adopt(out.buf)
	if errors.Is(context.Cause(ctx), errTooMuch) {
		err = fmt.Errorf("sops: %w", errTooMuch)
	}
	return out.buf, diag.buf, err
}

func killGroup(cmd *exec.Cmd) error {
	return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

// output collects what a child prints, up to a limit. It overwrites each buffer
// that it outgrows. What is beyond the limit is read and thrown away, so that the
// child does not block on a full pipe.
type output struct {
	buf   []byte
	limit int
	full  func() // called once something did not fit; may be nil
}

func (o *output) Write(p []byte) (int, error) {
	room := o.limit - len(o.buf)
	if len(p) > room && o.full != nil {
		o.full()
	}
	o.grow(min(len(p), room))
	o.buf = append(o.buf, p[:min(len(p), room)]...)
	return len(p), nil
}

// ReadFrom reads without the intermediate buffer that io.Copy would leave a copy
// of the secrets in.
func (o *output) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	scratch := make([]byte, 512)
	for {
		room := o.limit - len(o.buf)
		into := scratch
		if room > 0 {
			o.grow(1)
			into = o.buf[len(o.buf):min(cap(o.buf), o.limit)]
		}
		n, err := r.Read(into)
		total += int64(n)
		if room > 0 {
			o.buf = o.buf[:len(o.buf)+n]
		} else if n > 0 && o.full != nil {
			o.full()
		}
		wipe(scratch)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// grow makes room for n more bytes.
func (o *output) grow(n int) {
	if cap(o.buf)-len(o.buf) >= n {
		return
	}
	bigger := make([]byte, len(o.buf), max(4096, 2*cap(o.buf), len(o.buf)+n))
	copy(bigger, o.buf)
	wipe(o.buf)
	o.buf = bigger
}

// passed are the variables that sops and what it calls (AWS, GCP, Azure and Huawei
// SDKs, Vault, gpg) need; a name that ends in _ stands for all that begin so.
var passed = []string{
	"PATH", "HOME", "USER", "TMPDIR", "XDG_", "SOPS_", "GNUPGHOME",
	"AWS_", "GOOGLE_", "CLOUDSDK_", "GCE_METADATA_HOST", "AZURE_", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT",
	"VAULT_", "HUAWEICLOUD_", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
}

// sopsEnvironment returns the environment for sops. Where a key file is
// configured it is the age key, and keys in our own environment are not.
func sopsEnvironment(keyFile string) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if keyFile != "" && strings.HasPrefix(name, "SOPS_AGE_") {
			continue
		}
		if slices.ContainsFunc(passed, func(p string) bool {
			return name == p || strings.HasSuffix(p, "_") && strings.HasPrefix(name, p)
		}) {
			env = append(env, kv)
		}
	}
	if keyFile != "" {
		env = append(env, "SOPS_AGE_KEY_FILE="+keyFile)
	}
	return env
}
