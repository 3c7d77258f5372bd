package policy

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	decisions map[Code]prometheus.Counter
	seconds   prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		decisions: make(map[Code]prometheus.Counter),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "latchgate_policy_eval_duration_seconds",
			Help:    "Time to evaluate a policy rule; cached answers are not in it.",
			Buckets: []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3},
		}),
	}
	vec := f.NewCounterVec(prometheus.CounterOpts{
		Name: "latchgate_policy_decisions_total",
		Help: "Policy decisions on actions and requests: allow, deny, approval or error (which denies).",
	}, []string{"decision"})
	for _, c := range []Code{CodeAllow, CodeDeny, CodeApproval, CodeError} {
		m.decisions[c] = vec.WithLabelValues(string(c))
	}
	return m
}

func (m *metrics) count(d Decision) { m.decisions[d.Code].Inc() }
