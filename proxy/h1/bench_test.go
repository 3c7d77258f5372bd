package h1

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	benchRequest = "GET /v1/items?limit=10 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench\r\nAccept: application/json\r\n" +
		"Accept-Encoding: gzip\r\nAuthorization: Bearer placeholder\r\n\r\n"
	benchAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nCache-Control: no-store\r\n" +
		"X-Request-Id: req_011CSHoEeqs5C35K2UUqR7Fy\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n"
)

func BenchmarkParseRequest(b *testing.B) {
	b.Run("h1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := ParseRequest(context.Background(), []byte(benchRequest)); !ok {
				b.Fatal("not plain")
			}
		}
	})
	b.Run("net/http", func(b *testing.B) {
		r := strings.NewReader(benchRequest)
		br := bufio.NewReader(r)
		b.ReportAllocs()
		for b.Loop() {
			r.Reset(benchRequest)
			br.Reset(r)
			if _, err := http.ReadRequest(br); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParseResponse(b *testing.B) {
	r := &http.Request{Method: http.MethodGet}
	b.ReportAllocs()
	for b.Loop() {
		var resp http.Response
		if _, ok := parseResponse(&resp, []byte(benchAnswer), r); !ok {
			b.Fatal("not plain")
		}
	}
}

func BenchmarkWriteResponse(b *testing.B) {
	var resp http.Response
	if _, ok := parseResponse(&resp, []byte(benchAnswer), &http.Request{Method: http.MethodGet}); !ok {
		b.Fatal("not plain")
	}
	bw := bufio.NewWriterSize(io.Discard, 16<<10)
	body := strings.NewReader("")
	resp.Body = io.NopCloser(body)
	b.ReportAllocs()
	for b.Loop() {
		body.Reset("ok")
		if err := WriteResponse(bw, io.Discard, &resp, http.MethodGet, false); err != nil {
			b.Fatal(err)
		}
		_ = bw.Flush()
	}
}
