package secrets

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Why a look-up missed the cache.
const (
	missCold    = "cold"    // nothing was decrypted yet
	missExpired = "expired" // the entry had reached its TTL
	missChanged = "changed" // the file is not the one that was decrypted
)

// Metrics are the counters of the Stores of one process: a reload opens a
// second Store, and the counters go on.
type Metrics struct {
	hits     prometheus.Counter
	misses   *prometheus.CounterVec   // reason
	duration *prometheus.HistogramVec // backend
	errors   *prometheus.CounterVec   // code
}

// NewMetrics registers the metrics of a process's Stores with reg; nil leaves
// them unregistered.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		hits: f.NewCounter(prometheus.CounterOpts{
			Name: "latchgate_secrets_decrypt_cache_hits_total",
			Help: "Look-ups that were answered from the cache.",
		}),
		misses: f.NewCounterVec(prometheus.CounterOpts{
			Name: "latchgate_secrets_decrypt_cache_misses_total",
			Help: "Look-ups that had to wait for a decryption, by reason.",
		}, []string{"reason"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "latchgate_secrets_decrypt_duration_seconds",
			Help:    "Duration of decryptions, successful or not.",
			Buckets: []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}, []string{"backend"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "latchgate_secrets_decrypt_errors_total",
			Help: "Look-ups that failed, by code.",
		}, []string{"code"}),
	}
	for _, reason := range []string{missCold, missExpired, missChanged} {
		m.misses.WithLabelValues(reason)
	}
	return m
}
