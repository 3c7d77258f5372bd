package main

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is an OTLP/HTTP collector.
type receiver struct {
	url   string
	mu    sync.Mutex
	raw   string // all that arrived
	spans []*traces.Span
}

func newReceiver(t *testing.T) *receiver {
	c := &receiver{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var q collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &q)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw += string(body)
		for _, resource := range q.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// named are the spans of that name, of one trace where it is not "".
func (c *receiver) named(name, trace string) (found []*traces.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name && (trace == "" || hex.EncodeToString(s.TraceId) == trace) {
			found = append(found, s)
		}
	}
	return found
}

// attribute is a span's attribute in words.
func attributeOf(s *traces.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

const (
	agentTrace   = "0af7651916cd43dd8448eb211c80319c"
	controlTrace = "1bf7651916cd43dd8448eb211c80319c"
	hiddenTrace  = "2cf7651916cd43dd8448eb211c80319c"
	hostileTrace = "3df7651916cd43dd8448eb211c80319c"
	agentSpan    = "b7ad6b7169203331"
)

func (a *agent) send(method, target string, header http.Header) {
	a.t.Helper()
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header = header
	resp, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

func TestSpansJoinTheAgentsTraceAndHoldNamesAlone(t *testing.T) {
	t.Parallel()
	h, c := newHome(t), newReceiver(t)
	h.configure("[tracing]\nendpoint = \"" + c.url + "\"\n")
	h.write("manifests/item.yaml", itemManifest)
	h.write("manifests/wide.yaml", "action_id: wide\ndescription: Any name.\negress: {profile: proxy_allowlist, allowed_domains: [\"*.example.com\"]}\n")
	d := h.start()
	agent := h.agent("api", "wide")
	sentinels := http.Header{"Tracestate": {"sentinel=sentinel"}, "Baggage": {"sentinel=sentinel"}, "X-Sentinel": {"sentinel"}}
	with := func(traceparents ...string) http.Header {
		all := sentinels.Clone()
		all["Traceparent"] = traceparents
		return all
	}
	agent.send(http.MethodGet, "https://api.example.com/joined/sentinel?sentinel=sentinel", with("00-"+agentTrace+"-"+agentSpan+"-01"))
	agent.send(http.MethodGet, "https://api.example.com/alone", sentinels)
	agent.send("SENTINEL", "https://api.example.com/method", sentinels)
	agent.send(http.MethodGet, "https://api.example.com/hidden", with("00-"+hiddenTrace+"-"+agentSpan+"-00"))
	hostile := [][]string{
		{"sentinel"}, {""}, {"00-" + hostileTrace + "-" + agentSpan}, {"00-" + hostileTrace + "-0000000000000000-01"}, {"ff-" + hostileTrace + "-" + agentSpan + "-01"},
		{"00-" + strings.ToUpper(hostileTrace) + "-" + agentSpan + "-01"}, {"00-" + hostileTrace + "-" + agentSpan + "-01-sentinel"}, {"00-" + strings.Repeat("0", 32) + "-" + agentSpan + "-01"},
		{strings.Repeat("00-"+hostileTrace, 100)}, {"00-" + hostileTrace + "-" + agentSpan + "-01", "00-" + hostileTrace + "-" + agentSpan + "-01"},
	}
	for _, values := range hostile {
		agent.send(http.MethodGet, "https://api.example.com/hostile", with(values...))
	}
	agent.get("https://sentinel.invalid/") // refused at its CONNECT
	agent.get("https://sentinel.example.com/")
	h.must("run", "create_item", "owner=sentinel", "title=sentinel")
	h.run("run", "sentinel")
	h.run("env", "--action", "sentinel")
	h.openJoined(controlTrace)
	d.stop()

	joined := c.named("exchange", agentTrace)
	if len(joined) != 1 || hex.EncodeToString(joined[0].ParentSpanId) != agentSpan {
		t.Fatalf("the agent's request has the spans %v", joined)
	}
	for key, want := range map[string]string{"latchgate.action": "api", "latchgate.run": agent.run(), "latchgate.principal": "user:", "latchgate.secrets": "API_TOKEN",
		"server.address": "api.example.com", "http.request.method": "GET", "http.response.status_code": "200", "http.response.body.size": ""} {
		if got := attributeOf(joined[0], key); got == "" || !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	upstream := func(path string) []string { return h.origin.at(apiHost, path)[0].Header["Traceparent"] }
	if got, want := upstream("/joined/sentinel"), []string{"00-" + agentTrace + "-" + hex.EncodeToString(joined[0].SpanId) + "-01"}; !slices.Equal(got, want) {
		t.Errorf("upstream got the parent %v, want %v", got, want)
	}
	if got := upstream("/alone"); got != nil {
		t.Errorf("a request without a parent got %v", got)
	}
	if got := upstream("/hidden"); len(got) != 1 || !strings.HasPrefix(got[0], "00-"+hiddenTrace+"-") || !strings.HasSuffix(got[0], "-00") || len(c.named("exchange", hiddenTrace)) != 0 {
		t.Errorf("a trace that is not sampled: %v", got)
	}
	for i, a := range h.origin.at(apiHost, "/hostile") {
		if got := a.Header["Traceparent"]; !slices.Equal(got, hostile[i]) {
			t.Errorf("%q went upstream as %q", hostile[i], got)
		}
	}
	if found := c.named("exchange", hostileTrace); len(found) != 0 {
		t.Errorf("a hostile parent was joined: %v", found)
	}
	if found := c.named("open run", controlTrace); len(found) != 1 || hex.EncodeToString(found[0].ParentSpanId) != agentSpan {
		t.Errorf("the run that was opened in a trace has the spans %v", found)
	}
	h.executionIsOneTrace(c)
	roots := 0
	for _, s := range c.named("exchange", "") {
		if len(s.ParentSpanId) == 0 {
			roots++
		}
	}
	if want := 2 + len(hostile) + 1; roots < want { // and what became of sentinel.example.com
		t.Errorf("%d exchanges of their own, want %d at least", roots, want)
	}
	c.holdNamesAlone(t, agent)
}

// openJoined asks the control socket for a run, as part of a trace.
func (h *home) openJoined(trace string) {
	h.t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", h.path("gate.sock"))
	}}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodPost, "http://latchgate/v1/runs", strings.NewReader(`{"door":"env","actions":["api"]}`))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Traceparent", "00-"+trace+"-"+agentSpan+"-01")
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// executionIsOneTrace: the run that was opened for it and its request are
// children of the execution.
func (h *home) executionIsOneTrace(c *receiver) {
	h.t.Helper()
	for _, execution := range c.named("execute", "") {
		if attributeOf(execution, "latchgate.code") != "" {
			continue
		}
		trace := hex.EncodeToString(execution.TraceId)
		for _, name := range []string{"open run", "exchange"} {
			children := c.named(name, trace)
			if len(children) != 1 || string(children[0].ParentSpanId) != string(execution.SpanId) || !strings.Contains(attributeOf(children[0], "latchgate.run"), "run-") {
				h.t.Errorf("%s of an execution: %v", name, children)
			}
		}
		return
	}
	h.t.Error("no execution has a span")
}

// holdNamesAlone walks all spans for what must not leave. Every sentinel that
// the test sends, the secrets included, has the word in it.
func (c *receiver) holdNamesAlone(t *testing.T, a *agent) {
	t.Helper()
	known := strings.Fields(`latchgate.run latchgate.principal latchgate.action latchgate.actions latchgate.secrets latchgate.code
		server.address http.request.method http.response.status_code http.request.body.size http.response.body.size`)
	for _, s := range c.spans {
		if text := strings.ToLower(s.String()); strings.Contains(text, "sentinel") {
			t.Errorf("a span holds what only the agent knows: %s", text)
		}
		if s.TraceState != "" || len(s.Events) > 0 || len(s.Links) > 0 {
			t.Errorf("a span has a state, events or links: %v", s)
		}
		for _, attribute := range s.Attributes {
			if !slices.Contains(known, attribute.Key) {
				t.Errorf("a span has the attribute %s", attribute.Key)
			}
		}
	}
	noSecret(t, "what was exported", c.raw)
	proxy, err := url.Parse(a.vars["HTTPS_PROXY"])
	if err != nil {
		t.Fatal(err)
	}
	if token, _ := proxy.User.Password(); token == "" || strings.Contains(c.raw, token) {
		t.Error("what was exported holds a run's token")
	}
}

func TestNothingIsTracedWhereNoCollectorIsConfigured(t *testing.T) {
	t.Parallel()
	h, c := newHome(t), newReceiver(t)
	h.environ = append(h.environ, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.url)
	d := h.start()
	sent := "00-" + agentTrace + "-" + agentSpan + "-01"
	h.agent("api").send(http.MethodGet, "https://api.example.com/off", http.Header{"Traceparent": {sent}})
	d.stop()
	if got := h.origin.at(apiHost, "/off")[0].Header["Traceparent"]; !slices.Equal(got, []string{sent}) {
		t.Errorf("the parent went upstream as %v", got)
	}
	if c.raw != "" {
		t.Errorf("%d spans were exported", len(c.spans))
	}
}

func TestACollectorThatHangsStopsNothing(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	defer func() { close(over); s.Close() }()
	h := newHome(t)
	h.configure("[tracing]\nendpoint = \"" + s.URL + "\"\n")
	h.write("latchgate.toml", strings.Replace(h.read("latchgate.toml"), "[proxy]\n", "[proxy]\ndrain_timeout = \"1s\"\n", 1))
	d := h.start()
	agent := h.agent("api")
	for range 3 {
		if a := agent.get("https://api.example.com/"); a.status != http.StatusOK {
			t.Errorf("%+v", a)
		}
	}
	d.stop() // within patience, and with status 0
	if n := strings.Count(d.log(), "traces were not sent"); n != 1 {
		t.Errorf("the log says %d times that traces were lost:\n%s", n, d.log())
	}
}
