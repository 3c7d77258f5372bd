package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scrapeTimeout bounds one look at the page.
const scrapeTimeout = 5 * time.Second

// scrape is the state of latchgate's counters, by series as /metrics writes it.
type scrape map[string]float64

// scrapeMetrics reads the counters from a daemon's /metrics; raw is the page.
func scrapeMetrics(ctx context.Context, address string) (s scrape, raw []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, nil, fmt.Errorf("read the metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	s = scrape{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		raw = append(append(raw, line...), '\n')
		series, value, found := strings.Cut(line, "} ")
		if found {
			series += "}"
		} else {
			series, value, found = strings.Cut(line, " ")
		}
		if !found || !strings.HasPrefix(series, "latchgate_") || !strings.HasSuffix(seriesName(series), "_total") {
			continue
		}
		if s[series], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, nil, fmt.Errorf("read the metrics: %s: %w", series, err)
		}
	}
	return s, raw, lines.Err()
}

func seriesName(series string) string {
	name, _, _ := strings.Cut(series, "{")
	return name
}

// sum adds the series of a metric whose labels hold all of those given, as
// label="value".
func (s scrape) sum(name string, labels ...string) (total float64) {
	for series, v := range s {
		if seriesName(series) == name && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(series, l) }) {
			total += v
		}
	}
	return total
}

// demoMetric is a counter that moved, all its series together.
type demoMetric struct {
	Name    string  `json:"name"`
	Before  float64 `json:"before"`
	After   float64 `json:"after"`
	Delta   float64 `json:"delta"`
	Meaning string  `json:"meaning"`
}

// demoMeanings are the counters that the demo shows, in its order.
var demoMeanings = []struct{ name, meaning string }{
	{"latchgate_secrets_decrypt_cache_misses_total", "the file was decrypted"},
	{"latchgate_secrets_decrypt_cache_hits_total", "taken from the cache, at most 30 s old"},
	{"latchgate_secrets_injections_total", "stamped on a request"},
	{"latchgate_proxy_scrubbed_total", "taken out of an answer"},
	{"latchgate_proxy_requests_total", "requests answered, the refused one too"},
	{"latchgate_proxy_denied_total", "refused"},
	{"latchgate_runs_total", "runs opened and closed"},
	{"latchgate_policy_decisions_total", "decisions of the policy"},
}

// movedCounters compares two scrapes.
func movedCounters(before, after scrape) (metrics []demoMetric, series map[string]float64) {
	series = map[string]float64{}
	for name, v := range after {
		if v != before[name] {
			series[name] = v - before[name]
		}
	}
	for _, m := range demoMeanings {
		x, y := before.sum(m.name), after.sum(m.name)
		if x != y {
			metrics = append(metrics, demoMetric{m.name, x, y, y - x, m.meaning})
		}
	}
	return metrics, series
}
