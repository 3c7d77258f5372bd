package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/manifests"
)

// Reload puts a new configuration, and the manifests and policy files it
// names, in force for the runs that are opened from now on; open runs keep
// what they were opened with, except that the request policy applies to all.
// What does not parse is reported and leaves the last good one in force.
// Addresses and folders of the CA and the audit record need a restart; the
// error says so, and everything else is in force all the same.
func (g *Gate) Reload(ctx context.Context, next *configs.Config) error {
	g.reload.Lock()
	defer g.reload.Unlock()
	err := errors.Join(g.apply(ctx, next)...)
	if err != nil {
		g.reloaded("error", err)
		g.log.Error("reload: the last good one stays in force where it failed", "err", err)
		return err
	}
	g.reloaded("ok", nil)
	g.log.Info("reloaded", "actions", g.state.Load().actions.Len())
	return nil
}

// reloaded records a reload; the log line comes after it, so that who waits
// for the line finds the rest.
func (g *Gate) reloaded(result string, err error) {
	var fault *string
	if err != nil {
		reason := err.Error()
		fault = &reason
	}
	g.fault.Store(fault)
	g.metrics.reloads.WithLabelValues(result).Inc()
	g.audit.Record(audit.Event{Time: time.Now(), Kind: audit.Reload, Code: result})
}

// ReloadFailed reports a configuration that could not even be read.
func (g *Gate) ReloadFailed(err error) {
	g.reloaded("error", err)
	g.log.Error("reload: the last good configuration stays in force", "err", err)
}

func (g *Gate) apply(ctx context.Context, next *configs.Config) (errs []error) {
	old := g.state.Load()
	if err := g.policy.Reload(ctx, g.policyOptions(next)); err != nil {
		errs = append(errs, fmt.Errorf("policy: %w", err))
	}
	if proxyChanged(old.config, next) {
		if w, err := g.newWire(next); err != nil {
			errs = append(errs, err)
		} else {
			g.retiredWires = append(g.retiredWires, g.wire.Swap(w))
			g.server.SetWire(w)
		}
	}
	st, err := g.newState(next)
	if err != nil {
		return append(errs, err)
	}
	keepBroken(st, old)
	if sameSecrets(old.config, next) && old.secrets.Configured() == st.secrets.Configured() {
		_ = st.secrets.Close() // nothing was read yet
		st.secrets = old.secrets
	} else {
		g.retiredStores = append(g.retiredStores, old.secrets)
	}
	g.state.Store(st)
	g.providers.Keep(st.digests()...)
	if g.level != nil {
		g.level.Set(next.Log.SlogLevel())
	}
	for _, p := range st.problems {
		if p.Severity == manifests.Error {
			errs = append(errs, errors.New(p.String()))
		}
	}
	if !slices.Equal(old.config.Proxy.DefaultActions, next.Proxy.DefaultActions) || len(next.Proxy.DefaultActions) > 0 {
		if err := g.openDefaultRun(ctx, next); err != nil {
			errs = append(errs, err)
		}
	}
	return append(errs, needRestart(old.config, next)...)
}

// keepBroken keeps the last good version of an action whose file no longer
// parses, so that a slip in an editor takes nothing away, and uncovers no
// bundled action that the file narrowed.
func keepBroken(st, old *state) {
	broken := map[string]bool{}
	for _, p := range st.problems {
		if p.Severity == manifests.Error {
			broken[p.File] = true
		}
	}
	for id, a := range old.actions.own {
		if _, ok := st.actions.own[id]; broken[a.File] && !ok {
			st.actions.own[id] = a
		}
	}
}

func (st *state) digests() []string {
	ds := []string{manifests.BuiltinHTTPAPI} // of every bundled action with a provider
	for _, a := range st.actions.own {
		if a.ProviderModuleDigest != "" {
			ds = append(ds, a.ProviderModuleDigest)
		}
	}
	return ds
}

func proxyChanged(a, b *configs.Config) bool {
	return a.Proxy.UpstreamCAFile != b.Proxy.UpstreamCAFile || a.Proxy.MaxRequestBytes != b.Proxy.MaxRequestBytes || a.Audit.OnFailure != b.Audit.OnFailure ||
		!slices.Equal(a.Proxy.AllowPrivate, b.Proxy.AllowPrivate) || !reflect.DeepEqual(a.Proxy.UpstreamProxy.Get(), b.Proxy.UpstreamProxy.Get())
}

func sameSecrets(a, b *configs.Config) bool { return a.Secrets == b.Secrets }

func needRestart(old, next *configs.Config) (errs []error) {
	keys := old.ChangedAddresses(next)
	changed := func(key string, is bool) {
		if is {
			keys = append(keys, key)
		}
	}
	changed("proxy.header_timeout", old.Proxy.HeaderTimeout != next.Proxy.HeaderTimeout)
	changed("proxy.idle_timeout", old.Proxy.IdleTimeout != next.Proxy.IdleTimeout)
	changed("gate.max_runs", old.Gate.MaxRuns != next.Gate.MaxRuns)
	changed("ca.dir", old.CA.Dir != next.CA.Dir)
	changed("log.format", old.Log.Format != next.Log.Format)
	changed("audit.file", old.Audit.File != next.Audit.File)
	for _, k := range keys {
		errs = append(errs, fmt.Errorf("%s changed: restart latchgate proxy to use it", k))
	}
	return errs
}

// settle is how long the watched files must be quiet before they are read:
// editors write in several steps.
const settle = 100 * time.Millisecond

// Watch sees, from its return on, each change of the configuration file, a
// manifest, a policy file or the secrets file, which it has forgotten at once. What it returns is to be run: it calls changed for
// the others until ctx is done. It watches folders, since editors and Kubernetes
// replace files rather than write them.
func (g *Gate) Watch() (run func(ctx context.Context, changed func()), err error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	g.follow(w)
	return func(ctx context.Context, changed func()) { g.watch(ctx, w, changed) }, nil
}

func (g *Gate) follow(w *fsnotify.Watcher) {
	for dir := range g.watchDirs() {
		_ = w.Add(dir) // one that is watched already stays so; one that is not there yet appears in its parent
	}
}

func (g *Gate) watch(ctx context.Context, w *fsnotify.Watcher, changed func()) {
	defer func() { _ = w.Close() }()
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.Events:
			g.recheckSecrets()
			if g.concerns(e) {
				quiet.Reset(settle)
			}
		case err := <-w.Errors:
			g.log.Warn("watching files", "err", err)
		case <-quiet.C:
			changed()
			g.follow(w)
		}
	}
}

// recheckSecrets has a decrypted file forgotten that was superseded, those of
// settings that are no longer in force too.
func (g *Gate) recheckSecrets() {
	g.reload.Lock()
	stores := append(slices.Clone(g.retiredStores), g.state.Load().secrets)
	g.reload.Unlock()
	for _, s := range stores {
		s.Recheck()
	}
}

// watchDirs are the folders in which a change matters: those of the secrets file
// and of what it may be a link to, that of the configuration, those of manifests and policy with all below, and their
// parents, since a folder may appear later or be replaced as a whole.
func (g *Gate) watchDirs() map[string]bool {
	c, dirs := g.Config(), map[string]bool{}
	if f := c.File(); f != "" {
		dirs[filepath.Dir(f)] = true
	} else {
		dirs["."] = true // where `secrets init` makes one
	}
	if f := c.Secrets.SopsSecretsFile; f != "" {
		dirs[filepath.Dir(f)] = true
		if real, err := filepath.EvalSymlinks(f); err == nil {
			dirs[filepath.Dir(real)] = true
		}
	}
	for _, root := range slices.Concat(c.Manifests.Dirs, c.Policy.Dirs) {
		dirs[filepath.Dir(root)] = true
		_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs[path] = true
			}
			return nil
		})
	}
	return dirs
}

func (g *Gate) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	c := g.Config()
	if e.Name == c.File() || c.File() == "" && filepath.Base(e.Name) == "latchgate.toml" || strings.HasPrefix(filepath.Base(e.Name), "..") { // "..data" is how Kubernetes swaps a volume
		return true
	}
	return slices.ContainsFunc(slices.Concat(c.Manifests.Dirs, c.Policy.Dirs), func(root string) bool {
		return e.Name == root || strings.HasPrefix(e.Name, root+string(filepath.Separator))
	})
}
