package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/cmd/latchgate/sandbox"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
)

func (a *app) proxyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Run the daemon: proxy, control socket and metrics",
		Long: `Run the daemon. Clients get their credentials for it from ` + "`latchgate exec`" + ` or
` + "`latchgate env`" + `. SIGHUP, or a change of latchgate.toml, a manifest or a policy
file, reloads; SIGTERM lets requests finish for proxy.drain_timeout.`,
		Example: `  latchgate proxy
  latchgate proxy --config /etc/latchgate/latchgate.toml
  latchgate proxy --listen 127.0.0.1:9000 --action github`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.serveProxy(c) },
	}
	c.Flags().String("listen", "", "address of the proxy (proxy.listen)")
	c.Flags().String("metrics-listen", "", "address of /metrics, /healthz and /readyz (metrics.listen)")
	c.Flags().StringSlice("action", nil, "clients without credentials get a run of these actions (proxy.default_actions)")
	c.Flags().String("log-level", "", "debug, info, warn or error (log.level)")
	return c
}

var proxyFlags = map[string]string{"listen": "proxy.listen", "metrics-listen": "metrics.listen", "action": "proxy.default_actions", "log-level": "log.level"}

// reserved counts as memory in use, and is never touched. What lives in a daemon
// is a few megabytes, and a collection that comes whenever as much again was
// allocated comes every 70 handshakes.
const reserved = 8 << 20 // bytes

// serveProxy is the daemon's life.
func (a *app) serveProxy(c *cobra.Command) error {
	reserve := make([]byte, reserved)
	defer runtime.KeepAlive(reserve)
	a.flagKeys = proxyFlags
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	if err := sandbox.Harden(true); err != nil {
		return err
	}
	log, level := a.logger(cfg)
	d, err := newDaemon(c.Context(), cfg, log, level)
	if err != nil {
		return err
	}
	return d.serve(c.Context(), func() (*configs.Config, error) { return a.config(c) })
}

// daemon is what `latchgate proxy` runs.
type daemon struct {
	gate    *gate.Gate
	control *gate.Control
	metrics *http.Server
	log     *slog.Logger

	proxyLn, controlLn, metricsLn net.Listener
}

// newDaemon builds a daemon that listens already; [daemon.serve] is to follow.
func newDaemon(ctx context.Context, cfg *configs.Config, log *slog.Logger, level *slog.LevelVar) (*daemon, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	g, err := gate.New(ctx, gate.Options{Config: cfg, Registerer: reg, Log: log, Level: level, Version: buildVersion()})
	if err != nil {
		return nil, err
	}
	d := &daemon{gate: g, control: gate.NewControl(g, buildVersion()), log: log}
	d.metrics = &http.Server{Handler: metricsHandler(g, reg), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	if err := d.listen(cfg); err != nil {
		return nil, errors.Join(err, d.shutdown())
	}
	return d, nil
}

func (d *daemon) listen(cfg *configs.Config) (err error) {
	if d.controlLn, err = d.control.Listen(); errors.Is(err, gate.ErrRunning) {
		return withHint(err, "stop that one first, or give this one a gate.socket of its own in latchgate.toml")
	} else if err != nil {
		return withHint(err, "set gate.socket in latchgate.toml to a path that can be written, of at most 107 bytes")
	}
	if d.proxyLn, err = d.gate.Listen(); err != nil {
		return withHint(err, "is another program using the address? set proxy.listen in latchgate.toml")
	}
	if cfg.Metrics.Listen == "" {
		return nil
	}
	if d.metricsLn, err = net.Listen("tcp", cfg.Metrics.Listen); err != nil {
		return withHint(fmt.Errorf("metrics.listen: %w", err), `set metrics.listen in latchgate.toml; "" switches it off`)
	}
	d.control.ServesMetrics(d.metricsLn.Addr().String())
	return nil
}

// serve runs until ctx is done or a listener fails, then shuts down.
func (d *daemon) serve(ctx context.Context, load func() (*configs.Config, error)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	start := func(name string, serve func() error) {
		wg.Go(func() {
			if err := serve(); err != nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start("proxy", func() error { return d.gate.Serve(d.proxyLn) })
	start("control socket", func() error { return d.control.Serve(d.controlLn) })
	if d.metricsLn != nil {
		start("metrics", func() error {
			if err := d.metrics.Serve(d.metricsLn); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	reload := make(chan struct{}, 1)
	ask := func() {
		select {
		case reload <- struct{}{}:
		default: // one is waiting already, and will read this change too
		}
	}
	if watch, err := d.gate.Watch(); err != nil {
		stop(err)
	} else {
		wg.Go(func() { watch(ctx, ask) })
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	d.log.Info("ready", "proxy", d.proxyLn.Addr().String(), "socket", d.controlLn.Addr().String(), "metrics", address(d.metricsLn), "config", d.gate.Config().File())
	if err := notifyReady(); err != nil {
		d.log.Warn("the service manager was not told that it is ready", "err", err)
	}
	debug.FreeOSMemory() // what it took to get ready
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-hup:
			ask()
		case <-reload:
			if next, err := load(); err != nil {
				d.gate.ReloadFailed(err)
			} else {
				_ = d.gate.Reload(ctx, next) // it logged what failed
			}
		}
	}
	cause := context.Cause(ctx)
	d.gate.Refuse() // before it is said
	d.log.Info("shutting down", "drain_timeout", d.gate.Config().Proxy.DrainTimeout)
	err := d.shutdown()
	wg.Wait()
	if errors.Is(cause, context.Canceled) {
		cause = nil
	}
	return errors.Join(cause, err)
}

func (d *daemon) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.gate.Config().Proxy.DrainTimeout)
	defer cancel()
	err := d.gate.Drain(ctx)
	err = errors.Join(err, ignoreLate(d.control.Shutdown(ctx)), ignoreLate(d.metrics.Shutdown(ctx)))
	_ = d.metrics.Close()
	for _, ln := range []net.Listener{d.proxyLn, d.controlLn, d.metricsLn} {
		if ln != nil {
			_ = ln.Close()
		}
	}
	return errors.Join(err, d.gate.Shutdown(ctx))
}

// ignoreLate: an attached run's connection is cut at the end of the drain
// time, and that is not a fault.
func ignoreLate(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func address(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}

// metricsHandler answers /metrics, /healthz (the process runs) and /readyz (it
// can serve; else 503 and why).
func metricsHandler(g *gate.Gate, reg *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := g.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
