// Package sandbox keeps a command away from what holds the credentials: the age
// key, the secrets file, the CA's key and the control socket are out of its
// reach, the only TCP ports that it can connect to are the proxy's, and it can
// neither trace nor signal the proxy. Nor can it type into its terminal, read a
// disk or use a descriptor that was open before.
//
// The kernel does it: Landlock for files, TCP, tracing and signals, and a
// seccomp filter for what Landlock does not know. Call
// [Check] before anything is opened, [Plan] in the process that knows the paths,
// and [Spec.Enter] in the process that becomes the command; that ends it by
// becoming the command. Nothing here pretends: what the kernel can't do is an
// error.
package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrUnsupported is wrapped by the errors of a kernel that lacks what is needed.
var ErrUnsupported = errors.New("this kernel can't keep the command in a sandbox")

// Paths says what of latchgate's files the command may do what with.
type Paths struct {
	Hidden   []string // not to be opened; what is made there later isn't either
	ReadOnly []string // not to be written: what widens the rules when it is changed
	Readable []string // within Hidden, and all the same to be read: what clients trust
}

// Spec is a sandbox, ready to be entered by another process.
type Spec struct {
	Ports    []uint16 // the only TCP ports that can be connected to
	Writable []string // files and folders with all that is in them
	ReadOnly []string
	// Fixed are folders in which the command can make, rename and remove
	// nothing itself, since something hidden or read-only is in them. Their
	// other folders are not among them.
	Fixed []string
}

// Plan lists what the command may reach: every entry of every folder on the way
// to a path of p, but for those paths, disks, and for root the kernel's settings. Landlock can only allow, and allows with
// a folder all that is in it.
func Plan(p Paths, ports ...uint16) (*Spec, error) {
	s := &Spec{Ports: ports}
	hidden, err := resolve(slices.Concat(p.Hidden, devices()))
	if err != nil {
		return nil, err
	}
	if s.ReadOnly, err = resolve(slices.Concat(p.ReadOnly, settings())); err != nil {
		return nil, err
	}
	withheld := slices.Concat(hidden, s.ReadOnly)
	s.ReadOnly = slices.DeleteFunc(s.ReadOnly, func(f string) bool {
		return !exists(f) || slices.ContainsFunc(hidden, func(h string) bool { return within(f, h) })
	})
	readable, err := resolve(p.Readable)
	if err != nil {
		return nil, err
	}
	s.ReadOnly = append(s.ReadOnly, readable...)
	return s, s.allow("/", withheld)
}

// allow makes all entries of dir writable that are not withheld, nor on the way
// to what is.
func (s *Spec) allow(dir string, withheld []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	s.Fixed = append(s.Fixed, dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.Type()&os.ModeSymlink != 0, slices.Contains(withheld, path):
			// What a link leads to is allowed where it is, or is not.
		case slices.ContainsFunc(withheld, func(w string) bool { return within(w, path) }):
			if err := s.allow(path, withheld); err != nil {
				return err
			}
		default:
			s.Writable = append(s.Writable, path)
		}
	}
	return nil
}

// within reports whether path is dir or in it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// resolve makes paths absolute and follows links, also of paths that are not
// there yet.
func resolve(paths []string) ([]string, error) {
	var all []string
	for _, p := range paths {
		if p == "" {
			continue
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		rest := ""
		for {
			real, err := filepath.EvalSymlinks(abs)
			if err == nil {
				all = append(all, filepath.Join(real, rest))
				if linked := filepath.Join(abs, rest); !slices.Contains(all, linked) {
					all = append(all, linked) // the link itself is not to be replaced
				}
				break
			}
			if !errors.Is(err, os.ErrNotExist) || abs == "/" {
				return nil, err
			}
			abs, rest = filepath.Dir(abs), filepath.Join(filepath.Base(abs), rest)
		}
	}
	return all, nil
}
