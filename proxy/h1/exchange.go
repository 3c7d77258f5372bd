package h1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody is the largest request body that is written before the answer is
// looked for.
const maxBody = 64 << 10

// maxHead bounds an answer's head.
const maxHead = 1 << 20

var errLongAnswer = errors.New("the answer's head is too large")

// Takes reports whether [Client.RoundTrip] can send r: its URL is absolute with
// an opaque path, its fields are well-formed, it has no body or a small one that
// is all there (GetBody says so), and it asks for nothing but an answer.
func (c *Client) Takes(r *http.Request) bool {
	if r.ContentLength < 0 || r.ContentLength > maxBody || r.ContentLength > 0 && r.GetBody == nil ||
		r.ContentLength == 0 && r.Body != nil && r.Body != http.NoBody || len(r.Trailer) > 0 || len(r.TransferEncoding) > 0 {
		return false
	}
	if !strings.HasPrefix(r.URL.Opaque, "/") || strings.HasPrefix(r.URL.Opaque, "//") || !isTarget(r.URL.Opaque) || !isTarget(r.URL.RawQuery) ||
		!isToken(r.Method) || r.Method == http.MethodConnect || r.Host == "" || !isTarget(r.Host) {
		return false
	}
	for name, values := range r.Header {
		switch name {
		case "Upgrade", "Expect", "Transfer-Encoding", "Trailer":
			return false
		}
		if !isToken(name) {
			return false
		}
		for _, v := range values {
			if !isFieldValue(v) {
				return false
			}
		}
	}
	return true
}

// isTarget reports whether s can stand in a request line.
func isTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// RoundTrip sends a request that [Client.Takes] and returns the answer, as
// http.RoundTripper has it. URL.Host is where it goes, always with a port. It
// ends when r's context does. A request that failed on a connection that had
// been idle, before a byte of an answer came, is sent again if that is safe.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	o := origin{r.URL.Scheme, r.URL.Host}
	for {
		uc, reused, err := c.get(r.Context(), o)
		if err != nil {
			return nil, err
		}
		resp, answered, err := c.exchange(uc, r)
		if err == nil {
			return resp, nil
		}
		uc.close()
		if cause := context.Cause(r.Context()); cause != nil {
			return nil, cause
		}
		if !reused || answered || !repeatable(r) {
			return nil, err
		}
	}
}

// repeatable: RFC 9110 section 9.2.2, less the methods that change something.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return r.ContentLength == 0
	}
	return false
}

// Holder is a context that ends one thing at a time, for exchanges that follow
// each other: it costs nothing, where context.AfterFunc costs three allocations.
type Holder interface {
	context.Context
	// Hold makes interrupt be called, once, when the context ends before Release;
	// at once where it has ended.
	Hold(interrupt func())
	// Release reports whether interrupt was not called, and will not be.
	Release() bool
}

// hold ends what waits on uc when ctx ends, until [answer.release].
func (a *answer) hold(ctx context.Context, uc *conn) {
	if a.holder, _ = ctx.(Holder); a.holder != nil {
		a.holder.Hold(uc.interrupt)
		return
	}
	a.stop = context.AfterFunc(ctx, uc.interrupt)
}

func (a *answer) release() bool {
	if a.holder != nil {
		return a.holder.Release()
	}
	return a.stop()
}

// exchange writes r and reads the answer's head. answered says that something
// came back.
func (c *Client) exchange(uc *conn, r *http.Request) (resp *http.Response, answered bool, err error) {
	a := &answer{c: c, uc: uc}
	a.hold(r.Context(), uc)
	uc.getReader()
	uc.left = maxHead
	if err = writeRequest(uc, r); err == nil {
		_, err = uc.br.Peek(1)
		answered = err == nil
	}
	if err == nil {
		err = a.readHead(r)
	}
	if err != nil {
		a.release()
		return nil, answered, err
	}
	uc.left = -1
	resp = a.resp
	a.reuse = !resp.Close && resp.StatusCode >= 200
	if resp.Body == http.NoBody || resp.StatusCode < 200 {
		a.finish(true)
		resp.Body = http.NoBody
		return resp, true, nil
	}
	if resp.Body != a {
		a.src = resp.Body
		resp.Body = a
	}
	return resp, true, nil
}

const writerSize = 16 << 10

var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, writerSize) }}

func writeRequest(uc *conn, r *http.Request) error {
	bw := writers.Get().(*bufio.Writer)
	uc.sent = 0
	bw.Reset(uc)
	defer func() {
		// The next to use the buffer has nothing to do with this secret.
		used := bw.Buffered() + uc.sent
		bw.Reset(nil)
		clear(bw.AvailableBuffer()[:min(used, writerSize)])
		writers.Put(bw)
	}()
	_, _ = bw.WriteString(r.Method)
	_ = bw.WriteByte(' ')
	_, _ = bw.WriteString(r.URL.Opaque)
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		_ = bw.WriteByte('?')
		_, _ = bw.WriteString(r.URL.RawQuery)
	}
	_, _ = bw.WriteString(" HTTP/1.1\r\nHost: ")
	_, _ = bw.WriteString(r.Host)
	_, _ = bw.WriteString("\r\n")
	for name, values := range r.Header {
		if name == "Host" || name == "Content-Length" {
			continue
		}
		for _, v := range values {
			_, _ = bw.WriteString(name)
			_, _ = bw.WriteString(": ")
			_, _ = bw.WriteString(v)
			_, _ = bw.WriteString("\r\n")
		}
	}
	if r.ContentLength > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		_, _ = bw.WriteString("Content-Length: ")
		_, _ = bw.Write(strconv.AppendInt(bw.AvailableBuffer(), r.ContentLength, 10))
		_, _ = bw.WriteString("\r\n")
	}
	_, _ = bw.WriteString("\r\n")
	if r.ContentLength > 0 {
		defer func() { _ = r.Body.Close() }()
		if n, err := io.Copy(bw, io.LimitReader(r.Body, r.ContentLength)); err != nil {
			return err
		} else if n < r.ContentLength {
			return io.ErrUnexpectedEOF
		}
	}
	return bw.Flush()
}

// answer is what came back, with its body and what that needs, in one allocation.
// As a body it gives the connection back at its end, and closes it when it is
// closed before.
type answer struct {
	resp  *http.Response
	plain http.Response // resp, where this package parsed it
	c     *Client
	uc    *conn         // nil: given back
	src   io.ReadCloser // the body as net/http reads it; nil: left bytes of uc
	left  int64
	here  int // so many records of the body are known to have arrived
	reuse bool

	holder Holder
	stop   func() bool
}

// readHead reads the head of the answer, past informational ones.
func (a *answer) readHead(r *http.Request) error {
	for { // maxHead bounds them all
		if err := a.readOne(r); err != nil {
			return err
		}
		status := a.resp.StatusCode
		if status < 100 || status >= 200 || status == http.StatusSwitchingProtocols {
			return nil
		}
		if status == http.StatusContinue {
			continue // each hop asks for a body by itself
		}
		if i, ok := r.Context().(Informer); ok {
			i.Inform(status, a.resp.Header)
		} else if t := httptrace.ContextClientTrace(r.Context()); t != nil && t.Got1xxResponse != nil {
			if err := t.Got1xxResponse(status, textproto.MIMEHeader(a.resp.Header)); err != nil {
				return err
			}
		}
	}
}

// Informer is a context whose owner wants informational answers, as
// httptrace.ClientTrace.Got1xxResponse does. It is called by RoundTrip, on its
// goroutine.
type Informer interface {
	Inform(status int, h http.Header)
}

func (a *answer) readOne(r *http.Request) (err error) {
	br := a.uc.br
	if n, err := Head(br); err == nil {
		head, _ := br.Peek(n)
		if length, ok := parseResponse(&a.plain, head, r); ok {
			_, _ = br.Discard(n)
			a.resp = &a.plain
			if length > 0 {
				a.plain.Body, a.left = a, length
			}
			return nil
		}
	}
	a.resp, err = http.ReadResponse(br, r)
	return err
}

// parseResponse fills in resp from a head that says how long its body is; ok is
// false where net/http has to look at it. length is that of the body that
// follows.
func parseResponse(resp *http.Response, head []byte, r *http.Request) (length int64, ok bool) {
	text := string(head)
	line, block, found := strings.Cut(text[:len(text)-2], "\r\n")
	if !found || len(line) < len("HTTP/1.1 200") || line[:9] != "HTTP/1.1 " || len(line) > 12 && line[12] != ' ' {
		return 0, false
	}
	status, err := strconv.ParseUint(line[9:12], 10, 16)
	if err != nil || status < 200 || !isFieldValue(line) {
		return 0, false
	}
	h, ok := parseFields(block)
	if !ok || h["Transfer-Encoding"] != nil || h["Trailer"] != nil {
		return 0, false
	}
	n, ok := contentLength(h)
	bodiless := status == http.StatusNoContent || status == http.StatusNotModified
	if !ok || n < 0 && !bodiless && r.Method != http.MethodHead {
		return 0, false
	}
	fixPragma(h)
	*resp = http.Response{Status: line[9:], StatusCode: int(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: http.NoBody, ContentLength: n, Close: closes(h), Request: r}
	switch {
	case r.Method == http.MethodHead:
		return 0, true
	case bodiless:
		resp.ContentLength = 0
		return 0, true
	}
	return n, true
}

// Read gives io.EOF with the last bytes of a body of known length.
func (a *answer) Read(p []byte) (n int, err error) {
	switch {
	case a.uc == nil:
		return 0, io.EOF
	case a.src != nil:
		n, err = a.src.Read(p)
	default:
		fresh := a.uc.br.Buffered() == 0
		n, err = a.uc.br.Read(p[:min(int64(len(p)), a.left)])
		if fresh { // crypto/tls gives what is in one record, a plain socket as much as fits
			a.here -= 1 + n/RecordSize
		}
		if a.left -= int64(n); a.left == 0 {
			err = io.EOF
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		a.finish(err == io.EOF)
	}
	if err != nil && err != io.EOF {
		if cause := context.Cause(a.resp.Request.Context()); cause != nil {
			err = cause // rather than that of the deadline with which it ended the read
		}
	}
	return n, err
}

// Waiting satisfies [Waiter].
func (a *answer) Waiting() bool {
	if a.uc == nil || a.src != nil || a.left == 0 {
		return false
	}
	if a.uc.br.Buffered() > 0 || a.here > 0 {
		return true
	}
	if a.uc.socket != nil {
		a.here = a.uc.socket.arrived() / RecordSize
	}
	return a.here > 0
}

// RecordSize is the largest that a TLS record can be (RFC 8446 section 5.2): of
// so many bytes one is complete.
const RecordSize = 5 + 16<<10 + 256

// Close satisfies io.Closer.
func (a *answer) Close() error {
	a.finish(false)
	return nil
}

func (a *answer) finish(whole bool) {
	uc := a.uc
	if uc == nil {
		return
	}
	a.uc = nil
	if a.release() && whole && a.reuse {
		a.c.put(uc)
		return
	}
	uc.close()
}

// A deadline in the past, which ends what waits on a connection.
var past = time.Unix(1, 0)
