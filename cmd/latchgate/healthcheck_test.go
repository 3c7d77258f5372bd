package main

import (
	"strings"
	"testing"
)

func TestHealthcheckSaysWhatTheDaemonSays(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	d := h.start()
	ask := func() outcome {
		return h.runWith("", []string{"HTTP_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1"}, "healthcheck", "--metrics-listen", d.metrics)
	}
	if o := ask(); o.status != 0 || o.stdout+o.stderr != "" {
		t.Errorf("of one that can serve: %d %s%s", o.status, o.stdout, o.stderr)
	}
	at := d.now()
	h.write("manifests/api.yaml", "action_id: [")
	d.waitAfter(at, "reload: the last good one stays in force where it failed")
	if o := ask(); o.status != 1 || !strings.HasPrefix(o.stderr, "latchgate: not ready: ") || !strings.Contains(o.stderr, "api.yaml") {
		t.Errorf("of one whose reload failed: %d %s", o.status, o.stderr)
	}
	d.stop()
	if o := ask(); o.status != 1 || !strings.HasPrefix(o.stderr, "latchgate: the daemon does not answer: ") {
		t.Errorf("of one that has ended: %d %s", o.status, o.stderr)
	}
	if o := h.runWith("", []string{"LATCHGATE_METRICS__LISTEN="}, "healthcheck"); o.status != 1 || !strings.Contains(o.stderr, "metrics.listen is empty") {
		t.Errorf("of one without a listener: %d %s", o.status, o.stderr)
	}
}
