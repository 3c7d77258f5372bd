package proxy

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/proxy/scrub"
)

type duplex struct {
	io.Reader
	io.Writer
}

func (duplex) Close() error { return nil }

// However messages are cut into frames and reads, and whatever control frames
// come between, what is relayed is the same messages and control frames in the
// same order, with nothing of a value in them.
func TestMessagesAreTheSameHoweverTheyAreCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	set := scrub.Compile([]scrub.Named{{Name: "TOKEN", Value: []byte(token)}})
	filter := &messageFilter{
		message: func(r io.Reader, _ byte) io.Reader { return set.Reader(r, nil) },
		control: func(b []byte) ([]byte, error) { return set.Bytes(b, nil), nil },
	}
	words := []string{token, token[:9], token[9:], "x", "{\"a\":\"", strings.Repeat("long ", 9000), ""}
	for range 2000 {
		masked := rng.IntN(2) == 0
		var sent bytes.Buffer
		from := &peer{t: t, c: duplex{nil, &sent}, masked: masked}
		var messages, controls []string
		for range rng.IntN(4) {
			var text string
			for range rng.IntN(4) {
				text += words[rng.IntN(len(words))]
			}
			messages = append(messages, string(set.Bytes([]byte(text), nil)))
			for first := true; ; first = false {
				n := rng.IntN(len(text) + 1)
				if rng.IntN(3) == 0 {
					n = len(text)
				}
				f := frame{opContinuation, text[:n]}
				if first {
					f.head = opText
				}
				text = text[n:]
				if text == "" && rng.IntN(2) == 0 {
					f.head |= finalBit
				}
				from.send(f)
				if f.head&finalBit != 0 {
					break
				}
				if rng.IntN(2) == 0 {
					ping := words[rng.IntN(5)]
					controls = append(controls, string(set.Bytes([]byte(ping), nil)))
					from.send(frame{finalBit | 0x9, ping})
				}
			}
		}
		var got bytes.Buffer
		src := &pieces{&sent, 1 + rng.IntN(5000)}
		f := &frames{src: bufio.NewReaderSize(src, 64), dst: &got, fromClient: masked, watch: &idleWatch{}, filter: filter}
		if err := f.relay(); err != nil {
			t.Fatal(err)
		}
		to := &peer{t: t, c: duplex{&got, nil}, masked: !masked}
		to.r = bufio.NewReader(&got)
		var pings []frame
		for i, want := range messages {
			whole, opcode := "", byte(opText)
			for {
				f := to.next()
				if f.head == finalBit|0x9 {
					pings = append(pings, f)
					continue
				}
				if f.head&^finalBit != opcode {
					t.Fatalf("message %d has a frame %x, want %x", i, f.head, opcode)
				}
				whole, opcode = whole+f.payload, opContinuation
				if f.head&finalBit != 0 {
					break
				}
			}
			if whole != want {
				t.Fatalf("message %d is %d bytes, want %d", i, len(whole), len(want))
			}
		}
		if end := to.message(&pings); end.payload != "EOF" || len(pings) != len(controls) {
			t.Fatalf("then %+v, %d of %d control frames", end, len(pings), len(controls))
		}
		for i, p := range pings {
			if p.payload != controls[i] {
				t.Fatalf("control frame %d is %q, want %q", i, p.payload, controls[i])
			}
		}
	}
}
