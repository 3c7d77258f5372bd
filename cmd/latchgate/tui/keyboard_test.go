package tui

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestKeyboardTakesTheValueOut gives it what terminals send, in one piece and in
// every two pieces.
func TestKeyboardTakesTheValueOut(t *testing.T) {
	for _, c := range []struct {
		name, sent, value, through string
		whole                      bool // only in one piece: ESC at the end of a piece is the key
	}{
		{"typed", "secretü\r", "secretü", "\r", false},
		{"typed, and what comes after it", "secret\rq5\x1b[A", "secret", "\rq5\x1b[A", false},
		{"mended", "sx\x7fecretü\x08\r", "secret", "\r", false},
		{"begun again", "wrong\x15secret\r", "secret", "\r", false},
		{"pasted", "\x1b[200~sec\r\nret\rqü\n\x1b[A\x1b[201~\r", "sec\nret\nqü\n\x1b[A", "\r", true},
		{"pasted twice", "\x1b[200~sec\x1b[201~\x1b[200~ret\x1b[201~\r", "secret", "\r", true},
		{"keys between", "se\x1b[Dc\x1bOPr\x1b[117;5uet\r", "secret", "\x1b[D\x1bOP\x1b[117;5u\r", false},
		{"answers of the terminal between", "se\x1b[?2026;2$yc\x1b]11;rgb:00/00/00\x07r\x1b]10;rgb:ff/ff/ff\x1b\\et\x1bP1+r\x1b\\\r", "secret",
			"\x1b[?2026;2$y\x1b]11;rgb:00/00/00\x07\x1b]10;rgb:ff/ff/ff\x1b\\\x1bP1+r\x1b\\\r", false},
		{"interrupted", "secret\x03", "", "\x03", false},
	} {
		for cut := range len(c.sent) {
			if c.whole && cut > 0 && c.sent[cut-1] == 0x1b && c.sent[cut] == '[' && strings.HasPrefix(c.sent[cut:], "[200~") {
				continue
			}
			k := &keyboard{}
			k.begin()
			var through []byte
			for _, piece := range []string{c.sent[:cut], c.sent[cut:]} {
				if piece == "" {
					continue
				}
				p := []byte(piece)
				through = append(through, k.filter(p)...)
				if bytes.Contains(through, []byte("sec")) {
					t.Fatalf("%s, cut at %d: the value goes through: %q", c.name, cut, through)
				}
			}
			through = slices.DeleteFunc(through, func(b byte) bool { return b == mark })
			if v := k.take(); string(v.text) != c.value || string(through) != c.through {
				t.Errorf("%s, cut at %d: value %q, want %q; through %q, want %q", c.name, cut, v.text, c.value, through, c.through)
			}
		}
	}
}

// TestKeyboardWipesWhatItReads looks at the buffer that Bubble Tea reads into.
func TestKeyboardWipesWhatItReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	k := &keyboard{File: r}
	k.begin()
	buf := make([]byte, 4096)
	for _, c := range []struct{ sent, read string }{{"secret", "\x00"}, {"more\rq", "\rq"}, {"plain", "plain"}} {
		if _, err := io.WriteString(w, c.sent); err != nil {
			t.Fatal(err)
		}
		n, err := k.Read(buf)
		if err != nil || string(buf[:n]) != c.read || bytes.Contains(buf, []byte("secret")) {
			t.Fatalf("%q: read %q, %v", c.sent, buf[:n], err)
		}
	}
	held := k.typed.text
	if v := k.take(); string(v.text) != "secretmore" {
		t.Errorf("kept %q", v.text)
	}
	k.begin()
	if bytes.Contains(held[:cap(held)], []byte("secretmore")) != true {
		t.Error("take wipes what it gives away")
	}
}

// A paste goes on after the operator gave the value up: its lines are no keys.
func TestKeyboardDropsAPasteThatWasGivenUp(t *testing.T) {
	k := &keyboard{}
	k.begin()
	k.filter([]byte("\x1b[200~one\r"))
	held := k.typed.text
	k.forget()
	if bytes.Contains(held[:cap(held)], []byte("one")) {
		t.Error("it is still in memory")
	}
	if got := k.filter([]byte("two\rry\x1b[201~q")); strings.Trim(string(got), "\x00") != "q" {
		t.Errorf("%q goes through", got)
	}
}

// What is typed ahead of the prompt reaches Bubble Tea, and the Enter in it ends
// the value: what the keyboard kept since is no part of it.
func TestWhatIsTypedAheadIsTheValue(t *testing.T) {
	b := newFixed()
	o := sit(t, b, 80, 24).press("6", "5", "s", "N", "enter").enter("ahead")
	o.m.setup.secrets.keys.filter([]byte("later"))
	o.press("enter").did(`set N "ahead"`)
	o.press("s", "N", "enter").enter("ahe")
	o.m.setup.secrets.keys.filter([]byte("ad\r"))
	o.press("enter").did(`set N "ahead"`, `set N "ahead"`)
}
