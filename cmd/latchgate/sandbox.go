package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/sandbox"
	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
)

// enterCommand is the hidden command of the process between `exec` and the
// command that it runs: it enters the sandbox and becomes that command.
const enterCommand = "sandboxed"

// entry is what that process is told, on file descriptor 3.
type entry struct {
	Spec    *sandbox.Spec
	Program string
	Args    []string
	Environ []string
}

func (a *app) checkSandbox() error {
	missing, err := sandbox.Check()
	for _, m := range missing {
		fmt.Fprintln(a.err, "latchgate: sandbox: "+m)
	}
	if err != nil {
		return withHint(err, "run the command as another user or in a container, or leave --sandbox out")
	}
	return nil
}

// sandboxed puts the sandbox before the command. javaProxy is host:port.
func (a *app) sandboxed(child *exec.Cmd, cfg *configs.Config, run *gate.OpenedRun, javaProxy string) error {
	var ports []uint16
	for _, addr := range []string{hostOf(run.Proxy), javaProxy} {
		port, err := strconv.ParseUint(addr[strings.LastIndexByte(addr, ':')+1:], 10, 16)
		if err != nil {
			return fmt.Errorf("the proxy's port: %w", err)
		}
		ports = append(ports, uint16(port))
	}
	spec, err := sandbox.Plan(sandboxPaths(cfg, run.Trust), ports...)
	if err != nil {
		return fmt.Errorf("plan the sandbox: %w", err)
	}
	if dir, err := os.Getwd(); err == nil && slices.Contains(spec.Fixed, dir) {
		fmt.Fprintf(a.err, "latchgate: sandbox: the command can make and remove nothing in %s itself, since latchgate's files are in it\n"+
			"  run it from a folder below, with --config ../latchgate.toml, or keep latchgate's files in ~/.config/latchgate\n", tui.Clean(dir))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	told, err := json.Marshal(entry{spec, child.Path, child.Args, child.Env})
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	child.Path, child.Args, child.Env = self, []string{self, enterCommand}, []string{}
	child.ExtraFiles = []*os.File{r}
	go func() { // the child reads all of it, or ends
		_, _ = w.Write(told)
		_ = w.Close()
	}()
	return nil
}

// sandboxPaths are latchgate's own files: those that hold or open a secret, and
// those that say what may be done with it.
func sandboxPaths(cfg *configs.Config, t gate.Trust) sandbox.Paths {
	p := sandbox.Paths{
		Hidden: []string{cfg.CA.Dir, cfg.Secrets.SopsSecretsFile},
		// Of what holds secrets, what clients need.
		Readable: []string{t.Root, t.Bundle, t.Wgetrc, t.Truststore, t.PHP, t.NodeProxy},
		ReadOnly: slices.Concat([]string{cfg.File()}, cfg.Manifests.Dirs, cfg.Policy.Dirs),
	}
	for _, f := range []string{cfg.Secrets.SopsKeyFile, cfg.Audit.File, cfg.Gate.Socket, gate.ApprovalsFile(cfg)} {
		p.Hidden = append(p.Hidden, homeOf(f))
	}
	if home, err := os.UserConfigDir(); err == nil {
		p.Hidden = append(p.Hidden, filepath.Join(home, "sops")) // where sops looks for age keys
	}
	return p
}

// homeOf is the folder of latchgate's own that a file is in, else the file.
func homeOf(file string) string {
	for dir := filepath.Dir(file); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if base := filepath.Base(dir); base == ".latchgate" || base == "latchgate" {
			return dir
		}
	}
	return file
}

func (a *app) sandboxedCommand() *cobra.Command {
	return &cobra.Command{
		Use: enterCommand, Hidden: true, Args: cobra.NoArgs,
		Short: "Enter a sandbox that exec planned, and become its command",
		RunE: func(*cobra.Command, []string) error {
			f := os.NewFile(3, "plan")
			var e entry
			if err := json.NewDecoder(f).Decode(&e); err != nil || e.Spec == nil {
				return &usageError{errors.New(enterCommand + " is what `exec --sandbox` starts"), "call that"}
			}
			_ = f.Close()
			err := e.Spec.Enter(e.Program, e.Args, e.Environ)
			if errors.Is(err, sandbox.ErrUnsupported) {
				return withHint(err, "run the command as another user or in a container, or leave --sandbox out")
			}
			return err
		},
	}
}
