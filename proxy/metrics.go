package proxy

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are the wire's and the doors' counters. Labels are names from
// manifests, codes and methods: never what a client typed.
type Metrics struct {
	injections  *prometheus.CounterVec
	unavailable *prometheus.CounterVec
	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	overhead    prometheus.Histogram
	denied      *prometheus.CounterVec
	scrubbed    *prometheus.CounterVec
	tripwire    *prometheus.CounterVec
	tunnels     *prometheus.GaugeVec
	intercepted prometheus.Gauge // of tunnels
}

// latencyBuckets start at 50 microseconds; the unit is seconds.
var latencyBuckets = []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// NewMetrics registers the metrics with reg; nil leaves them unregistered.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "latchgate_" + name, Help: help}, labels)
	}
	m := &Metrics{
		injections:  counter("secrets_injections_total", "Secrets put on a request that was sent.", "action", "secret", "host"),
		unavailable: counter("secrets_unavailable_total", "Bindings of a request whose secret was not available.", "action", "secret"),
		requests:    counter("proxy_requests_total", "Requests answered, by status code.", "action", "host", "method", "code"),
		denied:      counter("proxy_denied_total", "Requests that latchgate itself refused.", "code"),
		scrubbed:    counter("proxy_scrubbed_total", "Secret values taken out of upstreams' answers.", "action", "secret"),
		tripwire:    counter("proxy_tripwire_total", "Placeholders seen where no binding allows them.", "action", "secret"),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{Name: "latchgate_proxy_request_duration_seconds",
			Help: "Time from a request's head to the end of its answer.", Buckets: latencyBuckets}, []string{"action"}),
		overhead: f.NewHistogram(prometheus.HistogramOpts{Name: "latchgate_proxy_overhead_seconds",
			Help: "Our own share of the time until an answer's head.", Buckets: latencyBuckets}),
		tunnels: f.NewGaugeVec(prometheus.GaugeOpts{Name: "latchgate_proxy_tunnels",
			Help: "Open tunnels."}, []string{"kind"}),
	}
	m.intercepted = m.tunnels.WithLabelValues("intercepted")
	return m
}

// meters are the metrics of one route, which hashing labels for each request
// would make as dear as the rest of the record.
type meters struct {
	requests counterCache
	duration atomic.Pointer[observerOf]
}

// observerOf is a vector's observer for labels that never change.
type observerOf struct {
	vec *prometheus.HistogramVec
	prometheus.Observer
}

func (m *meters) observe(vec *prometheus.HistogramVec, action string, seconds float64) {
	o := m.duration.Load()
	if o == nil || o.vec != vec {
		o = &observerOf{vec, vec.WithLabelValues(action)}
		m.duration.Store(o)
	}
	o.Observe(seconds)
}

// counterCache remembers the counter that was asked for last. All labels but
// method and status are the same each time.
type counterCache struct{ last atomic.Pointer[counterOf] }

type counterOf struct {
	vec    *prometheus.CounterVec
	method string
	status int
	prometheus.Counter
}

func (c *counterCache) inc(vec *prometheus.CounterVec, method string, status int, labels ...string) {
	last := c.last.Load()
	if last == nil || last.vec != vec || last.method != method || last.status != status {
		if method != "" {
			labels = append(labels, method, statusLabel(status))
		}
		last = &counterOf{vec, method, status, vec.WithLabelValues(labels...)}
		c.last.Store(last)
	}
	last.Inc()
}

func statusLabel(status int) string {
	if status < 100 || status > 599 {
		return "0"
	}
	return strconv.Itoa(status)
}
