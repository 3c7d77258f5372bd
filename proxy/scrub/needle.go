package scrub

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
)

// needle is one unescaped form of one value.
type needle struct {
	text   []byte
	fold   bool // ASCII case does not matter; text is lower case
	secret int
}

// add appends the forms of a value that are not yet there.
func (s *Set) add(value []byte, secret int) {
	if len(value) < MinLen {
		return
	}
	put := func(text []byte, fold bool) {
		for _, n := range s.needles {
			if n.fold == fold && bytes.Equal(n.text, text) {
				return
			}
		}
		s.needles = append(s.needles, needle{text, fold, secret})
	}
	put(bytes.Clone(value), false)
	if len(value) < MinEncodedLen {
		return
	}
	for before := range 3 {
		put(base64Core(base64.StdEncoding, value, before), false)
		put(base64Core(base64.URLEncoding, value, before), false)
	}
	put(hex.AppendEncode(nil, value), true)
}

// Wipe overwrites the values that s searches for, and the tables, of which they
// could be put together again. Nothing may use s any more.
func (s *Set) Wipe() {
	if s == nil {
		return
	}
	for _, n := range s.needles {
		clear(n.text[:cap(n.text)])
	}
	clear(s.grams.bitmap[:])
	clear(s.grams.heads)
	clear(s.grams.entries)
	if s.windows != nil {
		s.windows.teddy = teddy{}
		clear(s.windows.at)
	}
	clear(s.marks.bitmap)
	s.marks.leads = leadTable{}
	clear(s.marks.places)
}

// base64Core returns the characters of the encoding that depend on value alone
// when so many bytes, modulo 3, are before it, whatever these and those after
// it are.
func base64Core(enc *base64.Encoding, value []byte, before int) []byte {
	padded := append(make([]byte, before, before+len(value)), value...)
	text := make([]byte, enc.EncodedLen(len(padded)))
	enc.Encode(text, padded)
	clear(padded)
	return text[(8*before+5)/6 : 8*len(padded)/6]
}

// at reports whether the unescaped needle stands at b[p:], as far as b goes.
func (n *needle) at(b []byte, p int) bool {
	b = b[p:min(len(b), p+len(n.text))]
	if !n.fold {
		return string(b) == string(n.text[:len(b)])
	}
	for i, c := range b {
		if lower(c) != n.text[i] {
			return false
		}
	}
	return true
}

// endsAt reports whether the first j characters of the needle, unescaped, stand
// right before b[p].
func (n *needle) endsAt(b []byte, p, j int) bool {
	return j == 0 || j <= p && n.is(b[p-1], j-1) && n.at(b[:p], p-j)
}

// is reports whether c is the needle's character j.
func (n *needle) is(c byte, j int) bool {
	return n.text[j] == c || n.fold && n.text[j] == lower(c)
}

// equalFold reports whether a and b, of one length, are equal but for ASCII case.
func equalFold(a string, b []byte) bool {
	for i, c := range b {
		if lower(a[i]) != lower(c) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
