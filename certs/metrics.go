package certs

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics counts what the leaf cache did. A renewal counts as a miss.
type metrics struct {
	hits, misses prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	return metrics{
		hits: f.NewCounter(prometheus.CounterOpts{
			Name: "latchgate_certs_leaf_cache_hits_total",
			Help: "Leaf certificates served from the cache.",
		}),
		misses: f.NewCounter(prometheus.CounterOpts{
			Name: "latchgate_certs_leaf_cache_misses_total",
			Help: "Leaf certificates that were not in the cache or due for renewal.",
		}),
	}
}
