package scrub

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

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
// window. Close frees the decoder and leaves r open.
func Decoder(encoding string, r io.Reader) (io.ReadCloser, error) {
	var codings []string
	for coding := range strings.SplitSeq(encoding, ",") {
		switch coding = strings.ToLower(strings.Trim(coding, " \t")); coding {
		case "", "identity":
		case "gzip", "x-gzip", "deflate", "br", "zstd":
			codings = append(codings, coding)
		default:
			return nil, fmt.Errorf("unknown content encoding: %w", ErrUnscannable)
		}
	}
	if len(codings) > maxCodings {
		return nil, fmt.Errorf("%d content encodings: %w", len(codings), ErrUnscannable)
	}
	decoded := io.NopCloser(r)
	for i := len(codings) - 1; i >= 0; i-- {
		decoded = &decoder{coding: codings[i], src: &source{Reader: decoded}, under: decoded}
	}
	return decoded, nil
}

// decoder undoes one coding. It waits for the first byte, since decoders read a
// header when they are made.
type decoder struct {
	coding string
	src    *source
	under  io.Closer
	open   io.ReadCloser
	err    error
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (n int, err error) {
	if d.err == nil && d.open == nil {
		d.err = d.start()
	}
	if d.err != nil {
		return 0, d.err
	}
	if n, err = d.open.Read(p); err != nil {
		d.err = d.explain(err)
	}
	return n, d.err
}

// start makes the decoder once there is something to decode.
func (d *decoder) start() error {
	buffered := bufio.NewReaderSize(d.src, readAhead)
	head, err := buffered.Peek(1)
	if len(head) == 0 {
		return err
	}
	if d.coding == "deflate" {
		head, _ = buffered.Peek(2)
	}
	if d.open, err = newDecoder(d.coding, head, buffered); err != nil {
		return d.explain(err)
	}
	return nil
}

func newDecoder(coding string, head []byte, r *bufio.Reader) (io.ReadCloser, error) {
	switch coding {
	case "br":
		return io.NopCloser(brotli.NewReader(r)), nil
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case "deflate":
		// RFC 9110 §8.4.1.2 means zlib; some servers send the bare stream.
		if len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
			return zlib.NewReader(r)
		}
		return flate.NewReader(r), nil
	default:
		return gzip.NewReader(r)
	}
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
		d.err = errors.New("decoder is closed")
	}
	if d.open != nil {
		_ = d.open.Close()
		d.open = nil
	}
	return d.under.Close()
}

// source remembers the error that ended it.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}
