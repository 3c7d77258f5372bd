package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// requestDoc is the document a guest hands to http_request.
type requestDoc struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
}

// errTooManyCalls ends an execution at its first request over the budget.
var errTooManyCalls = &Error{Code: CodeTooManyCalls, Message: "the provider made more HTTP requests than max_io_calls allows"}

// httpRequest sends one request through the caller's door and keeps the answer
// for response_read and body_read. It returns the size of the response
// document, or a status.
func (e *execution) httpRequest(ctx context.Context, head, body []byte) int32 {
	e.head, e.body = nil, nil
	if e.calls >= e.call.Limits.MaxIOCalls {
		panic(errTooManyCalls) // unwinds the guest; the budget is not the guest's to handle
	}
	e.calls++
	if e.call.HTTP == nil {
		return int32(statusDenied)
	}
	req, err := buildRequest(ctx, head, body)
	if err != nil {
		e.log(slog.LevelWarn, "http_request: "+err.Error())
		return int32(statusMalformed)
	}
	resp, err := e.call.HTTP(ctx, req)
	if err != nil {
		return int32(failure(err))
	}
	defer resp.Body.Close()
	limit := e.call.Limits.MaxHostResponseBytes
	read, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return int32(failure(err))
	case int64(len(read)) > limit:
		return int32(statusTooLarge)
	}
	e.head, e.body = describe(resp), read
	return int32(len(e.head))
}

// failure is the status of a request that had no answer. The error itself may
// name addresses and is not the guest's business; the door records it.
func failure(err error) status {
	var ne net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() {
		return statusTimeout
	}
	return statusUnreachable
}

// hostHeaders are those that the wire writes: a guest that sets one is refused,
// so that it cannot make a request read differently than it was checked.
var hostHeaders = []string{"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// buildRequest reads a request document. body is copied: a transport may read it
// after the guest has moved on. Errors name no value of the document.
func buildRequest(ctx context.Context, head, body []byte) (*http.Request, error) {
	doc, plain := readPlain(string(head))
	if !plain {
		d := json.NewDecoder(bytes.NewReader(head))
		d.DisallowUnknownFields()
		if err := d.Decode(&doc); err != nil || len(bytes.TrimSpace(head[d.InputOffset():])) > 0 {
			return nil, errors.New("the request document is not {method, url, headers: [[name, value], …]}")
		}
	}
	method := strings.ToUpper(doc.Method)
	if !httpguts.ValidHeaderFieldName(method) || method == http.MethodConnect || method == http.MethodTrace {
		return nil, errors.New("the method is not one that can be sent")
	}
	var payload io.Reader
	if len(body) > 0 {
		payload = bytes.NewReader(slices.Clone(body))
	}
	req, err := http.NewRequestWithContext(ctx, doc.Method, doc.URL, payload)
	if err != nil || req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "" || req.URL.User != nil || strings.Contains(doc.URL, "#") {
		return nil, errors.New("the URL must be absolute, http or https, without user information and fragment")
	}
	for _, h := range doc.Headers {
		name := http.CanonicalHeaderKey(h[0])
		switch {
		case !httpguts.ValidHeaderFieldName(h[0]):
			return nil, errors.New("a header's name is not a token")
		case slices.Contains(hostHeaders, name) || strings.HasPrefix(name, "Proxy-"):
			return nil, fmt.Errorf("the header %s is written by latchgate", name)
		case !httpguts.ValidHeaderFieldValue(h[1]):
			return nil, fmt.Errorf("the value of header %s has a control character", name)
		}
		req.Header.Add(name, h[1])
	}
	return req, nil
}
