package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/audit"
)

func TestANilTracerCostsNothing(t *testing.T) {
	tr, err := New(context.Background(), Options{})
	if tr != nil || err != nil {
		t.Fatalf("%v %v", tr, err)
	}
	const sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	r := &http.Request{Header: http.Header{"Traceparent": {sent}}}
	var e audit.Event
	allocations := testing.AllocsPerRun(100, func() {
		span := tr.Exchange(r, time.Time{})
		tr.End(span, e, "")
		_, span = tr.Start(context.Background(), "execute")
		tr.End(span, e, "")
	})
	tr.Shutdown(context.Background())
	if allocations != 0 || tr.Context(r) != r.Context() || r.Header.Get("Traceparent") != sent {
		t.Errorf("%v allocations, header %v", allocations, r.Header)
	}
}

func TestACollectorsCredentialIsNotInTheLog(t *testing.T) {
	for _, headers := range []string{"Bearer sentinel-of-the-collector", "authorization=%zzsentinel-of-the-collector", "sentinel of=the-collector"} {
		t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
		var log bytes.Buffer
		tr, err := New(context.Background(), Options{Endpoint: "http://127.0.0.1:9", Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		tr.Shutdown(context.Background())
		if !strings.Contains(log.String(), "a variable of OpenTelemetry is not understood") || strings.Contains(log.String(), "sentinel") {
			t.Errorf("%s: %s", headers, log.String())
		}
	}
}

func TestComplaintsComeOnceAMinute(t *testing.T) {
	var log bytes.Buffer
	c := &complaints{log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		c.Handle(errors.New(strings.Repeat("x", 1000)))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || log.Len() > 500 {
		t.Errorf("%d lines: %s", n, log.String())
	}
	c.next.Store(time.Now().UnixNano()) // the minute is over
	c.Handle(errors.New("again"))
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}
