package scrub

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

type flusher interface {
	io.WriteCloser
	Flush() error
}

// encoders make the encodings with other code than what decodes them, where
// there is other code.
var encoders = map[string]func(w io.Writer) flusher{
	"gzip":    func(w io.Writer) flusher { return gzip.NewWriter(w) },
	"x-gzip":  func(w io.Writer) flusher { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) flusher { return zlib.NewWriter(w) },
	"raw": func(w io.Writer) flusher {
		f, err := flate.NewWriter(w, -1)
		if err != nil {
			panic(err)
		}
		return f
	},
	"br": func(w io.Writer) flusher { return brotli.NewWriter(w) },
	"zstd": func(w io.Writer) flusher {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err)
		}
		return z
	},
}

func coding(name string) string {
	if name == "raw" {
		return "deflate"
	}
	return name
}

func encoded(t *testing.T, name string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := encoders[name](&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSecretInAnEncodedBodyIsReplaced(t *testing.T) {
	s := Compile(values("ghp_abcDEF0123456789xyz"))
	body := bytes.Repeat([]byte("a text with ghp_abcDEF0123456789xyz in it, "), 3000)
	want := string(s.Bytes(body, nil))
	for name := range encoders {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with EOF": iotest.DataErrReader,
		} {
			decoded, err := Decoder(strings.ToUpper(coding(name)), wrap(bytes.NewReader(encoded(t, name, body))))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(s.Reader(decoded, nil))
			if err != nil || string(got) != want {
				t.Errorf("%s, %s: %d bytes, %v", name, how, len(got), err)
			}
			if err := decoded.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestEncodingsAreUndoneInOrder(t *testing.T) {
	body := []byte(strings.Repeat("hello ", 100))
	twice := encoded(t, "br", encoded(t, "gzip", body))
	for _, encoding := range []string{"gzip, br", "GZIP,\tbr", "identity, gzip, , br"} {
		decoded, err := Decoder(encoding, bytes.NewReader(twice))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(decoded); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes, %v", encoding, len(got), err)
		}
	}
	for _, encoding := range []string{"", "identity", " Identity "} {
		decoded, err := Decoder(encoding, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(decoded); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%q: %d bytes, %v", encoding, len(got), err)
		}
	}
}

func TestEncodingThatIsNotKnownIsUnscannable(t *testing.T) {
	for _, encoding := range []string{"compress", "dcb", "dcz", "aws-chunked", "gzip, foo", "gzip;q=1", "gzip br", "br, br, br, br, br"} {
		if r, err := Decoder(encoding, strings.NewReader("")); !errors.Is(err, ErrUnscannable) || r != nil {
			t.Errorf("%s: %v", encoding, err)
		}
	}
}

func TestDataThatIsNotInItsEncodingIsUnscannable(t *testing.T) {
	for name := range encoders {
		whole := encoded(t, name, []byte(strings.Repeat("hello world ", 50)))
		for what, data := range map[string][]byte{"plain text": []byte("<html>not encoded at all</html>"), "cut short": whole[:len(whole)/2]} {
			decoded, err := Decoder(coding(name), bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = io.ReadAll(decoded); !errors.Is(err, ErrUnscannable) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if _, again := decoded.Read(make([]byte, 1)); again == nil {
				t.Errorf("%s, %s: goes on after an error", name, what)
			}
			_ = decoded.Close()
		}
	}
}

func TestErrorOfTheConnectionIsNotOneOfTheEncoding(t *testing.T) {
	reset := errors.New("connection reset")
	for name := range encoders {
		data := encoded(t, name, []byte(strings.Repeat("hello world ", 50)))
		for _, n := range []int{0, 1, 5, len(data) / 2} {
			decoded, err := Decoder(coding(name), io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(reset)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = io.ReadAll(decoded); !errors.Is(err, reset) || errors.Is(err, ErrUnscannable) {
				t.Errorf("%s after %d bytes: %v", name, n, err)
			}
			_ = decoded.Close()
		}
	}
}

func TestEmptyBodyIsEmptyInEveryEncoding(t *testing.T) {
	for name := range encoders {
		decoded, err := Decoder(coding(name), strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(decoded); err != nil || len(got) != 0 {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

func TestWhatTheSenderFlushedComesOutAtOnce(t *testing.T) {
	for name := range encoders {
		t.Run(name, func(t *testing.T) {
			src, dst := io.Pipe()
			decoded, err := Decoder(coding(name), src)
			if err != nil {
				t.Fatal(err)
			}
			next := make(chan struct{})
			done := make(chan error, 1)
			go func() {
				w := encoders[name](dst)
				for range next {
					_, err := w.Write([]byte("data: an event\n\n"))
					done <- errors.Join(err, w.Flush())
				}
				done <- errors.Join(w.Close(), dst.Close())
			}()
			body := Compile(values("ghp_abcDEF0123456789xyz")).Reader(decoded, nil)
			for range 3 {
				next <- struct{}{}
				event := make([]byte, len("data: an event\n\n"))
				if _, err := io.ReadFull(body, event); err != nil || string(event) != "data: an event\n\n" {
					t.Fatalf("%q %v", event, err)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			close(next)
			if rest, err := io.ReadAll(body); err != nil || len(rest) != 0 {
				t.Errorf("%q %v", rest, err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := decoded.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBombIsDecodedWithoutBeingHeld(t *testing.T) {
	const size = 64 << 20
	for _, name := range []string{"gzip", "br", "zstd", "deflate"} {
		var packed bytes.Buffer
		w := encoders[name](&packed)
		zeros := make([]byte, 1<<20)
		for range size / len(zeros) {
			if _, err := w.Write(zeros); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		decoded, err := Decoder(name, &packed)
		if err != nil {
			t.Fatal(err)
		}
		res := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			if n, err := io.Copy(io.Discard, decoded); b.N == 1 && (err != nil || n != size) {
				b.Errorf("%s: %d bytes, %v", name, n, err)
			}
		})
		if res.MemBytes > 32<<20 {
			t.Errorf("%s: %d bytes allocated for %d", name, res.MemBytes, size)
		}
		_ = decoded.Close()
	}
}

func TestHugeWindowIsRefused(t *testing.T) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(make([]byte, 65<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	decoded, err := Decoder("zstd", &b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, decoded); !errors.Is(err, ErrUnscannable) {
		t.Errorf("%v", err)
	}
}

func TestOnlyTypesThatCannotHoldTextPass(t *testing.T) {
	for contentType, scrubbed := range map[string]bool{
		"image/png": false, "IMAGE/JPEG": false, "video/mp4; codecs=\"avc1\"": false, "audio/ogg": false, "font/woff2": false, " image/webp ": false,
		"": true, "text/plain": true, "application/json": true, "application/octet-stream": true, "text/event-stream": true,
		"application/grpc": true, "multipart/mixed; boundary=x": true, "image": true, "images/png": true, "imageX/png": true,
		"image/svg+xml": true, "image/svg": true, "IMAGE/SVG+XML; charset=utf-8": true, "audio/x-mpegurl": true, "audio/mpegurl": true, "image/png, text/html": true,
		"text/html, image/png": true, "image/x-xml": true, "model/vrml": true, "application/font-woff": true, "; image/png": true,
	} {
		if got := ScrubbableType(contentType); got != scrubbed {
			t.Errorf("%q: %t", contentType, got)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	body := benchBodies(benchSecrets(1))["json"][:8<<10]
	for name, encoder := range encoders {
		var packed bytes.Buffer
		w := encoder(&packed)
		_, _ = w.Write(body)
		_ = w.Close()
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				decoded, err := Decoder(coding(name), bytes.NewReader(packed.Bytes()))
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, decoded); err != nil || n != int64(len(body)) {
					b.Fatal(n, err)
				}
				_ = decoded.Close()
			}
		})
	}
}
