package scrub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// benchSecrets are eight values of the usual shapes and lengths.
func benchSecrets() []Named {
	r := rand.New(rand.NewPCG(1, 2))
	token := func(prefix, alphabet string, n int) Named {
		b := []byte(prefix)
		for range n {
			b = append(b, alphabet[r.IntN(len(alphabet))])
		}
		return Named{prefix, b}
	}
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return []Named{
		token("ghp_", alnum, 36), token("sk-ant-api03-", alnum+"-_", 95), token("xoxb-", "0123456789", 24), token("glpat-", alnum+"-", 20),
		token("AKIA", alnum[:26], 16), token("", alnum+"+/", 40), token("", "0123456789abcdef", 32), token("lin_api_", alnum, 40),
	}
}

// benchBodies are texts without a secret, of 1 MiB each.
func benchBodies() map[string][]byte {
	const size = 1 << 20
	fill := func(item func(i int) string) []byte {
		var b []byte
		for i := 0; len(b) < size; i++ {
			b = append(b, item(i)...)
		}
		return b[:size]
	}
	prose := "The quick brown fox jumps over the lazy dog, then reads the token documentation at the office & writes a report about keys.\n"
	random := make([]byte, size*3/4)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	return map[string][]byte{
		"prose": fill(func(int) string { return prose }),
		"json": fill(func(i int) string {
			b, _ := json.Marshal(map[string]any{"id": i, "node_id": base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "0%d:Issue", i)),
				"url":   fmt.Sprintf("https://api.github.com/repos/octocat/hello-world/issues/%d", i),
				"title": "Found a bug in the \"parser\"", "user": map[string]any{"login": "octocat", "site_admin": false}, "body": prose})
			return string(b) + ","
		}),
		"jsonInJSON": fill(func(i int) string {
			b, _ := json.Marshal(map[string]any{"id": i, "status": "ok", "name": "x"})
			b, _ = json.Marshal(string(b))
			return string(b)
		}),
		"html": fill(func(i int) string {
			return fmt.Sprintf(`<li class="item-%d"><a href="/issues/%d?a=1&amp;b=%%20x">%s</a></li>`+"\n", i, i, html.EscapeString(prose))
		}),
		"urls": fill(func(i int) string {
			return url.QueryEscape(fmt.Sprintf("https://example.com/search?q=the+%d café", i)) + "\n"
		}),
		"sse": fill(func(i int) string {
			return fmt.Sprintf("event: delta\ndata: {\"i\":%d,\"delta\":{\"text\":\"a token\\n\"}}\n\n", i)
		}),
		"base64": []byte(base64.StdEncoding.EncodeToString(random)),
		"binary": random,
	}
}

func BenchmarkScanWithoutMatch(b *testing.B) {
	set := Compile(benchSecrets())
	for name, body := range benchBodies() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if set.Contains(body) {
					b.Fatal("a match")
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	set := Compile(benchSecrets())
	body := benchBodies()["json"]
	src := bytes.NewReader(nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(body)
		if _, err := io.Copy(io.Discard, set.Reader(struct{ io.Reader }{src}, nil)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStringHeader(b *testing.B) {
	set := Compile(benchSecrets())
	b.ReportAllocs()
	for b.Loop() {
		set.String("application/json; charset=utf-8", nil)
	}
}

func BenchmarkCompile(b *testing.B) {
	values := benchSecrets()
	b.ReportAllocs()
	for b.Loop() {
		Compile(values)
	}
}

func BenchmarkReaderManyMatches(b *testing.B) {
	values := benchSecrets()
	set := Compile(values)
	body := []byte(strings.Repeat(`{"token":"`+string(values[0].Value)+`","n":12345678901234567890}`, 10000))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, set.Reader(bytes.NewReader(body), nil)); err != nil {
			b.Fatal(err)
		}
	}
}
