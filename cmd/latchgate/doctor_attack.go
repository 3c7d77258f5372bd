package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/secrets"
)

// attackHost is where attacks want to go: a name that nothing has (RFC 6761
// section 6.4).
const attackHost = "latchgate-attack.invalid"

// subject is a proxy that is attacked.
type subject struct {
	name             string // as it is shown
	network, address string
	roots            *x509.CertPool
	open             func(ctx context.Context, actions []string, ttl time.Duration) (*gate.OpenedRun, error)
	end              func(run string)
	out              *lastHop // its only way out; nil for the daemon, which has others
}

// attack attacks the configuration: by the daemon where one answers, and by a
// proxy in this process whose only way out ends on this machine. What a hole
// would let out goes to the latter alone, unless two more rules stand behind it.
func (d *doctor) attack(ctx context.Context, a *app, actions []string) {
	d.group = "attack"
	d.step("starting a proxy to attack")
	dir, err := os.MkdirTemp("", "latchgate-attack-")
	if err != nil {
		d.fail("proxy", err.Error(), "can this user write to "+os.TempDir()+"?")
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	closed, stop, err := a.closedSubject(ctx, dir)
	if err != nil {
		d.fail("proxy", "one with this configuration does not start: "+err.Error(), "`latchgate doctor` without --attack says what is wrong")
		return
	}
	defer stop()
	if d.silent != nil {
		d.failSilent()
	}
	front := closed // what the attacks that send nothing go to
	if d.daemon != nil {
		if front, err = d.daemonSubject(); err != nil {
			d.fail("daemon", err.Error(), "make the root readable for this user")
			return
		}
	}
	if d.daemon != nil && d.daemon.Status.Config != d.cfg.File() {
		d.warn("subject", "the daemon runs with another configuration: "+cmp.Or(d.daemon.Status.Config, "none"), "restart it, or name that file with --config")
	}
	d.ok("subject", map[bool]string{true: "the daemon, and a proxy in this process whose only way out ends here", false: "a proxy in this process whose only way out ends here; no daemon answers"}[d.daemon != nil], "")
	targets := d.unasked(ctx, d.attackTargets(ctx, actions))
	subjects, known := map[string]*subject{}, []*manifests.Manifest{}
	for _, m := range targets {
		if subjects[m.ActionID] = d.knows(ctx, front, closed, m); subjects[m.ActionID] == front {
			known = append(known, m)
		}
	}
	d.step("attacking the door")
	d.attackDoor(ctx, front, known)
	d.step("attacking with addresses")
	d.attackAddresses(ctx, closed, targets)
	for _, m := range targets {
		d.step("attacking " + m.ActionID)
		d.group = "action " + m.ActionID
		d.attackTunnel(ctx, subjects[m.ActionID], m)
		d.attackAction(ctx, closed, m)
	}
	d.step("looking at files and settings")
	d.attackSettings(ctx, targets)
	d.attackFiles(ctx)
}

// knows is the subject that is attacked with runs of an action: the daemon only
// where its manifest is the one that is read here. By another one it may tunnel
// blindly, which makes it dial a host that is none of ours.
func (d *doctor) knows(ctx context.Context, front, closed *subject, m *manifests.Manifest) *subject {
	if front == closed {
		return closed
	}
	ctx, cancel := context.WithTimeout(ctx, attackTimeout)
	defer cancel()
	theirs, err := d.daemon.Action(ctx, m.ActionID)
	if err == nil {
		ours := gate.DescribeAction(m)
		if compactJSON(ours) == compactJSON(theirs) {
			return front
		}
		err = errors.New("it declares something else, or is another file")
	}
	d.warn("action "+m.ActionID, "the daemon is not attacked with it, which knows it otherwise: "+err.Error(), "restart the daemon, and try again")
	return closed
}

// closedSubject is a proxy in this process with the configuration that there is,
// and with files, addresses and a way out of its own.
func (a *app) closedSubject(ctx context.Context, dir string) (_ *subject, stop func(), err error) {
	out, err := startLastHop("")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = out.close()
		}
	}()
	cfg, err := configs.Load(configs.Options{File: a.configFile, Environ: append(os.Environ(),
		"LATCHGATE_PROXY__LISTEN=127.0.0.1:0", "LATCHGATE_PROXY__DEFAULT_ACTIONS=", "LATCHGATE_PROXY__UPSTREAM_PROXY="+out.url,
		"LATCHGATE_METRICS__LISTEN=", "LATCHGATE_TRACING__ENDPOINT=", "LATCHGATE_GATE__SOCKET="+filepath.Join(dir, "gate.sock"),
		"LATCHGATE_CA__DIR="+filepath.Join(dir, "state", "ca"), "LATCHGATE_AUDIT__FILE="+filepath.Join(dir, "audit.jsonl"))})
	if err != nil {
		return nil, nil, err
	}
	g, err := gate.New(ctx, gate.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Version: buildVersion()})
	if err != nil {
		return nil, nil, err
	}
	s := &session{local: g}
	ln, err := g.Listen()
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	s.served = make(chan error, 1)
	go func() { s.served <- g.Serve(ln) }()
	roots, err := rootsIn(g.Trust().Root)
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return &subject{name: "the proxy in this process", network: "tcp", address: ln.Addr().String(), roots: roots, out: out,
		open: func(ctx context.Context, actions []string, ttl time.Duration) (*gate.OpenedRun, error) {
			return g.Open(ctx, gate.OpenRequest{Principal: gate.PrincipalOf(uint32(os.Getuid())), Door: gate.DoorExec, Actions: actions, TTL: ttl})
		},
		end: func(run string) { g.Close(run) },
	}, func() { _ = s.close(); _ = out.close() }, nil
}

func (d *doctor) daemonSubject() (*subject, error) {
	roots, err := rootsIn(d.daemon.Status.Trust.Root)
	if err != nil {
		return nil, err
	}
	s := &subject{name: "the daemon", network: "tcp", address: d.daemon.Status.Proxy, roots: roots}
	if network, _ := configs.SplitListen(d.cfg.Proxy.Listen); network == "unix" {
		s.network = network
	}
	s.open = func(ctx context.Context, actions []string, ttl time.Duration) (*gate.OpenedRun, error) {
		ctx, cancel := context.WithTimeout(ctx, attackTimeout+d.cfg.Secrets.DecryptTimeout)
		defer cancel()
		return d.daemon.Open(ctx, gate.OpenRequest{Door: gate.DoorExec, Actions: actions, TTL: ttl})
	}
	s.end = func(run string) {
		ctx, cancel := context.WithTimeout(context.Background(), attackTimeout) // after an interrupt too
		defer cancel()
		_ = d.daemon.Revoke(ctx, run)
	}
	return s, nil
}

func rootsIn(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// maxTargets bounds the actions that are attacked where none is named.
const maxTargets = 8

// attackTargets are the actions to attack: those named, the default ones, or
// those whose secrets are set, the operator's own first.
func (d *doctor) attackTargets(ctx context.Context, named []string) (targets []*manifests.Manifest) {
	ids := named
	if len(ids) == 0 {
		ids = d.cfg.Proxy.DefaultActions
	}
	for _, id := range ids {
		m, ok := d.catalog.Get(id)
		if !ok {
			todo := "`latchgate actions list` shows them all"
			if near := d.catalog.Suggest(id); near != "" {
				todo = fmt.Sprintf("did you mean %q? %s", near, todo)
			}
			d.fail("action", "there is no action "+id, todo)
			continue
		}
		targets = append(targets, m)
	}
	if len(ids) > 0 {
		return targets
	}
	set := d.secretsSet(ctx)
	for _, m := range d.catalog.All() {
		given := func(s manifests.Secret) bool { return set[s.Name] }
		if slices.ContainsFunc(m.Secrets, given) && !slices.ContainsFunc(m.Secrets, func(s manifests.Secret) bool { return s.Required && !given(s) }) {
			targets = append(targets, m)
		}
	}
	slices.SortStableFunc(targets, func(x, y *manifests.Manifest) int {
		return cmp.Compare(rank(strings.HasPrefix(x.File, "bundled:")), rank(strings.HasPrefix(y.File, "bundled:")))
	})
	switch {
	case len(targets) == 0:
		d.warn("actions", "none has its secrets set, so none is attacked", "latchgate secrets set NAME; or name one with --action")
	case len(targets) > maxTargets:
		d.ok("actions", fmt.Sprintf("%d of %d that have their secrets", maxTargets, len(targets)), "--action names others")
		targets = targets[:maxTargets]
	}
	return targets
}

// secretsSet are the names that have a value; none where the file can't be read.
func (d *doctor) secretsSet(ctx context.Context) map[string]bool {
	set := map[string]bool{}
	d.readSecrets(ctx, func(doc *secrets.Document) {
		for _, name := range doc.Names() {
			_, set[name] = doc.Get(name)
		}
	})
	return set
}

func (d *doctor) readSecrets(ctx context.Context, look func(*secrets.Document)) {
	s := d.cfg.Secrets
	if s.SopsSecretsFile == "" || absent(s.SopsSecretsFile) {
		return
	}
	store, err := secrets.Open(secrets.Options{File: s.SopsSecretsFile, KeyFile: s.SopsKeyFile, Backend: s.Backend, DecryptTimeout: s.DecryptTimeout})
	if err != nil {
		return
	}
	defer func() { _ = store.Close() }()
	_ = store.Read(ctx, func(doc *secrets.Document) error { look(doc); return nil }) // `doctor` says what is wrong with it
}

// attackTTL is the life of the runs that attack: longer than any attack takes.
const attackTTL = time.Minute

// unasked leaves out the actions that the policy lets nobody run without asking
// a person: what can't be opened can't be attacked, and nobody is to be asked.
func (d *doctor) unasked(ctx context.Context, targets []*manifests.Manifest) []*manifests.Manifest {
	engine, err := policy.New(ctx, policy.Options{Dirs: d.cfg.Policy.Dirs, Data: d.cfg.Policy.Data})
	if err != nil {
		return nil // the closed proxy did not start either
	}
	return slices.DeleteFunc(targets, func(m *manifests.Manifest) bool {
		in := policy.ActionInput{Principal: gate.PrincipalOf(uint32(os.Getuid())), Door: gate.DoorExec, Actions: []string{m.ActionID}, Action: m.ActionID,
			Version: m.Version, RiskLevel: string(m.RiskLevel), SideEffects: m.DeclaredSideEffects, Tags: m.Tags}
		for _, h := range m.Egress.AllowedDomains {
			in.Hosts = append(in.Hosts, h.String())
		}
		for _, s := range m.Secrets {
			in.Secrets = append(in.Secrets, s.Name)
		}
		decision := engine.Action(ctx, in)
		if decision.Allow && !decision.RequireApproval {
			return false
		}
		d.ok("action "+m.ActionID, "does not run unasked, so there is nothing to attack: "+decision.Reason, "")
		return true
	})
}

// openFor opens a run of the action, and says so where that fails.
func (d *doctor) openFor(ctx context.Context, s *subject, m *manifests.Manifest) (*gate.OpenedRun, bool) {
	run, err := s.open(ctx, []string{m.ActionID}, attackTTL)
	if err != nil {
		d.fail("run", s.name+" opens none: "+err.Error(), cmp.Or(hintOf(err), "`latchgate doctor` says what is wrong"))
	}
	return run, err == nil
}

// judge reports what came of an attack that has to be answered with one of the
// codes.
func (d *doctor) judge(s *subject, name string, got reply, err error, todo string, want ...string) {
	left := []string(nil)
	if s.out != nil {
		left = s.out.take()
	}
	switch {
	case len(left) > 0:
		d.fail(name, fmt.Sprintf("NOT REFUSED by %s: it would have gone to %s", s.name, firstOf(left)), todo)
	case err != nil:
		d.fail(name, fmt.Sprintf("%s gave no answer: %v", s.name, err), "try again; where that does not help, restart the daemon and look at its log")
	case !slices.Contains(want, got.code):
		d.fail(name, fmt.Sprintf("%s answered %s and not %s", s.name, got, strings.Join(want, " or ")), todo)
	case got.code == "run_unknown" && !got.challenge:
		d.fail(name, s.name+" answered 407 without a challenge: some clients try again for ever", todo)
	default:
		d.ok(name, fmt.Sprintf("refused by %s: %s", s.name, got), "")
	}
}

// broken is what to do about a hole that no configuration opens.
const broken = "stop latchgate and update it: the wire has to refuse this under every configuration; please report it"

// hostAndPort are of a place that the action stamps a secret at; "" where there
// is none. Nothing resolves the name.
func hostAndPort(m *manifests.Manifest) string {
	for _, s := range m.Secrets {
		if len(s.Inject) == 0 {
			continue
		}
		name := strings.Replace(s.Inject[0].Hosts[0].String(), "*.", "latchgate-attack.", 1) // hosts are never empty
		if u, err := url.Parse("https://" + name); err == nil && u.Port() == "" {
			name += ":443"
		}
		return name
	}
	return ""
}
