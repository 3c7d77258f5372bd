package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
)

// A WebSocket's frames (RFC 6455 section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPong         = 0xA

	finalBit, reservedBits, opcodeBits = 0x80, 0x70, 0x0F
	maskBit                            = 0x80

	maxControl   = 125 // bytes that a control frame may carry
	maxFrameHead = 14
	frameBuffer  = 32 << 10 // a longer message is passed on in fragments of this size
)

// Why a WebSocket is closed by us (RFC 6455 section 7.4.1).
const (
	closeGoingAway = 1001
	closeProtocol  = 1002
	closePolicy    = 1008
)

var errProtocol = errors.New("not the WebSocket protocol")

// messageFilter changes messages on their way. nil passes them as they are.
type messageFilter struct {
	// message gives the reader of what is to be passed on of a message. A text
	// begins with that byte; 0 for a binary message and an empty one.
	message func(r io.Reader, first byte) io.Reader
	// control is what is to be passed on of a control frame's payload.
	control func(payload []byte) ([]byte, error)
}

// frames relays the frames of one direction of a WebSocket. A message that
// comes in fragments goes on in fragments, one that comes whole goes on whole
// up to the size of the buffer.
type frames struct {
	src        *bufio.Reader
	dst        io.Writer
	fromClient bool // frames are masked (section 5.3)
	watch      *idleWatch
	filter     *messageFilter

	left  int64 // bytes of the frame that were not read yet
	final bool  // it is its message's last
	key   [4]byte
	at    int // place in key

	write sync.Mutex // frames of our own go between those that are relayed
	ended bool       // a close frame was written; nothing follows it
	out   [maxFrameHead + frameBuffer]byte
}

// relay copies frames until src ends, which is nil, or something is wrong.
func (f *frames) relay() error {
	for {
		opcode, err := f.next()
		if err != nil {
			return ended(err)
		}
		if opcode == opContinuation {
			return errProtocol // there is nothing to continue
		}
		if err = f.message(opcode); err != nil {
			return ended(err)
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// next reads the head of the next data frame, and relays the control frames
// that come before it.
func (f *frames) next() (opcode byte, err error) {
	for {
		var head [2]byte
		if _, err = io.ReadFull(f.src, head[:]); err != nil {
			return 0, err
		}
		f.watch.touch()
		opcode, f.final = head[0]&opcodeBits, head[0]&finalBit != 0
		if f.filter != nil && head[0]&reservedBits != 0 || (head[1]&maskBit != 0) != f.fromClient {
			return 0, errProtocol
		}
		if err = f.length(head[1] &^ maskBit); err != nil {
			return 0, err
		}
		switch {
		case opcode <= opBinary:
			if f.filter == nil {
				opcode |= head[0] & reservedBits // an extension's, which both sides agreed on
			}
			return opcode, nil
		case opcode < opClose || opcode > opPong || !f.final || f.left > maxControl:
			return 0, errProtocol
		}
		if err = f.control(opcode); err != nil {
			return 0, err
		}
	}
}

// length reads the rest of a frame's head.
func (f *frames) length(short byte) error {
	f.left = int64(short)
	var wide [8]byte
	switch short {
	case 126:
		if _, err := io.ReadFull(f.src, wide[6:]); err != nil {
			return err
		}
		f.left = int64(binary.BigEndian.Uint64(wide[:]))
	case 127:
		if _, err := io.ReadFull(f.src, wide[:]); err != nil {
			return err
		}
		if f.left = int64(binary.BigEndian.Uint64(wide[:])); f.left < 0 {
			return errProtocol
		}
	}
	if !f.fromClient {
		return nil
	}
	f.at = 0
	_, err := io.ReadFull(f.src, f.key[:])
	return err
}

// payload reads from the frame, no further.
func (f *frames) payload(p []byte) (int, error) {
	n, err := f.src.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if f.fromClient {
		for i := range p[:n] {
			p[i] ^= f.key[f.at&3]
			f.at++
		}
	}
	f.watch.touch()
	return n, err
}

func (f *frames) control(opcode byte) error {
	var buf [maxFrameHead + maxControl]byte // f.out may hold a part of a message
	b := buf[maxFrameHead : maxFrameHead+f.left]
	for n := 0; n < len(b); {
		k, err := f.payload(b[n:])
		if err != nil {
			return err
		}
		n += k
	}
	code := 0
	if opcode == opClose && len(b) >= 2 {
		code = 2 // its first two bytes are a number
	}
	if f.filter != nil {
		changed, err := f.filter.control(b[code:])
		if err != nil {
			return err
		}
		b = append(b[:code], changed[:min(len(changed), maxControl-code)]...)
		// Nobody need send a number there: it may be where a value begins.
		if changed, err = f.filter.control(b); err != nil {
			return err
		}
		if !bytes.Equal(changed, b) {
			b = b[:0]
		}
	}
	f.write.Lock()
	defer f.write.Unlock()
	return f.send(opcode|finalBit, buf[:maxFrameHead+len(b)])
}

// message relays a message, whose first frame's head was read.
func (f *frames) message(opcode byte) error {
	m := &message{frames: f}
	var src io.Reader = m
	if f.filter != nil {
		src = f.filter.message(src, m.first(opcode))
	}
	for k := 0; ; {
		n, err := src.Read(f.out[maxFrameHead+k:])
		k += n
		if err != nil && err != io.EOF {
			return err
		}
		last := err == io.EOF
		if !last && k < frameBuffer && (f.left > 0 || f.final || k == 0) {
			continue
		}
		head := opcode
		if last {
			head |= finalBit
		}
		f.write.Lock()
		err = f.send(head, f.out[:maxFrameHead+k])
		f.write.Unlock()
		if err != nil || last {
			return err
		}
		opcode, k = opContinuation, 0
	}
}

// send writes a frame whose payload is b[maxFrameHead:], and its head before it
// in b. The caller holds write.
func (f *frames) send(head byte, b []byte) error {
	if f.ended {
		return nil
	}
	f.ended = head&opcodeBits == opClose
	n := len(b) - maxFrameHead
	at := maxFrameHead
	if f.fromClient {
		at -= 4
		binary.LittleEndian.PutUint32(b[at:], rand.Uint32()) // ChaCha8: can't be guessed
		key := [4]byte(b[at:])
		for i := range n {
			b[maxFrameHead+i] ^= key[i&3]
		}
	}
	switch {
	case n <= maxControl:
		at--
		b[at] = byte(n)
	case n <= 0xFFFF:
		at -= 3
		b[at] = 126
		binary.BigEndian.PutUint16(b[at+1:], uint16(n))
	default:
		at -= 9
		b[at] = 127
		binary.BigEndian.PutUint64(b[at+1:], uint64(n))
	}
	if f.fromClient {
		b[at] |= maskBit
	}
	at--
	b[at] = head
	_, err := f.dst.Write(b[at:])
	return err
}

// close writes a close frame of our own, unless there was one. The reason is
// cut to what a control frame holds.
func (f *frames) close(code uint16, reason string) {
	f.write.Lock()
	defer f.write.Unlock()
	b := binary.BigEndian.AppendUint16(make([]byte, maxFrameHead, maxFrameHead+maxControl), code)
	_ = f.send(opClose|finalBit, append(b, reason[:min(len(reason), maxControl-2)]...))
}

func (f *frames) closed() bool {
	f.write.Lock()
	defer f.write.Unlock()
	return f.ended
}

// message reads the payload of one message, frame after frame.
type message struct {
	*frames
	done bool
}

// first is the first byte of a text, 0 where there is none.
func (m *message) first(opcode byte) byte {
	if opcode != opText || m.left == 0 {
		return 0
	}
	b, err := m.src.Peek(1)
	if err != nil {
		return 0
	}
	if m.fromClient {
		return b[0] ^ m.key[0]
	}
	return b[0]
}

// Read implements io.Reader. It returns io.EOF with the last byte.
func (m *message) Read(p []byte) (n int, err error) {
	for m.left == 0 && !m.done {
		if m.final {
			m.done = true
			break
		}
		opcode, err := m.next()
		if err != nil {
			return 0, cutShort(err)
		}
		if opcode&opcodeBits != opContinuation {
			return 0, errProtocol
		}
	}
	if m.done {
		return 0, io.EOF
	}
	if n, err = m.payload(p); err != nil {
		return n, cutShort(err)
	}
	if m.left == 0 && m.final {
		m.done, err = true, io.EOF
	}
	return n, err
}

// cutShort keeps the end of a connection from looking like the end of a message.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
