package h1

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// BodyError says that an answer's body broke off: what was written of it must
// not look whole, so the connection it was written to has to be closed.
type BodyError struct{ Err error }

// Error implements error.
func (e *BodyError) Error() string { return "read the answer's body: " + e.Err.Error() }

// Unwrap gives the body's error.
func (e *BodyError) Unwrap() error { return e.Err }

// WriteResponse writes resp as the answer to a request of that method. With a
// known length, head and body go out together; a body of unknown length goes out
// chunked, the head at once and each piece when it was read. close adds
// "Connection: close". The end stays in bw: the caller closes the body, which is
// left open, and flushes. w is what bw writes to.
//
// Errors are the connection's, or a *[BodyError].
func WriteResponse(bw *bufio.Writer, w io.Writer, resp *http.Response, method string, close bool) error {
	bodiless := method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
	chunked := !bodiless && resp.ContentLength < 0
	writeHead(bw, resp, bodiless, chunked, close)
	switch {
	case bodiless:
		return drainTrailer(resp)
	case chunked:
		if err := bw.Flush(); err != nil {
			return err
		}
		return writeChunks(bw, w, resp)
	}
	if resp.ContentLength > int64(bw.Available()) {
		return writeLarge(bw, w, resp.Body, resp.ContentLength)
	}
	return writeLength(bw, resp.Body, resp.ContentLength)
}

// WriteInformational writes an answer of status 1xx, without flushing it.
func WriteInformational(bw *bufio.Writer, status int, h http.Header) {
	writeStatus(bw, status)
	for name, values := range h {
		switch name {
		case "Content-Length", "Connection", "Transfer-Encoding", "Trailer", "Keep-Alive":
			continue
		}
		writeField(bw, name, values)
	}
	_, _ = bw.WriteString("\r\n")
}

func writeStatus(bw *bufio.Writer, status int) {
	_, _ = bw.WriteString("HTTP/1.1 ")
	_, _ = bw.Write(strconv.AppendInt(bw.AvailableBuffer(), int64(status), 10))
	_ = bw.WriteByte(' ')
	if reason := http.StatusText(status); reason != "" {
		_, _ = bw.WriteString(reason)
	} else {
		_, _ = bw.WriteString("Unknown")
	}
	_, _ = bw.WriteString("\r\n")
}

func writeHead(bw *bufio.Writer, resp *http.Response, bodiless, chunked, close bool) {
	writeStatus(bw, resp.StatusCode)
	for name, values := range resp.Header {
		switch name {
		case "Content-Length", "Connection", "Transfer-Encoding", "Trailer", "Keep-Alive":
			continue
		}
		writeField(bw, name, values)
	}
	if resp.Header["Date"] == nil { // RFC 9110 section 6.6.1
		_, _ = bw.WriteString("Date: ")
		_, _ = bw.Write(time.Now().UTC().AppendFormat(bw.AvailableBuffer(), http.TimeFormat))
		_, _ = bw.WriteString("\r\n")
	}
	switch {
	case chunked:
		_, _ = bw.WriteString("Transfer-Encoding: chunked\r\n")
		for name := range resp.Trailer {
			if httpguts.ValidTrailerHeader(name) {
				writeField(bw, "Trailer", []string{name})
			}
		}
	case !bodiless:
		_, _ = bw.WriteString("Content-Length: ")
		_, _ = bw.Write(strconv.AppendInt(bw.AvailableBuffer(), resp.ContentLength, 10))
		_, _ = bw.WriteString("\r\n")
	case resp.StatusCode != http.StatusNoContent:
		writeField(bw, "Content-Length", resp.Header["Content-Length"]) // of the body that a GET would get
	}
	if close {
		_, _ = bw.WriteString("Connection: close\r\n")
	}
	_, _ = bw.WriteString("\r\n")
}

// writeField writes one line for each value. An HTTP/2 upstream, or a lenient
// reading of an HTTP/1.1 one, may give what no line can hold.
func writeField(bw *bufio.Writer, name string, values []string) {
	if !isToken(name) {
		return
	}
	for _, v := range values {
		if !isFieldValue(v) {
			v = blank(v)
		}
		_, _ = bw.WriteString(name)
		_, _ = bw.WriteString(": ")
		_, _ = bw.WriteString(v)
		_, _ = bw.WriteString("\r\n")
	}
}

// blank puts a space in the place of each control character.
func blank(v string) string {
	b := []byte(v)
	for i, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}

// drainTrailer reads the end of an answer without a body, behind which an
// HTTP/2 upstream may still send a trailer.
func drainTrailer(resp *http.Response) error {
	if len(resp.Trailer) == 0 {
		return nil
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return &BodyError{err}
	}
	return nil
}

// writeLength copies a body for which there is room straight into the writer's buffer.
func writeLength(bw *bufio.Writer, body io.Reader, left int64) error {
	for left > 0 {
		space := bw.AvailableBuffer()[:left]
		n, err := body.Read(space)
		_, _ = bw.Write(space[:n])
		left -= int64(n)
		if err != nil && left > 0 {
			return cut(err)
		}
	}
	return nil
}

// writeLarge sends a body of known length as it comes.
func writeLarge(bw *bufio.Writer, w io.Writer, body io.Reader, left int64) error {
	if err := bw.Flush(); err != nil {
		return err
	}
	buf := chunks.Get().(*[chunkSpace]byte)
	defer chunks.Put(buf)
	for left > 0 {
		n, err := readChunk(buf[:min(chunkSpace, left)], body)
		if n > 0 {
			if _, e := w.Write(buf[:n]); e != nil {
				return e
			}
		}
		left -= int64(n)
		if err != nil && left > 0 {
			return cut(err)
		}
	}
	return nil
}

// cut is the error of a body that ended too early.
func cut(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &BodyError{err}
}

// A chunk with its frame fills at most so many whole TLS records. One more byte
// would make another record, another write, and another read at the client.
const (
	chunkSpace = 4 * 16 << 10
	chunkFront = 6 // "fff6\r\n"
	chunkSize  = chunkSpace - chunkFront - 2
)

var chunks = sync.Pool{New: func() any { return new([chunkSpace]byte) }}

// Waiter is a body that knows when the next Read will not wait. What was read of
// it goes out with what that Read gives.
type Waiter interface{ Waiting() bool }

func writeChunks(bw *bufio.Writer, w io.Writer, resp *http.Response) error {
	buf := chunks.Get().(*[chunkSpace]byte)
	defer chunks.Put(buf)
	for {
		n, err := readChunk(buf[chunkFront:chunkFront+chunkSize], resp.Body)
		if n > 0 {
			if e := writeChunk(bw, w, buf, n); e != nil {
				return e
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return &BodyError{err}
		}
	}
	_, _ = bw.WriteString("0\r\n")
	for name, values := range resp.Trailer {
		if httpguts.ValidTrailerHeader(name) {
			writeField(bw, name, values)
		}
	}
	_, _ = bw.WriteString("\r\n")
	return nil
}

// readChunk reads once, and again as long as that does not wait.
func readChunk(p []byte, body io.Reader) (n int, err error) {
	if n, err = body.Read(p); err != nil {
		return n, err
	}
	w, ok := body.(Waiter)
	for ok && n < len(p) && w.Waiting() {
		var k int
		k, err = body.Read(p[n:])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// writeChunk frames the n bytes of data in buf and sends them.
func writeChunk(bw *bufio.Writer, w io.Writer, buf *[chunkSpace]byte, n int) error {
	var digits [8]byte
	size := strconv.AppendInt(digits[:0], int64(n), 16)
	from := chunkFront - 2 - len(size)
	copy(buf[from:], size)
	copy(buf[chunkFront-2:], "\r\n")
	copy(buf[chunkFront+n:], "\r\n")
	frame := buf[from : chunkFront+n+2]
	if len(frame) <= bw.Available() {
		_, _ = bw.Write(frame)
		return bw.Flush()
	}
	if err := bw.Flush(); err != nil {
		return err
	}
	_, err := w.Write(frame)
	return err
}
