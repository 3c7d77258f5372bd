package provider

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestRequestDocumentIsReadStrictly(t *testing.T) {
	doc := func(method, url, headers string) string {
		return `{"method":"` + method + `","url":"` + url + `","headers":[` + headers + `]}`
	}
	const ok = "https://api.x/"
	for _, c := range []struct{ doc, says string }{ // says "" where the request is fine
		{doc("GET", ok, ""), ""},
		{`{"method":"GET","url":"https://api.x/"}`, ""},
		{doc("PROPFIND", "http://api.x:8080/a%2Fb?c=d%20e", `["a","b"],["A","c"]`), ""},
		{doc("GET", ok, `["X-Empty",""]`), ""},
		{"", "document"},
		{"null{}", "document"},
		{doc("GET", ok, "") + "x", "document"},
		{doc("GET", ok, "") + "}", "document"},
		{doc("GET", ok, "") + " \n", ""},
		{`{"method":"GET","url":"https://api.x/","extra":1}`, "document"},
		{`{"method":7,"url":"https://api.x/"}`, "document"},
		{`[]`, "document"},
		{doc("", ok, ""), "method"},
		{doc("GET /", ok, ""), "method"},
		{doc("CONNECT", ok, ""), "method"},
		{doc("TRACE", ok, ""), "method"},
		{doc("connect", ok, ""), "method"},
		{doc("GET", "", ""), "URL"},
		{doc("GET", "/relative", ""), "URL"},
		{doc("GET", "//api.x/", ""), "URL"},
		{doc("GET", "file:///etc/passwd", ""), "URL"},
		{doc("GET", "https://", ""), "URL"},
		{doc("GET", "https://u:p@api.x/", ""), "URL"},
		{doc("GET", "https://api.x/#f", ""), "URL"},
		{doc("GET", "https://api.x/\\n", ""), "URL"},
		{doc("GET", "https://api.x/%zz", ""), "URL"},
		{doc("GET", ok, `["a b","c"]`), "token"},
		{doc("GET", ok, `["","c"]`), "token"},
		{doc("GET", ok, `["a","b\r\nc: d"]`), "A has a control character"},
		{doc("GET", ok, `["host","evil.example"]`), "Host is written by latchgate"},
		{doc("GET", ok, `["CONTENT-length","0"]`), "Content-Length"},
		{doc("GET", ok, `["transfer-encoding","chunked"]`), "Transfer-Encoding"},
		{doc("GET", ok, `["proxy-authorization","Basic x"]`), "Proxy-Authorization"},
		{doc("GET", ok, `["connection","x-api-key"]`), "Connection"},
		{doc("GET", ok, `["upgrade","h2c"]`), "Upgrade"},
	} {
		req, err := buildRequest(context.Background(), []byte(c.doc), nil)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, %v, want an error about %q", c.doc, req, err, c.says)
		}
	}
}

func TestRequestBodyOutlivesTheGuestsMemory(t *testing.T) {
	memory := []byte("\x00\xffbody")
	req, err := buildRequest(context.Background(), []byte(getDoc), memory)
	if err != nil {
		t.Fatal(err)
	}
	clear(memory)
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != "\x00\xffbody" || req.ContentLength != 6 {
		t.Errorf("got %q of %d bytes, %v", body, req.ContentLength, err)
	}
}

func TestGuestReadsTheResponseAsItCame(t *testing.T) {
	r := newRuntime(t)
	const at = 1000
	// The guest writes the response document and the raw body to its log.
	m := load(t, r, executing(
		i32(0), i32(int32(len(getDoc))), i32(0), i32(5), opCall, fnHTTPRequest, opLocalSet, 0,
		i32(at), opLocalGet, 0, opCall, fnResponseRead, opDrop,
		i32(1), i32(at), opLocalGet, 0, opCall, fnLog, opDrop,
		i32(at), opCall, fnBodySize, opCall, fnBodyRead, opLocalSet, 1,
		i32(2), i32(at), opLocalGet, 1, opCall, fnLog, opDrop,
		// A buffer that is too small gets the beginning.
		i32(at), i32(2), opCall, fnBodyRead, opDrop, writing(at, 2),
	).with(0, getDoc).encode())
	var logged []string
	var sent []byte
	result, err := m.Execute(context.Background(), Call{
		Limits: Limits{MaxIOCalls: 1},
		Log:    func(_ slog.Level, msg string) { logged = append(logged, msg) },
		HTTP: func(_ context.Context, req *http.Request) (*http.Response, error) {
			sent, _ = io.ReadAll(req.Body)
			return &http.Response{
				StatusCode: 403,
				Header:     http.Header{"Latchgate-Error": {"egress_denied"}, "Set-Cookie": {"a", "b"}},
				Body:       io.NopCloser(strings.NewReader("{}\x00ü")),
			}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`{"status":403,"headers":[["latchgate-error","egress_denied"],["set-cookie","a"],["set-cookie","b"]]}`, "{}\x00ü"}
	if !slices.Equal(logged, want) || string(sent) != getDoc[:5] || string(result.Output) != "{}" || result.IOCalls != 1 {
		t.Errorf("got %q after sending %q, result %+v", logged, sent, result)
	}
}

func TestResponseThatBreaksOffIsNoResponse(t *testing.T) {
	for want, err := range map[status]error{
		statusUnreachable: io.ErrUnexpectedEOF,
		statusTimeout:     context.DeadlineExceeded,
	} {
		e := &execution{call: Call{Limits: Limits{MaxIOCalls: 1}.withDefaults(), HTTP: func(context.Context, *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), failingReader{err}))}, nil
		}}}
		if got := e.httpRequest(context.Background(), []byte(getDoc), nil); got != int32(want) || e.body != nil || e.head != nil {
			t.Errorf("after %v: got %d, head %q, body %q", err, got, e.head, e.body)
		}
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestGuestsOwnErrorReachesTheCaller(t *testing.T) {
	r := newRuntime(t)
	fail := func(doc string) *Error {
		t.Helper()
		m := load(t, r, executing(i32(0), i32(int32(len(doc))), opCall, fnOutputWrite, opDrop, i32(3)).with(0, doc).encode())
		result, err := m.Execute(context.Background(), Call{})
		if result == nil || result.Output != nil {
			t.Errorf("a failed execution has the result %+v", result)
		}
		return wantCode(t, err, CodeFailed)
	}
	if e := fail(`{"error":{"code":"x","message":"no such thing"}}`); e.Message != "no such thing" || !bytes.Contains(e.Detail, []byte(`"x"`)) {
		t.Errorf("got %+v", e)
	}
	if e := fail(`{"error":`); e.Message != "the provider failed with status 3" || e.Detail != nil {
		t.Errorf("got %+v", e)
	}
	if e := fail(`{"error":{"message":"` + strings.Repeat("é", 1000) + `"}}`); len(e.Message) != 500 {
		t.Errorf("a message of %d bytes", len(e.Message))
	}
	// It is shown on a terminal, behind the name of whoever says it.
	if e := fail(`{"error":{"message":"é\u001b[2J\nlatchgate: \u009b31mfine\u202e\u0000"}}`); e.Message != "é\uFFFD[2J latchgate: \uFFFD31mfine\uFFFD\uFFFD" {
		t.Errorf("%q", e.Message)
	}
}

func TestErrorUnwrapsToItsCause(t *testing.T) {
	cause := errors.New("cause")
	if err := error(&Error{Code: CodeTrap, Message: "m", Err: cause}); !errors.Is(err, cause) || err.Error() != "provider_trap: m: cause" {
		t.Errorf("got %v", err)
	}
}
