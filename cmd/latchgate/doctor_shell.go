package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latchgate/latchgate/manifests"
)

// lookAtShell looks at the variables that clients started from here would see.
func (d *doctor) lookAtShell(ctx context.Context) {
	before := len(d.checks)
	inRun := d.lookAtProxyVariables(ctx)
	d.lookAtNoProxy()
	d.lookForCredentials(inRun)
	if len(d.checks) == before {
		d.ok("variables", "no proxy, credential or key of this shell is in the way", "")
	}
}

func (d *doctor) variable(name string) string {
	for _, v := range d.environ {
		if n, value, _ := strings.Cut(v, "="); n == name {
			return value
		}
	}
	return ""
}

// proxyVariables in the order in which clients prefer them.
var proxyVariables = []string{"https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}

// lookAtProxyVariables reports whether this shell is in a run that is open.
func (d *doctor) lookAtProxyVariables(ctx context.Context) (inRun bool) {
	told := map[string]bool{}
	for _, name := range proxyVariables {
		value := d.variable(name)
		if value == "" || told[value] {
			continue
		}
		told[value] = true
		u, err := url.Parse(value)
		if err != nil || u.Host == "" {
			d.warn(name, "is not the URL of a proxy", "unset "+name+", or write http://host:port")
			continue
		}
		if u.User == nil || !strings.HasPrefix(u.User.Username(), "run-") {
			if up := d.cfg.Proxy.UpstreamProxy.Get(); up == nil || up.Host != u.Host {
				d.ok(name, "leads to another proxy, at "+u.Host, "latchgate itself does not use it; where upstreams are reached through it alone, set proxy.upstream_proxy in latchgate.toml")
			}
			continue
		}
		inRun = d.lookAtRunVariable(ctx, name, u) || inRun
	}
	return inRun
}

// lookAtRunVariable: the URL is that of a run. Its token is not looked at.
func (d *doctor) lookAtRunVariable(ctx context.Context, name string, u *url.URL) (open bool) {
	id := u.User.Username()
	const anew = "open another one: eval \"$(latchgate env --action ACTION)\", or unset the variable"
	if d.daemon != nil && sameAddress(d.daemon.Status.Proxy, u.Host) {
		ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
		defer cancel()
		runs, err := d.daemon.Runs(ctx)
		if err != nil {
			d.warn(name, "the daemon does not list its runs: "+err.Error(), "restart it")
			return false
		}
		for _, r := range runs {
			if r.ID == id {
				d.ok(name, fmt.Sprintf("this shell is in run %s of %s", id, strings.Join(r.Actions, ", ")), "")
				return true
			}
		}
		d.warn(name, fmt.Sprintf("this shell is in run %s, which has ended: its clients get 407", id), anew)
		return false
	}
	dialer := net.Dialer{Timeout: time.Second}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
		d.ok(name, fmt.Sprintf("this shell is in run %s of a proxy at %s", id, u.Host), "")
		return true
	}
	c, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		d.warn(name, fmt.Sprintf("this shell is in run %s of a proxy that does not run any more, at %s", id, u.Host), anew)
		return false
	}
	_ = c.Close()
	d.ok(name, fmt.Sprintf("this shell is in run %s of another proxy, at %s", id, u.Host), "")
	return true
}

// lookAtNoProxy looks for hosts of actions that clients would reach past a proxy.
func (d *doctor) lookAtNoProxy() {
	for _, name := range []string{"no_proxy", "NO_PROXY"} {
		var past []string
		for _, m := range d.catalog.All() {
			for _, h := range m.Egress.AllowedDomains {
				if s := h.String(); passedOver(d.variable(name), h) && !slices.Contains(past, s) {
					past = append(past, s)
				}
			}
		}
		if len(past) == 0 {
			continue
		}
		found := fmt.Sprintf("clients of this shell go past any proxy to %s", firstOf(past))
		if slices.ContainsFunc(proxyVariables, func(v string) bool { return d.variable(v) != "" }) {
			d.warn(name, found+", so without a credential", "take the names out of "+name+"; `latchgate exec` sets its own")
		} else {
			d.ok(name, found, "`latchgate exec` sets its own "+name)
		}
		return
	}
}

// firstOf names the first three of many.
func firstOf(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

// passedOver reports whether a client with that NO_PROXY reaches some host of
// the pattern directly: an entry is a host, a domain with all below it, or *.
func passedOver(noProxy string, h manifests.HostPattern) bool {
	host := strings.TrimPrefix(h.String(), "*.")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	for entry := range strings.FieldsFuncSeq(noProxy, func(r rune) bool { return r == ',' || r == ' ' }) {
		if name, _, err := net.SplitHostPort(entry); err == nil {
			entry = name
		}
		entry = strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(entry, "*"), "."))
		if entry == "" || host == entry || strings.HasSuffix(host, "."+entry) {
			return true
		}
	}
	return false
}

// lookForCredentials looks for variables that make latchgate pointless: whatever
// is started from this shell has them. inRun: they may hold a run's placeholders.
func (d *doctor) lookForCredentials(inRun bool) {
	declared := map[string]bool{}
	for _, m := range d.catalog.All() {
		for _, s := range m.Secrets {
			declared[s.Name], declared[s.Env] = true, true
		}
	}
	for _, entry := range d.environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case value == "":
		case strings.Contains(value, "AGE-SECRET-KEY-"), strings.HasPrefix(name, "SOPS_") && strings.HasSuffix(name, "_KEY"):
			d.warn(name, "holds a key of the secrets file: whatever is started from this shell can open it", "unset "+name+"; secrets.sops_key_file in latchgate.toml names the key's file")
		case declared[name] && !inRun:
			d.warn(name, "is set in this shell: what is started without `latchgate exec` has the credential itself", fmt.Sprintf("latchgate secrets set %s; unset %s", name, name))
		}
	}
}
