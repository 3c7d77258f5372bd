package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/cmd/latchgate/sandbox"
	"github.com/latchgate/latchgate/gate"
)

func ownerOf(st fs.FileInfo) (uid uint32, known bool) {
	sys, known := st.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return sys.Uid, true
}

// skew is how far a clock may be off before certificates suffer.
const skew = 2 * time.Minute

// lookAtClock compares the clock with what was written by it, and asks nobody
// on a network. One that is behind makes our certificates not valid yet.
func (d *doctor) lookAtClock(context.Context) {
	now := time.Now()
	latest, what := time.Time{}, ""
	see := func(t time.Time, of string) {
		if t.After(latest) {
			latest, what = t, of
		}
	}
	files := []string{d.cfg.File(), d.cfg.Secrets.SopsSecretsFile, d.cfg.Secrets.SopsKeyFile, filepath.Join(d.cfg.CA.Dir, "ca.pem"), d.cfg.Audit.File}
	if self, err := os.Executable(); err == nil {
		files = append(files, self)
	}
	for _, f := range files {
		if st, err := os.Stat(f); f != "" && err == nil {
			see(st.ModTime(), f+" was changed")
		}
	}
	if raw, err := os.ReadFile(filepath.Join(d.cfg.CA.Dir, "ca.pem")); err == nil {
		for _, c := range certificates(raw) {
			see(c.NotBefore, "the authority's certificate begins")
		}
	}
	if d.cfg.Audit.File != "" {
		for e, err := range audit.Read(d.cfg.Audit.File) {
			if err != nil {
				break
			}
			see(e.Time, "an event of the audit record happened")
		}
	}
	if ahead := latest.Sub(now); ahead > skew {
		d.warn("clock", fmt.Sprintf("%s %s after what this machine's clock says", what, ahead.Round(time.Second)),
			"set the clock (`timedatectl set-ntp true`): clients refuse certificates that are not valid yet; where the file's time is wrong, touch it")
		return
	}
	d.ok("clock", now.Format(time.RFC3339)+", after all that was written here", "")
}

// lookAtSandbox tells what `exec --sandbox` can do here, and in this folder.
func (d *doctor) lookAtSandbox(context.Context) {
	missing, err := sandbox.Check()
	if err != nil {
		d.ok("kernel", err.Error(), "without --sandbox a command of the same user can open the key; run it as another user or in a container instead")
		return
	}
	d.ok("kernel", "it has all that `exec --sandbox` needs", "")
	for _, m := range missing {
		d.ok("kernel", m, "a newer kernel does")
	}
	dir, err := os.Getwd()
	if err != nil {
		d.warn("folder", err.Error(), "change to a folder that there is")
		return
	}
	spec, err := sandbox.Plan(sandboxPaths(d.cfg, gate.Trust{}))
	switch {
	case err != nil:
		d.warn("folder", err.Error(), "`exec --sandbox` can't plan what the command may reach; make the folders readable")
	case slices.Contains(spec.Fixed, dir):
		d.ok("folder", "latchgate's files are in "+dir+": a sandboxed command can make and remove nothing in it",
			"run the command from a folder below, with --config ../latchgate.toml, or keep the files in ~/.config/latchgate: latchgate.toml is looked for there, and paths in it are relative to it")
	default:
		d.ok("folder", "a sandboxed command can work in "+dir, "")
	}
}
