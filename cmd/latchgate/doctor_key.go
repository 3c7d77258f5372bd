package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latchgate/latchgate/secrets"
)

// lookAtKey looks at the age key file, where the secrets need one.
func (d *doctor) lookAtKey(ctx context.Context) {
	key := d.cfg.Secrets.SopsKeyFile
	if key == "" {
		d.ok("file", "none is configured; the sops program finds its keys by itself", "")
		return
	}
	st, err := os.Stat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !d.needsAgeKey():
		d.ok("file", "none, and none is needed", "")
		return
	case errors.Is(err, fs.ErrNotExist):
		d.fail("file", key+" does not exist, and the secrets file is encrypted for an age key", "restore it from your backup, or name it in secrets.sops_key_file; without it nothing opens the file")
		return
	case err != nil:
		d.fail("file", err.Error(), "make the file readable for the user that latchgate runs as")
		return
	}
	d.lookAtKeyFile(key, st.Mode().Perm())
	d.lookAtKeyInGit(ctx, key)
}

func (d *doctor) needsAgeKey() bool {
	s, err := secrets.Open(secrets.Options{File: d.cfg.Secrets.SopsSecretsFile, KeyFile: d.cfg.Secrets.SopsKeyFile, Backend: d.cfg.Secrets.Backend})
	if err != nil {
		return false
	}
	defer func() { _ = s.Close() }()
	about, err := s.Describe()
	return err == nil && len(about.Age) > 0 && len(about.Others) == 0
}

func (d *doctor) lookAtKeyFile(key string, mode fs.FileMode) {
	if f, err := os.Open(key); err != nil {
		d.fail("file", err.Error(), "make the file readable for the user that latchgate runs as, and for nobody else")
	} else {
		_ = f.Close()
		d.ok("file", key+" can be read", "")
	}
	if mode&0o077 != 0 {
		d.fail("mode", fmt.Sprintf("%s has mode %04o: others may use the key", key, mode), "chmod 600 "+key+"; where others had a login, `latchgate secrets rotate-key` too")
	} else {
		d.ok("mode", fmt.Sprintf("%04o", mode), "")
	}
	dir := filepath.Dir(key)
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		d.warn("folder", err.Error(), "make the folder of the key readable for the user that latchgate runs as")
	case st.Mode().Perm()&0o007 != 0:
		d.warn("folder", fmt.Sprintf("%s has mode %04o: everybody can look into it", dir, st.Mode().Perm()), "chmod 700 "+dir+", or move the key to a folder of its own")
	default:
		d.ok("folder", fmt.Sprintf("mode %04o", st.Mode().Perm()), "")
	}
}

// lookAtKeyInGit looks at the key and the backups beside it.
func (d *doctor) lookAtKeyInGit(ctx context.Context, key string) {
	entries, _ := os.ReadDir(filepath.Dir(key))
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), filepath.Base(key)) {
			continue
		}
		file := filepath.Join(filepath.Dir(key), entry.Name())
		s := askGit(ctx, file)
		ignore := fmt.Sprintf("add it to %s", filepath.Join(s.top, ".gitignore"))
		switch {
		case s.err != nil:
			d.warn("git", fmt.Sprintf("can't tell whether %s is in git: %v", file, s.err), "look yourself: git check-ignore -v "+file)
		case s.top == "":
			d.ok("git", filepath.Base(file)+" is in no git work tree", "")
		case s.tracked:
			d.fail("git", file+" is in git", fmt.Sprintf("git rm --cached %s; %s; latchgate secrets rotate-key; and set new values where it was pushed", file, ignore))
		case s.history != "":
			d.fail("git", fmt.Sprintf("%s was committed once, in %s: whoever has the repository has the key", file, s.history), "latchgate secrets rotate-key, and set new values where it was pushed")
		case !s.ignored:
			d.fail("git", file+" is not ignored by git: the next `git add .` takes it", ignore)
		default:
			d.ok("git", filepath.Base(file)+" is ignored and was never committed", "")
		}
	}
}

// gitState is what git knows of a file.
type gitState struct {
	top              string // of the work tree; "" outside of any
	tracked, ignored bool
	history          string // a commit that has the file, "" for none
	err              error
}

// gitTimeout bounds the questions to git; a history may be long.
const gitTimeout = 10 * time.Second

// gitQuiet keeps git from running what the repository's configuration names: an
// agent may have written that.
var gitQuiet = []string{"-c", "core.fsmonitor=false", "-c", "log.showSignature=false"}

func askGit(ctx context.Context, file string) (s gitState) {
	if s.top = workTree(file); s.top == "" {
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	git := func(args ...string) (string, error) {
		c := exec.CommandContext(ctx, "git", slices.Concat([]string{"-C", filepath.Dir(file)}, gitQuiet, args)...)
		c.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1")
		c.WaitDelay = time.Second
		out, err := c.Output()
		return strings.TrimSpace(string(out)), err
	}
	base := filepath.Base(file)
	out, err := git("--literal-pathspecs", "ls-files", "--", base)
	if err != nil { // no git, or a repository that it does not trust
		s.err = err
		return s
	}
	s.tracked = out != ""
	s.history, _ = git("--literal-pathspecs", "log", "--all", "--format=%h", "-1", "--", base) // fails without a commit
	_, err = git("check-ignore", "-q", "--", base)
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		s.err = err
	}
	s.ignored = err == nil
	return s
}

// workTree returns the folder above file that holds .git, "" where there is none.
func workTree(file string) string {
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}
