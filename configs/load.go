package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Options says where [Load] looks.
type Options struct {
	File     string            // --config; "" to search
	Flags    *pflag.FlagSet    // parsed; only flags that the user gave count; may be nil
	FlagKeys map[string]string // name of a flag in Flags -> key that it sets
	Environ  []string          // as os.Environ gives it; nil for os.Environ itself
	WorkDir  string            // working directory; "" for the process's
}

// Load reads the configuration: defaults, then the file, then LATCHGATE_
// variables, then flags, each over the ones before.
//
// The file is Options.File, $LATCHGATE_CONFIG, ./latchgate.toml,
// $XDG_CONFIG_HOME/latchgate/latchgate.toml or /etc/latchgate/latchgate.toml:
// the first that there is, and only that one. One of the first two that does
// not exist is an error that wraps fs.ErrNotExist; with none at all the
// defaults hold.
//
// A relative path is relative to the folder of the file that names it, or to
// the working directory where a variable or a flag names it. A default path is
// relative to the file's folder, or to the working directory where there is no
// file. "~/" is the home directory.
//
// A configuration that is wrong gives [Problems] with everything that is.
func Load(o Options) (*Config, error) {
	l, err := newLoader(o)
	if err != nil {
		return nil, err
	}
	k := koanf.New(".")
	if l.file != "" {
		values, err := l.readFile()
		if err != nil {
			return nil, err
		}
		if err := k.Load(confmap.Provider(values, ""), nil); err != nil {
			return nil, fmt.Errorf("load %s: %w", l.file, err)
		}
	}
	environment := env.Provider(".", env.Opt{
		Prefix:        envPrefix,
		TransformFunc: l.fromEnv,
		EnvironFunc:   func() []string { return l.environ },
	})
	if err := k.Load(environment, nil); err != nil {
		return nil, fmt.Errorf("load environment: %w", err)
	}
	if o.Flags != nil {
		flag := func(f *pflag.Flag) (string, any) { return l.fromFlag(o.Flags, f, o.FlagKeys) }
		if err := k.Load(posflag.ProviderWithFlag(o.Flags, ".", nil, flag), nil); err != nil {
			return nil, fmt.Errorf("load flags: %w", err)
		}
	}
	c := Defaults()
	if err := k.Unmarshal("", &c); err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	c.file, c.origins = l.file, l.origins
	l.resolvePaths(&c)
	l.check(&c)
	if len(l.problems) > 0 {
		sortProblems(l.problems)
		return nil, l.problems
	}
	return &c, nil
}

// loader collects what one Load finds out.
type loader struct {
	workDir  string
	environ  []string
	file     string // absolute path; "" for none
	origins  map[string]origin
	problems Problems
}

func newLoader(o Options) (*loader, error) {
	l := &loader{environ: o.Environ, origins: map[string]origin{}}
	if l.environ == nil {
		l.environ = os.Environ()
	}
	var err error
	if l.workDir, err = filepath.Abs(o.WorkDir); err != nil {
		return nil, fmt.Errorf("find the working directory: %w", err)
	}
	l.file, err = l.findFile(o.File)
	return l, err
}

// findFile returns the absolute path of the file to read, or "" for none.
func (l *loader) findFile(flag string) (string, error) {
	for _, named := range []struct{ by, path string }{{"--config", flag}, {"LATCHGATE_CONFIG", l.getenv("LATCHGATE_CONFIG")}} {
		if named.path == "" {
			continue
		}
		path := l.abs(l.workDir, named.path)
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("read the configuration file named by %s: %w", named.by, err)
		}
		return path, nil
	}
	for _, path := range l.searched() {
		switch _, err := os.Stat(path); {
		case err == nil:
			return path, nil
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		default: // one that is there and can't be read is not passed over in silence
			return "", fmt.Errorf("look for a configuration file: %w", err)
		}
	}
	return "", nil
}

// searched lists the places of a file that nobody named.
func (l *loader) searched() []string {
	paths := []string{filepath.Join(l.workDir, fileName)}
	config := l.getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) && l.getenv("HOME") != "" { // the XDG specification: a relative one is ignored
		config = filepath.Join(l.getenv("HOME"), ".config")
	}
	if filepath.IsAbs(config) {
		paths = append(paths, filepath.Join(config, "latchgate", fileName))
	}
	return append(paths, filepath.Join("/etc/latchgate", fileName))
}

// fileName is the name of a configuration file in the places searched.
const fileName = "latchgate.toml"

func (l *loader) add(p Problem) { l.problems = append(l.problems, p) }
