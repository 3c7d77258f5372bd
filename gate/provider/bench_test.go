//go:build unix

package provider

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

// BenchmarkExecuteHTTPAPI is what an execution through builtin:http_api adds to
// the bare request: a warm module, an answer that is there at once. cpu-µs/op
// is the process's own time, which a busy machine changes least.
func BenchmarkExecuteHTTPAPI(b *testing.B) {
	m := httpAPIModule(b)
	input, err := BuildInput("github_create_issue",
		json.RawMessage(`{"owner":"octo","repo":"hello world","title":"It \"breaks\"","body":"Steps:\n1. open it\n2. see","labels":["bug","p1"]}`),
		&Template{
			Method:  "POST",
			URL:     "https://api.github.com/repos/{{owner}}/{{repo}}/issues",
			Headers: map[string]string{"Accept": "application/vnd.github+json"},
			Body:    map[string]any{"title": "{{title}}", "body": "{{body}}", "labels": "{{labels}}", "milestone": "{{milestone}}"},
		})
	if err != nil {
		b.Fatal(err)
	}
	body := `{"number":1,"url":"https://api.github.com/repos/octo/hello/issues/1","body":"` + strings.Repeat("lorem ipsum ", 80) + `"}`
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Etag": {`"abc"`}, "X-Ratelimit-Remaining": {"4999"}, "Date": {"Mon, 23 Nov 2026 10:00:00 GMT"}}
	call := Call{Input: input, Limits: Limits{MaxIOCalls: 1}, HTTP: func(context.Context, *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 201, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}}
	execute := func(b *testing.B) {
		if _, err := m.Execute(context.Background(), call); err != nil {
			b.Error(err)
		}
	}
	b.Run("callers=1", func(b *testing.B) {
		b.ReportAllocs()
		defer testenv.ReportCPU(b)()
		for b.Loop() {
			execute(b)
		}
	})
	b.Run("callers=16", func(b *testing.B) {
		b.ReportAllocs()
		defer testenv.ReportCPU(b)()
		b.SetParallelism(8) // times two processors
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				execute(b)
			}
		})
	})
}

// BenchmarkExecuteSmallest is what a guest costs that only writes its output,
// with the checks that let a deadline stop it.
func BenchmarkExecuteSmallest(b *testing.B) {
	m := load(b, newRuntime(b), executing(writing(0, 2)).with(0, "{}").encode())
	b.ReportAllocs()
	defer testenv.ReportCPU(b)()
	for b.Loop() {
		if _, err := m.Execute(context.Background(), Call{}); err != nil {
			b.Fatal(err)
		}
	}
}
