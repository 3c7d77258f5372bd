package scrub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// benchSecrets are n values of the usual shapes and lengths.
func benchSecrets(n int) []Named {
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	shapes := []struct {
		prefix, alphabet string
		n                int
	}{
		{"ghp_", alnum, 36}, {"sk-ant-api03-", alnum + "-_", 95}, {"xoxb-", "0123456789", 24}, {"glpat-", alnum + "-", 20},
		{"AKIA", alnum[:26], 16}, {"", alnum + "+/", 40}, {"", "0123456789abcdef", 32}, {"lin_api_", alnum, 40},
	}
	r := rand.New(rand.NewPCG(1, 2))
	var values []Named
	for i := range n {
		shape := shapes[i%len(shapes)]
		b := []byte(shape.prefix)
		for range shape.n {
			b = append(b, shape.alphabet[r.IntN(len(shape.alphabet))])
		}
		values = append(values, Named{shape.prefix, b})
	}
	return values
}

// benchBodies are texts without a secret, of 1 MiB each: what upstreams send,
// and after that what somebody sends who wants the search to be slow.
func benchBodies(values []Named) map[string][]byte {
	const size = 1 << 20
	fill := func(item func(i int) string) []byte {
		var b []byte
		for i := 0; len(b) < size; i++ {
			b = append(b, item(i)...)
		}
		return b[:size]
	}
	same := func(text string) []byte { return fill(func(int) string { return text }) }
	prose := "The quick brown fox jumps over the lazy dog, then reads the token documentation at the office & writes a report about keys.\n"
	random := make([]byte, size*3/4)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	value := string(values[0].Value)
	half := value[:len(value)/2]
	return map[string][]byte{
		"prose": same(prose),
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
		"minified": fill(func(i int) string {
			return fmt.Sprintf(`var e%d=function(t,n){return t&&n?t.a%%%d+"\u00e9\n":"/"+n.replace(/\s+/g,"+")+'\x41'};`, i, i%90+10)
		}),
		"urls": fill(func(i int) string {
			return url.QueryEscape(fmt.Sprintf("https://example.com/search?q=the+%d café", i)) + "\n"
		}),
		"sse": fill(func(i int) string {
			return fmt.Sprintf("event: delta\ndata: {\"i\":%d,\"delta\":{\"text\":\"a token\\n\"}}\n\n", i)
		}),
		"base64": []byte(base64.StdEncoding.EncodeToString(random)),
		"binary": random,

		"worst/percent":    same("%"),
		"worst/%41":        same("%41"),
		"worst/%2541":      same("%2541"),
		`worst/u00`:        same(`\u00`),
		`worst/u0041`:      same(`\u0041`),
		"worst/backslash":  same(`\`),
		"worst/&#":         same("&#"),
		"worst/&#65":       same("&#65;"),
		"worst/near":       same(value[:len(value)-1]),
		"worst/half":       same(half),
		"worst/near%":      same(fmt.Sprintf("%s%%%02x", half, value[len(half)])),
		"worst/nearsplit%": same(fmt.Sprintf("%s%%%02x%s", half, value[len(half)], value[len(half)+1:len(value)-1])),
	}
}

func BenchmarkScanWithoutMatch(b *testing.B) {
	for _, n := range []int{1, 8, 32} {
		values := benchSecrets(n)
		set := Compile(values)
		bodies := benchBodies(values)
		for _, name := range slices.Sorted(maps.Keys(bodies)) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				body := bodies[name]
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
}

func BenchmarkReader(b *testing.B) {
	values := benchSecrets(8)
	set := Compile(values)
	body := benchBodies(values)["json"]
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
	set := Compile(benchSecrets(8))
	b.ReportAllocs()
	for b.Loop() {
		set.String("application/json; charset=utf-8", nil)
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			values := benchSecrets(n)
			b.ReportAllocs()
			for b.Loop() {
				Compile(values)
			}
		})
	}
}

func BenchmarkReaderManyMatches(b *testing.B) {
	values := benchSecrets(8)
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
