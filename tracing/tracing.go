// Package tracing tells an OpenTelemetry collector what was done, as spans that
// join the traces of the agents.
//
// [New] makes a [Tracer]; a nil one is tracing switched off, and all its methods
// work on it. A span ends with an [audit.Event] and shows a part of it: names
// and numbers. Do not put a path, a query, a header or a value into a span: it
// leaves for another machine.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchgate/latchgate/audit"
)

// Options of a tracer.
type Options struct {
	Endpoint string // base URL of an OTLP/HTTP collector, such as http://127.0.0.1:4318; "": off
	Version  string // latchgate's own, for service.version
	Log      *slog.Logger
}

const (
	exportTimeout = 10 * time.Second
	flushTimeout  = 5 * time.Second
	complainEvery = time.Minute
)

// Tracer makes spans and sends them in the background. Where the collector
// doesn't keep up they are dropped: nothing waits for it.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	client   *http.Client
}

// New makes a tracer, or nil where there is no endpoint. Shut it down at the
// end. It connects nowhere yet, so a collector may come later. The variables
// OTEL_EXPORTER_OTLP_HEADERS and OTEL_RESOURCE_ATTRIBUTES are observed; proxy
// variables are not. It sets OpenTelemetry's error handler and logger, which a
// process has one each of.
func New(ctx context.Context, o Options) (*Tracer, error) {
	if o.Endpoint == "" {
		return nil, nil
	}
	client := &http.Client{Timeout: exportTimeout, Transport: &http.Transport{ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	otel.SetLogger(logr.New(remarks{o.Log}))
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithHTTPClient(client),
		otlptracehttp.WithEndpointURL(strings.TrimSuffix(o.Endpoint, "/")+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	otel.SetErrorHandler(&complaints{log: o.Log})
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "latchgate"), attribute.String("service.version", o.Version))))
	return &Tracer{provider: p, tracer: p.Tracer("github.com/latchgate/latchgate"), client: client}, nil
}

// Shutdown sends what is left until ctx is done, for 5 s at most. What could not
// be sent is lost and logged: it is nobody's failure.
func (t *Tracer) Shutdown(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
	t.client.CloseIdleConnections()
}

// Context is the request's context as a child of its traceparent.
func (t *Tracer) Context(r *http.Request) context.Context {
	if t == nil {
		return r.Context()
	}
	ctx, _ := joined(r)
	return ctx
}

// joined takes the parent from a request's traceparent (W3C Trace Context
// section 3.2), and nothing from tracestate or baggage: what an agent writes
// there is not to be passed on. A value that is malformed, or there twice, is
// as good as none.
func joined(r *http.Request) (_ context.Context, ok bool) {
	values := r.Header["Traceparent"]
	if len(values) != 1 {
		return r.Context(), false
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": values[0]})
	parent := trace.SpanContextFromContext(ctx)
	if !parent.IsValid() {
		return r.Context(), false
	}
	return trace.ContextWithRemoteSpanContext(r.Context(), parent), true
}

// Exchange starts the span of a request on the wire, and puts it in the place of
// the traceparent that the agent sent. One that sent none sends none: a header
// that it does not know of could break a signature.
func (t *Tracer) Exchange(r *http.Request, started time.Time) trace.Span {
	if t == nil {
		return nil
	}
	ctx, ok := joined(r)
	ctx, span := t.tracer.Start(ctx, "exchange", trace.WithTimestamp(started), trace.WithSpanKind(trace.SpanKindServer))
	if ok {
		own := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, own)
		r.Header["Traceparent"] = []string{own["traceparent"]}
	}
	return span
}

// Start starts a span as a child of the one in ctx.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, trace.Span) {
	if t == nil {
		return ctx, nil
	}
	return t.tracer.Start(ctx, name)
}

// End ends a span at e.Time, or now where that is zero, with what e says. host
// is a declared one: e.Host may be whatever an agent typed. A nil span is that
// of an exchange which was refused before it began.
func (t *Tracer) End(span trace.Span, e audit.Event, host string) {
	if t == nil {
		return
	}
	if span == nil {
		_, span = t.tracer.Start(context.Background(), "exchange", trace.WithTimestamp(e.Time.Add(-e.Duration)), trace.WithSpanKind(trace.SpanKindServer))
	}
	if span.IsRecording() {
		span.SetAttributes(attributes(&e, host)...)
		if e.Code != "" {
			span.SetStatus(codes.Error, e.Code)
		}
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	span.End(trace.WithTimestamp(e.Time))
}

func attributes(e *audit.Event, host string) []attribute.KeyValue {
	var all []attribute.KeyValue
	text := func(key, value string) {
		if value != "" {
			all = append(all, attribute.String(key, value))
		}
	}
	names := func(key string, values []string) {
		if len(values) > 0 {
			all = append(all, attribute.StringSlice(key, values))
		}
	}
	text("latchgate.run", e.Run)
	text("latchgate.principal", e.Principal)
	text("latchgate.action", e.Action)
	names("latchgate.actions", e.Actions)
	names("latchgate.secrets", e.Secrets)
	text("latchgate.code", e.Code)
	text("server.address", host)
	text("http.request.method", e.Method)
	if e.Status != 0 {
		all = append(all, attribute.Int("http.response.status_code", e.Status),
			attribute.Int64("http.request.body.size", e.RequestBytes), attribute.Int64("http.response.body.size", e.ResponseBytes))
	}
	return all
}

// complaints logs what OpenTelemetry can't return to anybody, once a minute at
// most.
type complaints struct {
	log  *slog.Logger
	next atomic.Int64 // nanoseconds since the epoch
}

// Handle satisfies otel.ErrorHandler. A collector's answer may be in the error.
func (c *complaints) Handle(err error) {
	now, next := time.Now(), c.next.Load()
	if now.UnixNano() < next || !c.next.CompareAndSwap(next, now.Add(complainEvery).UnixNano()) {
		return
	}
	reason := err.Error()
	c.log.Warn("traces were not sent", "err", reason[:min(len(reason), 300)])
}

// remarks logs what OpenTelemetry finds wrong with its variables, by the name of
// what failed alone: errors and values quote the variable, which may be a
// credential.
type remarks struct{ log *slog.Logger }

// Error satisfies logr.LogSink, as all that follows does.
func (r remarks) Error(_ error, what string, _ ...any) {
	r.log.Warn("a variable of OpenTelemetry is not understood", "what", what)
}

// Init does nothing.
func (remarks) Init(logr.RuntimeInfo) {}

// Enabled is for remarks that are no errors.
func (remarks) Enabled(int) bool { return false }

// Info does nothing.
func (remarks) Info(int, string, ...any) {}

// WithValues ignores them.
func (r remarks) WithValues(...any) logr.LogSink { return r }

// WithName ignores it.
func (r remarks) WithName(string) logr.LogSink { return r }
