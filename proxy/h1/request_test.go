package h1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/net/http/httpguts"
)

func TestPlainRequestsAreTaken(t *testing.T) {
	for _, head := range plainHeads {
		if _, ok := ParseRequest(context.Background(), []byte(head)); !ok {
			t.Errorf("not taken: %q", head)
		}
		sameAsNetHTTP(t, []byte(head))
	}
}

var plainHeads = []string{
	"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	"GET /a/b;v=1?x=%zz&y HTTP/1.1\r\nhost: a.example:8443\r\naccept: */*\r\nAccept: text/html\r\n\r\n",
	"GET /a%2Fb(c)? HTTP/1.1\r\nHost: a.example\r\nX-Empty:\r\nX-Space: \t a b \t\r\n\r\n",
	"POST /a? HTTP/1.1\r\nHost: [::1]:8443\r\nContent-Length: 5\r\nConnection: keep-alive, Close\r\n\r\n",
	"DELETE https://a.example/x?y HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nPragma: no-cache\r\n\r\n",
	"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n",
	"M-SEARCH /\xc3\xa9 HTTP/1.1\r\nHost: a.example\r\nX-Obs: \xe9\r\n\r\n",
}

// Each of these is read in two ways by somebody. None is read here at all.
func TestDoubtfulRequestsAreLeftToNetHTTP(t *testing.T) {
	for name, head := range map[string]string{
		"two lengths":             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
		"list of lengths":         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
		"signed length":           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
		"hexadecimal length":      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n",
		"empty length":            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
		"huge length":             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"chunked":                 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"chunked and a length":    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"chunked, misspelled":     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
		"space before the colon":  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
		"tab before the colon":    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n",
		"obs-fold":                "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
		"obs-fold in front":       "GET / HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n",
		"bare LF in a value":      "GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n",
		"bare CR in a value":      "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
		"bare LF in the line":     "GET / HTTP/1.1\nHost: a\r\n\r\n",
		"NUL":                     "GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
		"no colon":                "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
		"no name":                 "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
		"name that is no token":   "GET / HTTP/1.1\r\nHost: a\r\nX(y): x\r\n\r\n",
		"no Host":                 "GET / HTTP/1.1\r\nX: a\r\n\r\n",
		"two Hosts":               "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		"user info in the Host":   "GET / HTTP/1.1\r\nHost: x@a\r\n\r\n",
		"method that is no token": "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n",
		"no method":               " / HTTP/1.1\r\nHost: a\r\n\r\n",
		"two spaces":              "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
		"space in the target":     "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
		"tab in the target":       "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n",
		"control in the query":    "GET /a?\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
		"two slashes":             "GET //a HTTP/1.1\r\nHost: a\r\n\r\n",
		"asterisk":                "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"relative target":         "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
		"user info in the target": "GET https://x@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"HTTP/1.0":                "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
		"HTTP/2.0":                "PRI * HTTP/2.0\r\n\r\n",
		"HTTP/1.1 and more":       "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n",
		"lower-case protocol":     "GET / http/1.1\r\nHost: a\r\n\r\n",
		"Upgrade":                 "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"Expect":                  "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		"Trailer":                 "POST / HTTP/1.1\r\nHost: a\r\nTrailer: X\r\n\r\n",
		"empty line in front":     "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"LF at the end":           "GET / HTTP/1.1\r\nHost: a\n\n",
		"LF before the end":       "GET / HTTP/1.1\r\nHost: a\n\r\n",
		"an empty line alone":     "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if r, ok := ParseRequest(context.Background(), []byte(head)); ok {
				t.Errorf("taken as %+v", r)
			}
		})
	}
}

// FuzzParseRequest: what is taken is taken by net/http too, and means the same.
func FuzzParseRequest(f *testing.F) {
	for _, head := range plainHeads {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		br := bufio.NewReaderSize(bytes.NewReader(b), 4<<10)
		n, err := Head(br)
		if err != nil {
			return
		}
		sameAsNetHTTP(t, b[:n])
	})
}

func sameAsNetHTTP(t *testing.T, head []byte) {
	t.Helper()
	got, ok := ParseRequest(context.Background(), head)
	if !ok {
		return
	}
	rest := bufio.NewReader(io.MultiReader(bytes.NewReader(head), strings.NewReader("GET /next")))
	want, err := http.ReadRequest(rest)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", head, err)
	}
	if want.ContentLength == 0 {
		if next, _ := rest.Peek(9); string(next) != "GET /next" {
			t.Fatalf("net/http ends %q elsewhere, before %q", head, next)
		}
	}
	// What net/http's server checks beyond http.ReadRequest.
	if !httpguts.ValidHostHeader(want.Host) || len(want.TransferEncoding) > 0 || want.Trailer != nil {
		t.Fatalf("net/http's server refuses %q", head)
	}
	for name, values := range want.Header {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				t.Fatalf("net/http's server refuses %q", head)
			}
		}
	}
	if (got.Body == nil) != (want.ContentLength > 0) {
		t.Fatalf("%q: body %v of %d bytes", head, got.Body, want.ContentLength)
	}
	a, b := got.WithContext(context.Background()), want.WithContext(context.Background())
	a.Body, b.Body = nil, nil
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("%q\ngot  %+v %+v\nwant %+v %+v", head, a, a.URL, b, b.URL)
	}
}

func TestHeadWaitsAndConsumesNothing(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	br := bufio.NewReader(iotest.OneByteReader(strings.NewReader(head + "next")))
	if n, err := Head(br); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	if b, _ := io.ReadAll(br); string(b) != head+"next" {
		t.Fatalf("left %q", b)
	}
	for _, head := range []string{"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\nHost: a\n\r\n", "\n\n"} {
		if n, err := Head(bufio.NewReader(iotest.OneByteReader(strings.NewReader(head)))); n != len(head) || err != nil {
			t.Fatalf("%q: %d %v", head, n, err)
		}
	}
	if _, err := Head(bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", 100)), 64)); !errors.Is(err, ErrLongHead) {
		t.Fatal(err)
	}
	if _, err := Head(bufio.NewReader(strings.NewReader("GET /"))); err != io.EOF {
		t.Fatal(err)
	}
}
