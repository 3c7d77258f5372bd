package scrub

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// ErrUnscannable is wrapped by the errors of [Decoder] and of its readers when
// a body can't be looked into: an encoding that is not known, or data that is
// not in the encoding that it claims.
var ErrUnscannable = errors.New("content can't be scanned for secrets")

const (
	maxCodings = 4        // in one Content-Encoding; more is an attempt on our memory
	maxWindow  = 8 << 20  // bytes of zstd history; the limit of RFC 9659
	readAhead  = 16 << 10 // bytes of compressed data, one TLS record
)

// ScrubbableType reports whether a body of this Content-Type can hold text.
// Only images, video, audio and fonts can't; a type that is written so that two
// programs may read it differently can, and so can the text formats that are
// filed under image and audio (SVG and other XML, playlists).
func ScrubbableType(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	kind, subtype, ok := strings.Cut(strings.ToLower(strings.TrimSpace(mediaType)), "/")
	if !ok || strings.ContainsAny(contentType, ",\r\n") {
		return true
	}
	switch kind {
	case "image", "video", "audio", "font":
	default:
		return true
	}
	for _, text := range [...]string{"xml", "svg", "mpegurl", "scpls", "json", "text", "vrml", "postscript"} {
		if strings.Contains(subtype, text) {
			return true
		}
	}
	return false
}

// Decoder returns a reader of what r holds under a Content-Encoding (RFC 9110
// §8.4): gzip, x-gzip, deflate in both readings, br, zstd, identity, or a list
// of these in the order in which they were applied. Any other encoding is an
// error that wraps [ErrUnscannable], and so is, from the reader, data that does
// not decode. Errors of r are returned as they are.
//
// Nothing is read from r before the first Read, and an r without a byte reads
// as an empty body. Decoding streams: what a sender flushed comes out, and a
// small body that unpacks to a huge one costs no memory beyond the encoding's
// window. Close ends the reading and leaves r open; it need not be called.
func Decoder(encoding string, r io.Reader) (io.ReadCloser, error) {
	var codings []string
	for coding := range strings.SplitSeq(encoding, ",") {
		switch coding = strings.ToLower(strings.Trim(coding, " \t")); coding {
		case "", "identity":
		case "x-gzip":
			codings = append(codings, "gzip")
		case "gzip", "deflate", "br", "zstd":
			codings = append(codings, coding)
		default:
			return nil, fmt.Errorf("unknown content encoding: %w", ErrUnscannable)
		}
	}
	if len(codings) > maxCodings {
		return nil, fmt.Errorf("%d content encodings: %w", len(codings), ErrUnscannable)
	}
	decoded := io.NopCloser(r)
	for _, coding := range slices.Backward(codings) {
		decoded = &decoder{coding: coding, src: source{Reader: decoded}}
	}
	return decoded, nil
}

// decoder undoes one coding.
type decoder struct {
	coding string
	src    source
	engine *engine // nil before the first byte and after the last
	err    error
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (n int, err error) {
	if d.err == nil && d.engine == nil {
		d.err = d.start()
	}
	if d.err != nil {
		return 0, d.err
	}
	if n, err = d.engine.Read(p); err != nil {
		d.err = d.explain(err)
	}
	if err == io.EOF {
		// Only what came to its end, and here, where nobody else reads, is
		// used again; a body that was given up may still be in somebody's Read.
		engines[d.coding].Put(d.engine)
		d.engine = nil
	}
	return n, d.err
}

// start waits for the first byte, since an engine reads a header at once.
func (d *decoder) start() error {
	e := engines[d.coding].Get().(*engine)
	e.buffered.Reset(&d.src)
	if head, err := e.buffered.Peek(1); len(head) == 0 {
		return err
	}
	if err := e.Reset(e.buffered); err != nil {
		return d.explain(err)
	}
	d.engine = e
	return nil
}

// explain tells an error of the data from one of the connection.
func (d *decoder) explain(err error) error {
	switch {
	case err == io.EOF:
		return err
	case d.src.err != nil && d.src.err != io.EOF:
		return d.src.err
	}
	return fmt.Errorf("body is not %s: %w", d.coding, ErrUnscannable)
}

// Close implements io.Closer.
func (d *decoder) Close() error {
	if d.err == nil {
		d.err = errors.New("read after close")
	}
	return nil
}

// source remembers the error that ended it.
type source struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// engine is what does the decoding. Its tables and buffers are tens of
// kilobytes, more than most bodies, so engines are used again.
type engine struct {
	resetter
	buffered *bufio.Reader
}

type resetter interface {
	io.Reader
	Reset(io.Reader) error
}

var engines = map[string]*sync.Pool{
	"gzip":    engineOf(func() resetter { return new(gzip.Reader) }),
	"deflate": engineOf(func() resetter { return new(inflater) }),
	"br":      engineOf(func() resetter { return new(brotli.Reader) }),
	"zstd": engineOf(func() resetter {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			panic(err) // an option of ours is out of range
		}
		return z
	}),
}

func engineOf(kind func() resetter) *sync.Pool {
	return &sync.Pool{New: func() any { return &engine{kind(), bufio.NewReaderSize(nil, readAhead)} }}
}

// inflater decodes "deflate", which RFC 9110 §8.4.1.2 means to be zlib, while
// some servers send the bare stream.
type inflater struct {
	io.Reader
}

// Reset implements resetter. r is a *bufio.Reader.
func (f *inflater) Reset(r io.Reader) (err error) {
	head, _ := r.(*bufio.Reader).Peek(2)
	if len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		f.Reader, err = zlib.NewReader(r)
		return err
	}
	f.Reader = flate.NewReader(r)
	return nil
}
