package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/secrets"
)

// attackSettings looks for settings that make every other rule worth little.
func (d *doctor) attackSettings(ctx context.Context, targets []*manifests.Manifest) {
	d.group = "settings"
	d.attackListeners(ctx)
	d.attackAllowPrivate()
	for _, m := range targets {
		d.attackReach(m)
	}
	engine, err := policy.New(ctx, policy.Options{Dirs: d.cfg.Policy.Dirs, Data: d.cfg.Policy.Data})
	if err != nil {
		return // the closed proxy did not start either
	}
	decision := engine.Action(ctx, policy.ActionInput{Door: "exec", Actions: []string{"latchgate_attack"}, Action: "latchgate_attack", RiskLevel: string(manifests.RiskCritical)})
	if decision.Allow && !decision.RequireApproval {
		d.warn("policy", "an action of critical risk runs without anybody being asked: "+cmp.Or(decision.Reason, "the policy says so"), "take the preset open, or the list allow = [\"*\"], out of [policy.data]; in a policy of your own, set require_approval")
	} else {
		d.ok("policy", "an action of critical risk does not run unasked", "")
	}
}

func (d *doctor) attackListeners(ctx context.Context) {
	if network, address := configs.SplitListen(d.cfg.Proxy.Listen); network == "tcp" && !onLoopback(address) {
		d.warn("proxy.listen", address+" can be reached from other machines, and runs' credentials go to it in the clear", "127.0.0.1:8470, or a network of the agent's own")
	} else {
		d.ok("proxy.listen", address+" is this machine's alone", "")
	}
	if address := d.cfg.Metrics.Listen; address != "" && !onLoopback(address) {
		d.warn("metrics.listen", address+" can be reached from other machines: it names actions, secrets and hosts", "127.0.0.1:9470, or a network of Prometheus' own")
	}
	if d.daemon == nil || d.daemon.Status.Metrics == "" || strings.HasSuffix(d.daemon.Status.Metrics, ":0") { // whatever port there was
		return
	}
	_, page, err := scrapeMetrics(ctx, d.daemon.Status.Metrics)
	if err != nil {
		d.fail("metrics", err.Error(), "restart the daemon; look at its log")
		return
	}
	var shown []string
	d.readSecrets(ctx, func(doc *secrets.Document) { shown = doc.FoundIn(page) })
	if len(shown) > 0 || strings.Contains(string(page), "AGE-SECRET-KEY-") {
		d.fail("metrics", "the page shows the value of "+cmp.Or(strings.Join(shown, ", "), "an age key"), "is a secret's value also the name of an action or host? rename that, set a new value, and restart the daemon")
	} else {
		d.ok("metrics", "no value of a secret is on the page", "")
	}
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// widest networks that may be listed without a word, in bits.
const (
	narrow4 = 16
	narrow6 = 48
)

func (d *doctor) attackAllowPrivate() {
	linkLocal := []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")}
	good := true
	for _, p := range d.cfg.Proxy.AllowPrivate {
		least := narrow4
		if p.Addr().Is6() {
			least = narrow6
		}
		switch {
		case p.Bits() == 0:
			d.fail("allow_private", p.String()+" is every address: an allowed name that resolves to this machine or a neighbour is dialled", "list the servers that are meant: 10.1.2.3/32")
		case slices.ContainsFunc(linkLocal, p.Overlaps):
			d.fail("allow_private", p.String()+" holds link-local addresses, where clouds and routers answer", "list the servers that are meant: 10.1.2.3/32")
		case p.Bits() < least:
			d.warn("allow_private", p.String()+" is wide: an allowed name that resolves to anything in it is dialled", "list the servers that are meant: 10.1.2.3/32")
		default:
			continue
		}
		good = false
	}
	if good {
		d.ok("allow_private", fmt.Sprintf("%d networks, none wide", len(d.cfg.Proxy.AllowPrivate)), "")
	}
}

// manyHosts is from where a secret's reach is worth a word.
const manyHosts = 6

// attackReach looks at how far each secret of an action may go.
func (d *doctor) attackReach(m *manifests.Manifest) {
	if m.Egress.Profile == manifests.ProfilePassthrough {
		d.warn("reach", m.ActionID+" passes other hosts through: a command in it may send what it has to anybody", fmt.Sprintf("egress.profile: proxy_allowlist in %s:%d", m.File, m.Line))
	}
	for _, s := range m.Secrets {
		var hosts []string
		for _, b := range s.Inject {
			for _, h := range b.Hosts {
				hosts = append(hosts, h.String())
				suffix, wild := strings.CutPrefix(h.String(), "*.")
				if name, _, err := net.SplitHostPort(suffix); err == nil {
					suffix = name
				}
				if public, _ := publicsuffix.PublicSuffix(suffix); wild && public == suffix {
					d.fail("reach", fmt.Sprintf("%s of %s goes to %s: anybody can have a name there", s.Name, m.ActionID, h), fmt.Sprintf("name the hosts that are meant in %s:%d", m.File, b.Line))
				}
			}
		}
		slices.Sort(hosts)
		if hosts = slices.Compact(hosts); len(hosts) >= manyHosts {
			d.warn("reach", fmt.Sprintf("%s of %s goes to %d hosts", s.Name, m.ActionID, len(hosts)), fmt.Sprintf("give each binding the hosts that need it (inject: hosts) in %s:%d, or one action a service", m.File, m.Line))
		}
	}
}

// attackFiles looks at who else may read and write what latchgate lives by.
func (d *doctor) attackFiles(ctx context.Context) {
	d.group = "files"
	d.attackSocket()
	private := map[string]string{"key": d.cfg.Secrets.SopsKeyFile, "authority's key": filepath.Join(d.cfg.CA.Dir, "ca.key"), "record": d.cfg.Audit.File}
	if up := d.cfg.Proxy.UpstreamProxy.Get(); up != nil && up.User != nil {
		private["upstream_proxy's password"] = d.cfg.File()
	}
	good := true
	for _, name := range slices.Sorted(maps.Keys(private)) {
		if mode, there := modeOf(private[name]); there && mode&0o077 != 0 {
			good = false
			d.fail(name, fmt.Sprintf("%s has mode %04o: others can use it", private[name], mode.Perm()), "chmod 600 "+private[name])
		}
	}
	if good {
		d.ok("private", "nobody else can read a key, the record or a password", "")
	}
	d.attackWritable()
	if d.cfg.Audit.File == "" {
		d.warn("record", "audit.file is empty: nothing that is done is recorded", "set audit.file in latchgate.toml")
	} else if n, err := audit.Verify(d.cfg.Audit.File); errors.Is(err, fs.ErrNotExist) {
		d.ok("record", "none yet", "")
	} else if err != nil && !errors.Is(err, audit.ErrHistoryMissing) {
		d.fail("record", err.Error(), "keep the file and find out who wrote to it; what follows that line proves nothing")
	} else {
		found := fmt.Sprintf("%d events, unbroken", n)
		if d.daemon != nil {
			found += "; these attacks are in it as refusals, one of them as a tripwire"
		}
		d.ok("record", found, "")
	}
}

func modeOf(path string) (fs.FileMode, bool) {
	if path == "" {
		return 0, false
	}
	st, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	return st.Mode(), true
}

func (d *doctor) attackSocket() {
	socket := d.cfg.Gate.Socket
	st, err := os.Lstat(socket)
	if err != nil {
		d.ok("control socket", "none: no daemon made one", "")
		return
	}
	mode := st.Mode().Perm()
	uid, known := ownerOf(st)
	dir, _ := modeOf(filepath.Dir(socket))
	switch {
	case mode&0o077 != 0:
		d.fail("control socket", fmt.Sprintf("%s has mode %04o", socket, mode), "chmod 600 "+socket+", and find out who changed it")
	case known && uid != 0 && uid != uint32(os.Geteuid()) && os.Geteuid() != 0:
		d.fail("control socket", fmt.Sprintf("%s belongs to user %d: whoever that is answers instead of the daemon", socket, uid), "set gate.socket to a folder of your own")
	case dir&0o022 != 0 && dir&fs.ModeSticky == 0:
		d.fail("control socket", fmt.Sprintf("%s has mode %04o: others can put a socket of theirs there", filepath.Dir(socket), dir.Perm()), "chmod 700 "+filepath.Dir(socket))
	default:
		d.ok("control socket", fmt.Sprintf("mode %04o", mode), "")
	}
}

// attackWritable looks for files that say what may be done, and that others may
// change.
func (d *doctor) attackWritable() {
	var all []string
	if d.cfg.File() != "" {
		all = append(all, d.cfg.File(), filepath.Dir(d.cfg.File()))
	}
	for _, dir := range slices.Concat(d.cfg.Manifests.Dirs, d.cfg.Policy.Dirs) {
		all = append(all, dir)
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	all = append(all, d.cfg.Secrets.SopsSecretsFile)
	good := true
	for _, path := range all {
		if mode, there := modeOf(path); there && mode&0o002 != 0 {
			good = false
			d.fail("writable", fmt.Sprintf("%s has mode %04o: everybody can change what is allowed", path, mode.Perm()), "chmod o-w "+path)
		}
	}
	if good {
		d.ok("writable", "nobody else can change the configuration, manifests, policy or secrets", "")
	}
}
