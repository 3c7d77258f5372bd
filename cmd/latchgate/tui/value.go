package tui

import "unicode/utf8"

// value is a secret while it is typed: bytes that can be overwritten. Nothing
// draws them, and nothing tells how many there are.
type value struct{ text []byte }

// maxValue bounds a value, in bytes: what a file of secrets may sensibly hold.
const maxValue = 1 << 20

// add appends, and leaves no copy behind where it has to move.
func (v *value) add(b ...byte) {
	need := len(v.text) + len(b)
	if need > maxValue {
		return
	}
	if need > cap(v.text) {
		grown := make([]byte, len(v.text), max(2*need, 4096))
		copy(grown, v.text)
		clear(v.text)
		v.text = grown
	}
	v.text = append(v.text, b...)
}

// back takes the last character away.
func (v *value) back() {
	_, n := utf8.DecodeLastRune(v.text)
	v.drop(n)
}

// drop takes the last n bytes away, or all that there are.
func (v *value) drop(n int) {
	left := max(len(v.text)-n, 0)
	clear(v.text[left:])
	v.text = v.text[:left]
}

func (v *value) empty() bool { return len(v.text) == 0 }

func (v *value) wipe() {
	clear(v.text[:cap(v.text)])
	v.text = nil
}
