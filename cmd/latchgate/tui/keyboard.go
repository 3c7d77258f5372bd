package tui

import (
	"bytes"
	"os"
	"sync"
)

// keyboard stands between the terminal and Bubble Tea, which keeps what it
// reads in strings that nobody can overwrite. While a value is asked for,
// keyboard takes the bytes of it out, into memory that is wiped, and lets through
// keys, answers of the terminal, and a mark that something came.
type keyboard struct {
	*os.File // Bubble Tea sets its mode and waits for its descriptor

	mu     sync.Mutex
	asking bool
	sealed bool  // Enter was pressed
	typed  value // what was taken out
	state  int
	held   []byte // of an escape sequence that has not ended

	matched int  // bytes of pasteEnd that were seen
	cr      bool // the last byte of the paste was a carriage return
}

// The states of the input, between two bytes.
const (
	inText   = iota
	inEscape // after ESC
	inCSI    // after ESC [
	inSS3    // after ESC O
	inString // of an answer, until BEL or ESC \
	inPaste
)

// mark is what Bubble Tea gets for bytes of a value: Ctrl-Space, which does
// nothing but draw the screen.
const mark = 0

// maxHeld bounds an escape sequence; a longer one is none of a keyboard.
const maxHeld = 64

// begin keeps what comes from now on.
func (k *keyboard) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.typed.wipe()
	k.asking, k.sealed = true, false
}

// forget wipes it, and lets through what comes.
func (k *keyboard) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.typed.wipe()
	k.asking, k.sealed = false, false
}

// take ends the asking and gives up the value, which is the caller's to wipe.
// Without an Enter that was seen here what was kept came after it, and is no
// part of the value.
func (k *keyboard) take() value {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.sealed {
		k.typed.wipe()
	}
	v := k.typed
	k.typed, k.asking, k.sealed = value{}, false, false
	return v
}

func (k *keyboard) empty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.typed.empty()
}

// Read reads from the terminal what is not a value.
func (k *keyboard) Read(p []byte) (int, error) {
	for {
		room := max(1, len(p)-maxHeld) // what was held may come too
		n, err := k.File.Read(p[:room])
		if n == 0 {
			return n, err
		}
		k.mu.Lock()
		n = copy(p, k.filter(p[:n]))
		k.mu.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// filter takes the value out of p, which it overwrites, and returns the rest.
func (k *keyboard) filter(p []byte) []byte {
	if !k.asking && k.state == inText {
		return p
	}
	through, taken := make([]byte, 0, len(p)+maxHeld), false
	for i, c := range p {
		if !k.asking && k.state == inText {
			through = append(through, p[i:]...)
			break
		}
		out, mine := k.next(c)
		through = append(through, out...)
		taken = taken || mine
	}
	if k.state == inEscape { // perhaps the key of that name, which nothing follows
		through, k.held = append(through, k.held...), nil
	}
	clear(p)
	if taken && !k.sealed {
		through = append(through, mark)
	}
	return through
}

// next takes one byte: what goes through because of it, and whether it was one
// of the value.
func (k *keyboard) next(c byte) (through []byte, mine bool) {
	switch k.state {
	case inText:
		return k.text(c)
	case inPaste:
		k.paste(c)
		return nil, true
	case inEscape:
		switch c {
		case '[':
			k.state = inCSI
			k.held = append(k.held, c)
			return nil, false
		case 'O':
			k.state = inSS3
		case ']', 'P', '_', '^', 'X':
			k.state = inString
		case 0x1b:
		default:
			k.state = inText
		}
	case inCSI:
		k.held = append(k.held, c)
		if (c < 0x40 || c > 0x7e) && len(k.held) < maxHeld {
			return nil, false
		}
		k.state = inText
		if bytes.HasSuffix(k.held, []byte("[200~")) {
			k.state, k.held, k.matched, k.cr = inPaste, nil, 0, false
			return nil, false
		}
		through, k.held = k.held, nil
		return through, false
	case inString:
		if c == 0x07 {
			k.state = inText
		} else if c == 0x1b {
			k.state = inEscape // its \ ends the answer
		}
	default: // inSS3
		k.state = inText
	}
	through, k.held = append(k.held, c), nil
	return through, false
}

// text takes a byte that is typed.
func (k *keyboard) text(c byte) (through []byte, mine bool) {
	switch {
	case c == 0x1b:
		k.state, k.held = inEscape, []byte{c}
		return nil, false
	case c == '\r':
		k.asking, k.sealed = false, true
	case c == 0x7f || c == 0x08:
		k.typed.back()
		return nil, true
	case c == 0x15: // Ctrl-U
		k.typed.wipe()
		return nil, true
	case c >= ' ' || c == '\n': // Ctrl-J is a new line
		k.typed.add(c)
		return nil, true
	}
	return []byte{c}, false
}

// pasteEnd ends a paste.
var pasteEnd = []byte("\x1b[201~")

// paste takes a byte that is pasted. Terminals make carriage returns of line
// ends. A paste whose value was given up goes nowhere: its lines are no keys.
func (k *keyboard) paste(c byte) {
	switch c {
	case pasteEnd[k.matched]:
		k.matched++
	case pasteEnd[0]:
		k.matched = 1
	default:
		k.matched = 0
	}
	after := k.cr
	if k.cr = c == '\r'; k.cr {
		c = '\n'
	} else if c == '\n' && after {
		return
	}
	if k.asking {
		k.typed.add(c)
	}
	if k.matched == len(pasteEnd) {
		k.state = inText
		k.typed.drop(len(pasteEnd))
	}
}
