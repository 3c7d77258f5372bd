package secrets

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON parses one JSON object. It differs from encoding/json in three ways
// that matter here: it keeps the order of keys, it keeps numbers as they are
// written, and it makes no copy of a string: escapes are resolved in place, the
// nodes point into in, and whoever owns in can overwrite all of it. What follows
// the object is ignored, as sops ignores it.
func parseJSON(in []byte) (*node, error) {
	p := jsonParser{in: in}
	p.space()
	if p.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	return p.value(0)
}

// parseWholeJSON is parseJSON for input that has nothing behind the object.
func parseWholeJSON(in []byte) (*node, error) {
	p := jsonParser{in: in}
	p.space()
	if p.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	n, err := p.value(0)
	if p.space(); err == nil && p.pos < len(in) {
		return nil, p.bad("something stands behind the object")
	}
	return n, err
}

const maxDepth = 100 // of nesting; deeper files are refused

type jsonParser struct {
	in  []byte
	pos int
}

// bad describes where the parser stands; it never quotes the input, which may be
// plaintext.
func (p *jsonParser) bad(what string) error {
	return fmt.Errorf("invalid JSON at byte %d: %s", p.pos, what)
}

func (p *jsonParser) peek() byte {
	if p.pos < len(p.in) {
		return p.in[p.pos]
	}
	return 0
}

func (p *jsonParser) space() {
	for p.pos < len(p.in) {
		switch p.in[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return
		}
	}
}

// accept skips space and consumes c if it is next.
func (p *jsonParser) accept(c byte) bool {
	p.space()
	if p.peek() != c {
		return false
	}
	p.pos++
	return true
}

func (p *jsonParser) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, p.bad("nested too deeply")
	}
	p.space()
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		text, err := p.string()
		return &node{kind: kindString, text: text}, err
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for word, n := range map[string]node{
		"null":  {kind: kindNull},
		"true":  {kind: kindBool, text: []byte("True")},
		"false": {kind: kindBool, text: []byte("False")},
	} {
		if len(p.in)-p.pos >= len(word) && string(p.in[p.pos:p.pos+len(word)]) == word {
			p.pos += len(word)
			return &n, nil
		}
	}
	return nil, p.bad("no value")
}

func (p *jsonParser) object(depth int) (*node, error) {
	p.pos++
	n := &node{kind: kindMap}
	if p.accept('}') {
		return n, nil
	}
	for {
		p.space()
		if p.peek() != '"' {
			return nil, p.bad("no key")
		}
		key, err := p.string()
		if err != nil {
			return nil, err
		}
		if !p.accept(':') {
			return nil, p.bad("no colon")
		}
		kid, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.add(string(key), kid)
		if p.accept('}') {
			return n, nil
		}
		if !p.accept(',') {
			return nil, p.bad("object not closed")
		}
	}
}

func (p *jsonParser) array(depth int) (*node, error) {
	p.pos++
	n := &node{kind: kindList}
	if p.accept(']') {
		return n, nil
	}
	for {
		kid, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, kid)
		if p.accept(']') {
			return n, nil
		}
		if !p.accept(',') {
			return nil, p.bad("array not closed")
		}
	}
}

func (p *jsonParser) number() (*node, error) {
	start := p.pos
	p.digitsAfter('-')
	if p.in[p.pos-1] == '-' {
		return nil, p.bad("no digits")
	}
	if first := p.in[start:p.pos]; len(first) > 1 && first[0] == '0' ||
		len(first) > 2 && first[0] == '-' && first[1] == '0' {
		return nil, p.bad("leading zero")
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return nil, p.bad("no digits")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return nil, p.bad("no digits")
		}
	}
	return &node{kind: kindNumber, text: p.in[start:p.pos:p.pos]}, nil
}

func (p *jsonParser) digitsAfter(sign byte) {
	if p.peek() == sign {
		p.pos++
	}
	p.digits()
}

func (p *jsonParser) digits() bool {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

// string parses a string into its own place in the input: what an escape stands
// for is never longer than the escape.
func (p *jsonParser) string() ([]byte, error) {
	p.pos++
	start := p.pos
	out := p.in[start:start]
	for p.pos < len(p.in) {
		switch c := p.in[p.pos]; {
		case c == '"':
			p.pos++
			return out[:len(out):len(out)], nil
		case c == '\\':
			var err error
			if out, err = p.escape(out); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, p.bad("control character in a string")
		case c < utf8.RuneSelf:
			out = append(out, c)
			p.pos++
		default:
			r, size := utf8.DecodeRune(p.in[p.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, p.bad("not UTF-8")
			}
			out = append(out, p.in[p.pos:p.pos+size]...)
			p.pos += size
		}
	}
	return nil, p.bad("string not closed")
}

const (
	escaped   = `"\/bfnrt`
	unescaped = "\"\\/\b\f\n\r\t"
)

func (p *jsonParser) escape(out []byte) ([]byte, error) {
	p.pos++
	c := p.peek()
	if c == 'u' {
		return p.unicode(out)
	}
	for i := range len(escaped) {
		if escaped[i] == c {
			p.pos++
			return append(out, unescaped[i]), nil
		}
	}
	return nil, p.bad("unknown escape")
}

// unicode resolves \uXXXX, and a surrogate pair of two. A lone surrogate becomes
// U+FFFD, as everywhere in Go.
func (p *jsonParser) unicode(out []byte) ([]byte, error) {
	r, ok := p.hex4()
	if !ok {
		return nil, p.bad("bad \\u escape")
	}
	p.pos += 5
	if utf16.IsSurrogate(r) {
		pair := rune(utf8.RuneError)
		if p.peek() == '\\' && p.pos+1 < len(p.in) && p.in[p.pos+1] == 'u' {
			p.pos++
			low, ok := p.hex4()
			if !ok {
				return nil, p.bad("bad \\u escape")
			}
			if pair = utf16.DecodeRune(r, low); pair != utf8.RuneError {
				p.pos += 5
			} else {
				p.pos--
			}
		}
		r = pair
	}
	return utf8.AppendRune(out, r), nil
}

// hex4 reads the four digits after the u at pos.
func (p *jsonParser) hex4() (rune, bool) {
	if p.pos+5 > len(p.in) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.in[p.pos+1:p.pos+5]), 16, 16)
	return rune(n), err == nil
}
