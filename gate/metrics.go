package gate

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the gate's own; design section 12 lists them.
type metrics struct {
	open     *prometheus.GaugeVec
	runs     *prometheus.CounterVec
	duration *prometheus.HistogramVec
	reloads  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, version string) *metrics {
	f := promauto.With(reg)
	f.NewGaugeVec(prometheus.GaugeOpts{Name: "latchgate_build_info", Help: "Always 1; the labels say what is running."},
		[]string{"version", "go"}).WithLabelValues(version, runtime.Version()).Set(1)
	return &metrics{
		open: f.NewGaugeVec(prometheus.GaugeOpts{Name: "latchgate_runs", Help: "Open runs by action."}, []string{"action"}),
		runs: f.NewCounterVec(prometheus.CounterOpts{Name: "latchgate_runs_total",
			Help: "Runs that were asked for, by how they ended: closed, failed, cancelled, expired, revoked, refused."}, []string{"action", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{Name: "latchgate_run_duration_seconds", Help: "How long runs were open.",
			Buckets: []float64{50e-6, 250e-6, 1e-3, 5e-3, 25e-3, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600}}, []string{"action"}),
		reloads: f.NewCounterVec(prometheus.CounterOpts{Name: "latchgate_config_reloads_total",
			Help: "Reloads of configuration, manifests and policy, by result: ok, error."}, []string{"result"}),
	}
}
