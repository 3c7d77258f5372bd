package scrub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func message(flag byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(body)))) + body
}

// A peer waits for a whole message before it says anything.
func TestTheEndOfAMessageIsNotHeldBack(t *testing.T) {
	s := Compile([]Named{{"A", []byte("ghp_0123456789abcdef")}})
	for _, grpc := range []bool{true, false} {
		contentType := "application/octet-stream"
		if grpc {
			contentType = "application/grpc+proto"
		}
		pr, pw := io.Pipe()
		r := s.Reader(Messages(contentType, pr, false), nil)
		for _, text := range []string{"g", "gh", "and 67", "Z2h", "", "hello"} { // in hex, in base64
			sent := message(0, text)
			go func() { _, _ = io.WriteString(pw, sent) }()
			got := make([]byte, len(sent))
			if !grpc {
				n, err := io.ReadAtLeast(r, got, len(sent)-3)
				if err != nil || n == len(sent) {
					t.Errorf("%q: %d bytes, %v; nothing tells that the message ends", text, n, err)
				}
				break
			}
			if _, err := io.ReadFull(r, got); err != nil || string(got) != sent {
				t.Errorf("%q: %q, %v", text, got, err)
			}
		}
		_ = pw.Close()
	}
}

// A value that ends in what could begin an escape is whole all the same: a
// message ends there.
func TestAValueAtTheEndOfAMessageIsNotHeldBack(t *testing.T) {
	const value = "tok-0123456789abcdef/+&"
	s := Compile([]Named{{"A", []byte(value)}, {"B", []byte("x" + value + "and more")}})
	for text, want := range map[string]string{"Bearer " + value: "Bearer " + strings.Repeat("*", len(value)), value: strings.Repeat("*", len(value))} {
		pr, pw := io.Pipe()
		r := s.Mask(Messages("application/grpc", pr, false), nil)
		sent := message(0, text)
		go func() { _, _ = io.WriteString(pw, sent) }()
		got := make([]byte, len(sent))
		if n, err := io.ReadFull(r, got); err != nil || string(got[5:]) != want {
			t.Errorf("%q, %d, %v", got, n, err)
		}
		_ = pw.Close()
	}
	// The beginning of one value stays held though another one is in it.
	pr, pw := io.Pipe()
	r := s.Mask(Messages("application/grpc", pr, false), nil)
	go func() { _, _ = io.WriteString(pw, message(0, "x"+value+"and m")); _ = pw.Close() }()
	got, err := io.ReadAll(r)
	if want := "x" + strings.Repeat("*", len(value)) + "and m"; err != nil || string(got[5:]) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAValueInAMessageIsReplacedHoweverItArrives(t *testing.T) {
	const value = "ghp_0123456789abcdef"
	s := Compile([]Named{{"A", []byte(value)}})
	body := message(0, "one") + message(0, "two "+value+" g") + message(0, "") + message(0, strings.Repeat("x", 70000)+value)
	want := strings.ReplaceAll(body, value, strings.Repeat("*", len(value))) // the lengths stay right
	for name, src := range map[string]io.Reader{
		"whole": strings.NewReader(body), "byte by byte": iotest.OneByteReader(strings.NewReader(body)), "halves": iotest.HalfReader(strings.NewReader(body)),
	} {
		hits := 0
		got, err := io.ReadAll(s.Mask(Messages("application/grpc", src, false), func(int) { hits++ }))
		if err != nil || string(got) != want || hits != 2 {
			t.Errorf("%s: %d bytes, want %d, %d hits, %v", name, len(got), len(want), hits, err)
		}
	}
}

// An upstream that echoes could be made to say that an echo is gRPC, with the
// framing arranged to end a message in the middle of a value.
func TestNoMessageEndsInsideAValue(t *testing.T) {
	const value = "ghp_0123456789abcdef"
	s := Compile([]Named{{"A", []byte(value)}})
	for cut := range value {
		body := []byte(message(0, "x"+value[:cut]) + value[cut:] + " and more")
		for _, src := range []io.Reader{bytes.NewReader(body), iotest.OneByteReader(bytes.NewReader(body))} {
			got, err := io.ReadAll(s.Reader(Messages("application/grpc", src, false), nil))
			if !errors.Is(err, ErrUnscannable) {
				t.Errorf("cut at %d: %v", cut, err)
			}
			if told := strings.TrimPrefix(string(got[min(5, len(got)):]), "x"); len(told) > maxTold || !strings.HasPrefix(value, told) {
				t.Errorf("cut at %d: %q was told", cut, told)
			}
		}
	}
}

func TestACompressedMessageIsUnscannableUnlessItMayPass(t *testing.T) {
	s := Compile([]Named{{"A", []byte("ghp_0123456789abcdef")}})
	body := message(0, "plain") + message(1, "packed")
	if _, err := io.ReadAll(s.Reader(Messages("application/grpc", strings.NewReader(body), false), nil)); !errors.Is(err, ErrUnscannable) {
		t.Error(err)
	}
	if got, err := io.ReadAll(s.Reader(Messages("application/grpc", strings.NewReader(body), true), nil)); err != nil || string(got) != body {
		t.Errorf("%q %v", got, err)
	}
}
