package secrets

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// kind is the type of a node, as SOPS tells types apart.
type kind uint8

const (
	kindNull kind = iota
	kindString
	kindInt    // text: decimal
	kindFloat  // text: decimal, no exponent
	kindNumber // text: a JSON number as it was written
	kindBool   // text: True or False
	kindTime   // text: RFC 3339
	kindBytes
	kindComment
	kindMap
	kindList
)

// A node is a value of a SOPS file, encrypted or not. Comments are not kept here:
// they take no part in the MAC, and a writer changes the source and not the tree.
type node struct {
	kind kind
	text []byte   // of a scalar; for the decrypted types exactly what the MAC covers
	keys []string // of a map, parallel to kids
	kids []*node  // of a map or list, in the order of the file
}

func (n *node) add(key string, kid *node) {
	n.keys = append(n.keys, key)
	n.kids = append(n.kids, kid)
}

// child returns the value of key, nil where there is none.
func (n *node) child(key string) *node {
	if n == nil || n.kind != kindMap {
		return nil
	}
	for i, k := range n.keys {
		if k == key {
			return n.kids[i]
		}
	}
	return nil
}

// take removes key and returns its value.
func (n *node) take(key string) *node {
	for i, k := range n.keys {
		if k == key {
			kid := n.kids[i]
			n.keys = append(n.keys[:i:i], n.keys[i+1:]...)
			n.kids = append(n.kids[:i:i], n.kids[i+1:]...)
			return kid
		}
	}
	return nil
}

// str returns the text of the scalar at key, "" where there is none.
func (n *node) str(key string) string {
	if kid := n.child(key); kid != nil {
		return string(kid.text)
	}
	return ""
}

// value returns the bytes that a top-level node stands for: strings as they are,
// everything else as JSON. It reports false for null, which counts as missing.
func (n *node) value(m *memory) ([]byte, bool) {
	switch n.kind {
	case kindNull, kindComment:
		return nil, false
	case kindString, kindNumber, kindInt:
		return n.text, true
	case kindTime:
		return n.text, true
	case kindBytes:
		b := m.alloc(base64.StdEncoding.EncodedLen(len(n.text)))
		return base64.StdEncoding.AppendEncode(b, n.text), true
	default:
		return n.appendJSON(m.alloc(n.maxJSON())), true
	}
}

// maxJSON is how much appendJSON appends at most: a buffer that grew would leave
// plaintext in the one it grew out of.
func (n *node) maxJSON() int {
	switch n.kind {
	case kindNull, kindBool:
		return len("false")
	case kindInt, kindNumber:
		return len(n.text)
	case kindFloat:
		return maxFloat
	case kindBytes:
		return base64.StdEncoding.EncodedLen(len(n.text)) + len(`""`)
	case kindMap, kindList:
		size := len("{}")
		for i, kid := range n.kids {
			size += kid.maxJSON() + len(",")
			if n.kind == kindMap {
				size += maxQuoted([]byte(n.keys[i])) + len(":")
			}
		}
		return size
	default:
		return maxQuoted(n.text)
	}
}

// maxQuoted is how much appendQuoted appends at most.
func maxQuoted(s []byte) int {
	size, valid := len(s)+len(`""`), utf8.Valid(s)
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			size++
		case c < ' ' || c >= utf8.RuneSelf && !valid:
			size += len(`\u0000`) - 1
		}
	}
	return size
}

// appendJSON appends n as compact JSON, keys in the order of the file.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case kindNull:
		return append(b, "null"...)
	case kindInt, kindNumber:
		return append(b, n.text...)
	case kindFloat:
		return appendFloat(b, n.text)
	case kindBool:
		return strconv.AppendBool(b, string(n.text) == "True")
	case kindBytes:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, n.text)
		return append(b, '"')
	case kindMap:
		return n.appendMap(b)
	case kindList:
		return n.appendList(b)
	default:
		return appendQuoted(b, n.text)
	}
}

func (n *node) appendMap(b []byte) []byte {
	b = append(b, '{')
	for i, kid := range n.kids {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, []byte(n.keys[i]))
		b = append(b, ':')
		b = kid.appendJSON(b)
	}
	return append(b, '}')
}

func (n *node) appendList(b []byte) []byte {
	b = append(b, '[')
	first := true
	for _, kid := range n.kids {
		if kid.kind == kindComment {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = kid.appendJSON(b)
	}
	return append(b, ']')
}

// maxFloat is the most that appendFloat appends.
const maxFloat = len("-0.0000012345678901234567")

// appendFloat writes a decimal as encoding/json writes a float64, which is what
// the sops program prints.
func appendFloat(b, text []byte) []byte {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return append(b, text...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		b = strconv.AppendFloat(b, f, 'e', -1, 64)
		if n := len(b); n >= 4 && string(b[n-4:n-1]) == "e-0" { // e-09 is e-9
			b[n-2] = b[n-1]
			b = b[:n-1]
		}
		return b
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends s as a JSON string. Only what JSON demands is escaped, so
// that both backends give the same bytes.
func appendQuoted(b, s []byte) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		c := s[0]
		if c < utf8.RuneSelf {
			b = appendASCII(b, c)
			s = s[1:]
			continue
		}
		r, size := utf8.DecodeRune(s)
		if r == utf8.RuneError && size == 1 {
			b = append(b, `\ufffd`...)
		} else {
			b = append(b, s[:size]...)
		}
		s = s[size:]
	}
	return append(b, '"')
}

func appendASCII(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c >= ' ':
		return append(b, c)
	case c == '\n':
		return append(b, `\n`...)
	case c == '\r':
		return append(b, `\r`...)
	case c == '\t':
		return append(b, `\t`...)
	default:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
}
