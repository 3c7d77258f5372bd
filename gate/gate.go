package gate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate/provider"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/policy"
	"github.com/latchgate/latchgate/proxy"
	"github.com/latchgate/latchgate/secrets"
	"github.com/latchgate/latchgate/tracing"
)

// Options of a gate.
type Options struct {
	Config     *configs.Config
	Registerer prometheus.Registerer // nil: metrics are not registered
	Log        *slog.Logger          // required
	Version    string                // for latchgate_build_info
	// PolicyTimeout is how long a decision may take; 0 is the policy's 100 ms.
	PolicyTimeout time.Duration
	// Level, when set, follows log.level of a reloaded configuration.
	Level *slog.LevelVar
}

// Gate is latchgate in one value. It is safe for concurrent use.
type Gate struct {
	log         *slog.Logger
	level       *slog.LevelVar
	registry    prometheus.Registerer
	metrics     *metrics
	wireStats   *proxy.Metrics
	secretStats *secrets.Metrics

	traces        *tracing.Tracer // nil: off
	audit         *audit.Log
	auditFile     string // "": nothing is recorded
	approvals     *Approvals
	ca            *certs.CA
	trust         Trust
	policy        *policy.Engine
	policyTimeout time.Duration
	runs          *proxy.Runs
	server        *proxy.Server
	providers     *provider.Runtime

	state     atomic.Pointer[state]      // replaced by a reload
	wire      atomic.Pointer[proxy.Wire] // replaced by a reload that changes how upstreams are reached
	executing sync.RWMutex               // an execution reads; draining writes, and never lets go
	executed  func() <-chan struct{}     // closed when the last execution has ended
	reload    sync.Mutex                 // one reload at a time; guards retired and fault
	// retired stores and wires serve the runs that were opened with them.
	retiredStores []*secrets.Store
	retiredWires  []*proxy.Wire
	fault         atomic.Pointer[string] // why the last reload failed; nil when it did not
	listener      atomic.Pointer[net.Addr]
}

// state is what a configuration and a catalogue come to: one immutable
// snapshot, so that a run never sees half of a reload.
type state struct {
	config   *configs.Config
	actions  *actions
	secrets  *secrets.Store
	problems []manifests.Problem
}

// New builds a gate. What it opened before an error is closed again.
func New(ctx context.Context, o Options) (_ *Gate, err error) {
	c := o.Config
	g := &Gate{log: o.Log, policyTimeout: o.PolicyTimeout, level: o.Level, registry: o.Registerer, metrics: newMetrics(o.Registerer, o.Version), wireStats: proxy.NewMetrics(o.Registerer), secretStats: secrets.NewMetrics(o.Registerer)}
	g.executed = sync.OnceValue(func() <-chan struct{} {
		done := make(chan struct{})
		go func() { g.executing.Lock(); close(done) }()
		return done
	})
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Shutdown(ctx))
		}
	}()
	if g.traces, err = tracing.New(ctx, tracing.Options{Endpoint: c.Tracing.Endpoint, Version: o.Version, Log: o.Log}); err != nil {
		return nil, err
	}
	// While the record can't be written, what is done is the operator's choice;
	// to wait for it would hang what has ended already, and the shutdown.
	if g.audit, err = audit.Open(c.Audit.File, audit.Options{Logger: o.Log, Lossy: true, Tolerant: c.Audit.OnFailure == "warn"}); err != nil {
		return nil, err
	}
	g.auditFile = c.Audit.File
	g.approvals = OpenApprovals(c, g.audit)
	if g.ca, err = certs.Open(c.CA.Dir, certs.Options{Registerer: o.Registerer, Logger: o.Log}); err != nil {
		return nil, err
	}
	if g.trust, err = writeTrust(g.ca); err != nil {
		return nil, err
	}
	if g.policy, err = policy.New(ctx, g.policyOptions(c)); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	st, err := g.newState(c)
	if err != nil {
		return nil, err
	}
	g.state.Store(st)
	if g.providers, err = provider.NewRuntime(ctx, provider.Options{CacheDir: ModuleCache(c), Logger: o.Log}); err != nil {
		return nil, fmt.Errorf("provider runtime: %w", err)
	}
	g.runs = proxy.NewRuns(c.Gate.MaxRuns, g.ended)
	wire, err := g.newWire(c)
	if err != nil {
		return nil, err
	}
	g.wire.Store(wire)
	g.server = proxy.NewServer(proxy.ServerConfig{Wire: wire, Runs: g.runs, CA: g.ca, Metrics: g.wireStats, Log: o.Log,
		HeaderTimeout: c.Proxy.HeaderTimeout, IdleTimeout: c.Proxy.IdleTimeout})
	return g, g.openDefaultRun(ctx, c)
}

// ModuleCache is the folder in which compiled providers are kept.
func ModuleCache(c *configs.Config) string {
	return filepath.Join(filepath.Dir(c.CA.Dir), "cache", "wasm")
}

func (g *Gate) policyOptions(c *configs.Config) policy.Options {
	return policy.Options{Timeout: g.policyTimeout, Dirs: c.Policy.Dirs, Data: c.Policy.Data, Registerer: g.registry, Logger: g.log, Audit: g.audit}
}

// secretsOptions says how a configuration's secrets are opened. The default
// file name counts as configured only where there is such a file: actions
// without secrets run on a machine that has none.
func (g *Gate) secretsOptions(c *configs.Config) secrets.Options {
	o := secrets.Options{File: c.Secrets.SopsSecretsFile, KeyFile: c.Secrets.SopsKeyFile, Backend: c.Secrets.Backend,
		DecryptTimeout: c.Secrets.DecryptTimeout, Metrics: g.secretStats, Logger: g.log}
	if !c.Explicit("secrets.sops_secrets_file") {
		if _, err := os.Stat(o.File); errors.Is(err, os.ErrNotExist) {
			o.File = ""
		}
	}
	return o
}

// newState loads the catalogue and opens the secrets of c. A manifest that is
// wrong is reported and left out; the others stay in force.
func (g *Gate) newState(c *configs.Config) (*state, error) {
	catalog, problems := manifests.Load(manifests.LoadOptions{Dirs: c.Manifests.Dirs, Bundled: c.Manifests.Bundled})
	for _, p := range problems {
		if p.Severity == manifests.Error {
			g.log.Error("manifest left out", "problem", p.String())
		}
	}
	store, err := secrets.Open(g.secretsOptions(c))
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	return &state{config: c, actions: newActions(catalog), secrets: store, problems: problems}, nil
}

func (g *Gate) newWire(c *configs.Config) (*proxy.Wire, error) {
	var roots *x509.CertPool
	if c.Proxy.UpstreamCAFile != "" {
		var err error
		if roots, err = certs.UpstreamRoots(c.Proxy.UpstreamCAFile); err != nil {
			return nil, fmt.Errorf("proxy.upstream_ca_file: %w", err)
		}
	}
	return proxy.NewWire(proxy.WireConfig{Policy: g.policy, Audit: g.audit, Metrics: g.wireStats, Log: g.log, Traces: g.traces, MaxRequestBytes: c.Proxy.MaxRequestBytes,
		MustRecord: c.Audit.OnFailure == "refuse",
		Upstream:   proxy.UpstreamConfig{Roots: roots, Proxy: c.Proxy.UpstreamProxy.Get(), AllowPrivate: c.Proxy.AllowPrivate}})
}

// openDefaultRun opens the run of clients that send no credentials, where
// default_actions asks for one, and closes the one before: at once where none
// follows it, else when its requests under way had drain_timeout to finish.
func (g *Gate) openDefaultRun(ctx context.Context, c *configs.Config) error {
	var next *proxy.Run
	if len(c.Proxy.DefaultActions) > 0 {
		o, err := g.Open(ctx, OpenRequest{Principal: "default", Door: DoorDefault, Actions: c.Proxy.DefaultActions})
		if err != nil {
			return fmt.Errorf("proxy.default_actions: %w", err)
		}
		next = o.run
	}
	for _, r := range g.runs.List() {
		switch {
		case r.Door != DoorDefault || r == next:
		case next == nil:
			defer g.runs.Close(r.ID, proxy.ErrRunClosed)
		default:
			g.runs.CloseAfter(r.ID, c.Proxy.DrainTimeout)
		}
	}
	g.runs.SetDefault(next)
	return nil
}

// Listen opens the agent's door at the configured address.
func (g *Gate) Listen() (net.Listener, error) {
	network, address := configs.SplitListen(g.Config().Proxy.Listen)
	var ln net.Listener
	var err error
	if network == "unix" {
		removeStale(address)
		ln, err = listenPrivate(address) // with default_actions, whoever connects has a run
	} else {
		ln, err = net.Listen(network, address)
	}
	if err != nil {
		return nil, fmt.Errorf("proxy.listen: %w", err)
	}
	addr := ln.Addr()
	g.listener.Store(&addr)
	return ln, nil
}

// Serve takes agents' connections from ln until Shutdown.
func (g *Gate) Serve(ln net.Listener) error { return g.server.Serve(ln) }

// proxyURL is the URL of the agent's door with a run's credentials. "" before
// Listen, and for a door that is a unix socket: no client takes one in HTTP_PROXY.
func (g *Gate) proxyURL(id, token string) string {
	ln := g.listener.Load()
	if ln == nil {
		return ""
	}
	addr, ok := (*ln).(*net.TCPAddr)
	if !ok {
		return ""
	}
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: "http", User: url.UserPassword(id, token), Host: net.JoinHostPort(host, strconv.Itoa(addr.Port))}).String()
}

// Trust names the files that clients need to trust the CA.
func (g *Gate) Trust() Trust { return g.trust }

// Config is the configuration in force.
func (g *Gate) Config() *configs.Config { return g.state.Load().config }

// Approvals are the tickets of the requests that a person has to agree to.
func (g *Gate) Approvals() *Approvals { return g.approvals }

// Runs are the open runs.
func (g *Gate) Runs() *proxy.Runs { return g.runs }

// Ready returns nil when the gate can serve, else why not: a reload that
// failed, or an audit record that can't be written.
func (g *Gate) Ready() error {
	if err := g.audit.Healthy(); err != nil {
		return fmt.Errorf("audit record: %w", err)
	}
	if f := g.fault.Load(); f != nil {
		return errors.New(*f)
	}
	return nil
}

// Refuse opens no more runs and refuses each request that comes from here on.
// What is under way goes on; [Gate.Drain] ends it.
func (g *Gate) Refuse() {
	if g.runs != nil {
		g.runs.Refuse()
		draining := "latchgate is shutting down"
		g.fault.Store(&draining)
	}
	if g.server != nil {
		g.server.Refuse()
	}
}

// Drain refuses what comes, lets the requests under way and
// executions finish until ctx is done, cuts what is left, and ends all runs.
// The error says that something had to be cut.
func (g *Gate) Drain(ctx context.Context) (err error) {
	g.Refuse()
	if g.server != nil {
		if err = g.server.Shutdown(ctx); err != nil {
			err = fmt.Errorf("connections were cut: %w", err)
		}
	}
	executed := g.executed()
	select {
	case <-executed:
	case <-ctx.Done():
	}
	if g.runs != nil {
		g.runs.CloseAll()
	}
	<-executed // a run that ended takes its execution with it
	return err
}

// Shutdown drains, and closes everything.
func (g *Gate) Shutdown(ctx context.Context) error {
	errs := []error{g.Drain(ctx)}
	g.reload.Lock()
	defer g.reload.Unlock()
	if w := g.wire.Load(); w != nil {
		g.retiredWires = append(g.retiredWires, w)
	}
	for _, w := range g.retiredWires {
		w.Close()
	}
	if g.providers != nil {
		errs = append(errs, g.providers.Close(context.WithoutCancel(ctx)))
	}
	if st := g.state.Load(); st != nil {
		g.retiredStores = append(g.retiredStores, st.secrets)
	}
	g.traces.Shutdown(ctx)
	for _, s := range g.retiredStores {
		errs = append(errs, s.Close())
	}
	if g.audit != nil {
		errs = append(errs, g.audit.Close(context.WithoutCancel(ctx)))
	}
	return errors.Join(errs...)
}
