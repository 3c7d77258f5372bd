package configs

import (
	"path/filepath"
	"strings"
)

// getenv returns the value of a variable of the given environment; the last one
// counts, as it does for a child process.
func (l *loader) getenv(name string) string {
	value := ""
	for _, entry := range l.environ {
		if rest, ok := strings.CutPrefix(entry, name+"="); ok {
			value = rest
		}
	}
	return value
}

// abs makes path absolute: "~/" is the home directory, anything else that is
// relative is relative to base.
func (l *loader) abs(base, path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && l.getenv("HOME") != "" {
		return filepath.Join(l.getenv("HOME"), rest)
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}

// base is the folder that a relative path at key is relative to: the file's for
// what the file or nobody set, else the working directory.
func (l *loader) base(key string) string {
	if o, set := l.origins[key]; l.file == "" || set && !o.file {
		return l.workDir
	}
	return filepath.Dir(l.file)
}

// resolvePaths makes every path of c absolute. An empty one stays empty, except
// for the gate's socket, which gets its default here.
func (l *loader) resolvePaths(c *Config) {
	if c.Gate.Socket == "" {
		c.Gate.Socket = filepath.Join(".latchgate", "gate.sock")
		if dir := l.getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
			c.Gate.Socket = filepath.Join(dir, "latchgate", "gate.sock")
		}
	}
	for key, path := range map[string]*string{
		"proxy.upstream_ca_file":    &c.Proxy.UpstreamCAFile,
		"gate.socket":               &c.Gate.Socket,
		"secrets.sops_secrets_file": &c.Secrets.SopsSecretsFile,
		"secrets.sops_key_file":     &c.Secrets.SopsKeyFile,
		"ca.dir":                    &c.CA.Dir,
		"audit.file":                &c.Audit.File,
	} {
		if *path != "" {
			*path = l.abs(l.base(key), *path)
		}
	}
	for key, paths := range map[string][]string{"manifests.dirs": c.Manifests.Dirs, "policy.dirs": c.Policy.Dirs} {
		for i := range paths {
			paths[i] = l.abs(l.base(key), paths[i])
		}
	}
	if network, path := SplitListen(c.Proxy.Listen); network == "unix" && path != "" {
		c.Proxy.Listen = "unix:" + l.abs(l.base("proxy.listen"), path)
	}
}
