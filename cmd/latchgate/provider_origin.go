package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy"
)

// tryCase is one case of cases.json.
type tryCase struct {
	Name      string         `json:"name"`
	Args      map[string]any `json:"args"`
	Responses []tryResponse  `json:"responses"` // in this order; absent: each request is sent back
	// What has to come of it; what is absent is not looked at.
	Requests []tryRequest `json:"requests"`
	Result   any          `json:"result"`
	Error    string       `json:"error"` // a code; "": it must succeed
}

// tryResponse is an answer of the origin. A body that is not text is JSON.
type tryResponse struct {
	Status  int               `json:"status"` // 0: 200
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
}

// tryRequest is a request as it must arrive; an absent member is not looked at.
type tryRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
}

// sentRequest is a request as the origin got it, or as it was refused.
type sentRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body,omitempty"`
	Refused string            `json:"refused,omitempty"` // code with which the wire would refuse it
}

// tryOrigin answers a provider's requests as the wire and an upstream would.
type tryOrigin struct {
	manifest  *manifests.Manifest
	responses []tryResponse
	scripted  bool // there are responses, and no other answer
	sent      []sentRequest
}

var errNoResponse = errors.New("the case has no response for this request")

// answer is the provider's door.
func (o *tryOrigin) answer(_ context.Context, r *http.Request) (*http.Response, error) {
	sent := sentRequest{Method: r.Method, URL: r.URL.String(), Headers: map[string]string{}}
	for name, values := range r.Header {
		sent.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		sent.Body = string(body)
	}
	var hosts []string
	for _, h := range o.manifest.Egress.AllowedDomains {
		hosts = append(hosts, h.String())
	}
	_, denied := proxy.Admit(proxy.RunConfig{Grants: []proxy.Grant{proxy.NewGrant(o.manifest, nil, hosts)}}, r.Method, r.URL)
	if denied != nil {
		sent.Refused = string(denied.Code)
		o.sent = append(o.sent, sent)
		body := map[string]any{"error": map[string]any{"code": denied.Code, "message": denied.Message, "hint": denied.Hint}}
		status := http.StatusForbidden
		if denied.Code == proxy.BadRequest {
			status = http.StatusBadRequest
		}
		return tryResponse{status, map[string]string{"latchgate-error": sent.Refused}, body}.response()
	}
	o.sent = append(o.sent, sent)
	if !o.scripted {
		return tryResponse{Body: sent}.response()
	}
	if len(o.responses) == 0 {
		return nil, errNoResponse
	}
	next := o.responses[0]
	o.responses = o.responses[1:]
	return next.response()
}

func (r tryResponse) response() (*http.Response, error) {
	resp := &http.Response{StatusCode: r.Status, Header: http.Header{}}
	if r.Status == 0 {
		resp.StatusCode = http.StatusOK
	}
	text, isText := r.Body.(string)
	if !isText && r.Body != nil {
		raw, err := json.Marshal(r.Body)
		if err != nil {
			return nil, err
		}
		text = string(raw)
		resp.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.Headers {
		resp.Header.Set(name, value)
	}
	resp.Body = io.NopCloser(strings.NewReader(text))
	return resp, nil
}

// wrong lists in what an attempt is not what the case says.
func (c *tryCase) wrong(at *attempt) (what []string) {
	switch {
	case c.Error == "" && at.Code != "":
		what = append(what, fmt.Sprintf("it failed with %s: %s", at.Code, at.Message))
	case c.Error != at.Code:
		what = append(what, fmt.Sprintf("the error is %q, want %q", at.Code, c.Error))
	}
	if c.Result != nil && at.Code == "" && !sameJSON(at.Result, c.Result) {
		want, _ := json.Marshal(c.Result)
		what = append(what, fmt.Sprintf("the result is %s, want %s", at.Result, want))
	}
	if c.Requests == nil {
		return what
	}
	var arrived []sentRequest
	for _, r := range at.Requests {
		if r.Refused == "" {
			arrived = append(arrived, r)
		}
	}
	if len(arrived) != len(c.Requests) {
		return append(what, fmt.Sprintf("%d requests arrived, want %d", len(arrived), len(c.Requests)))
	}
	for i := range arrived {
		what = append(what, c.Requests[i].wrong(i+1, &arrived[i])...)
	}
	return what
}

func (want *tryRequest) wrong(n int, got *sentRequest) (what []string) {
	differ := func(part, is, should string) {
		if should != "" && is != should {
			what = append(what, fmt.Sprintf("request %d: the %s is %q, want %q", n, part, is, should))
		}
	}
	differ("method", got.Method, want.Method)
	differ("URL", got.URL, want.URL)
	for name, value := range want.Headers {
		differ("header "+name, got.Headers[strings.ToLower(name)], value)
	}
	if text, ok := want.Body.(string); ok {
		differ("body", got.Body, text)
	} else if want.Body != nil && !sameJSON([]byte(got.Body), want.Body) {
		should, _ := json.Marshal(want.Body)
		what = append(what, fmt.Sprintf("request %d: the body is %s, want %s", n, got.Body, should))
	}
	return what
}

// sameJSON compares a document with a value that was decoded with numbers as
// they are written.
func sameJSON(doc []byte, want any) bool {
	var got any
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	return d.Decode(&got) == nil && reflect.DeepEqual(got, want)
}

// print tells what the provider sent and logged.
func (at *attempt) print(w io.Writer, indent string) {
	for _, r := range at.Requests {
		line := r.Method + " " + r.URL
		if r.Refused != "" {
			line += "  refused: " + r.Refused
		}
		fmt.Fprintf(w, "%ssent %s\n", indent, tui.Clean(line))
	}
	for _, msg := range at.Log {
		fmt.Fprintf(w, "%slog  %s\n", indent, tui.Clean(msg))
	}
}
