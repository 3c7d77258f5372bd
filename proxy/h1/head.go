package h1

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/textproto"
	"strings"
)

// ErrLongHead: the head does not fit into the reader's buffer.
var ErrLongHead = errors.New("head is larger than the buffer")

// Head waits until a whole head is in br's buffer and returns its length, the
// empty line included. It consumes nothing. A line ends where net/http ends it, at
// an LF with or without a CR. Errors are br's, and [ErrLongHead].
func Head(br *bufio.Reader) (int, error) {
	for seen := 0; ; {
		buffered, _ := br.Peek(br.Buffered())
		for {
			i := bytes.IndexByte(buffered[seen:], '\n')
			if i < 0 {
				break
			}
			rest := buffered[seen+i+1:]
			switch {
			case bytes.HasPrefix(rest, []byte("\r\n")):
				return seen + i + 3, nil
			case bytes.HasPrefix(rest, []byte("\n")):
				return seen + i + 2, nil
			case len(rest) > 1 || len(rest) == 1 && rest[0] != '\r':
				seen += i + 1
				continue
			}
			seen += i // what follows this LF has still to come
			break
		}
		if len(buffered) == br.Size() {
			return 0, ErrLongHead
		}
		if _, err := br.Peek(len(buffered) + 1); err != nil {
			return 0, err
		}
	}
}

// parseFields reads the field lines of a head (RFC 9112 section 5). It takes
// lines that end in CRLF, with a token right before the colon and no control
// character in the value; ok is false for any other: white space before a colon,
// obs-fold, a bare CR or LF.
func parseFields(block string) (h http.Header, ok bool) {
	if block != "" && !strings.HasSuffix(block, "\r\n") {
		return nil, false
	}
	n := strings.Count(block, "\n")
	h = make(http.Header, n)
	values := make([]string, n) // one allocation for all fields that stand once
	for block != "" {
		end := strings.IndexByte(block, '\n') // there is one: block ends in it
		line, ended := strings.CutSuffix(block[:end], "\r")
		block = block[end+1:]
		colon := strings.IndexByte(line, ':')
		if !ended || colon <= 0 {
			return nil, false
		}
		name, value := line[:colon], trimBlanks(line[colon+1:])
		canonical, token := isCanonical(name)
		if !token || !isFieldValue(value) {
			return nil, false
		}
		if !canonical {
			name = textproto.CanonicalMIMEHeaderKey(name)
		}
		if have := h[name]; have != nil {
			h[name] = append(have, value)
			continue
		}
		values[0] = value
		h[name] = values[:1:1]
		values = values[1:]
	}
	return h, true
}

// trimBlanks takes spaces and tabs off both ends of s.
func trimBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// contentLength is the value of the one Content-Length field, -1 where there is
// none; ok is false where there are several or it is not digits alone.
func contentLength(h http.Header) (n int64, ok bool) {
	fields := h["Content-Length"]
	if len(fields) == 0 {
		return -1, true
	}
	digits := fields[0]
	if len(fields) > 1 || digits == "" || len(digits) > 18 {
		return 0, false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(digits[i]-'0')
	}
	return n, true
}

// closes reports whether Connection says that the connection ends after this
// message.
func closes(h http.Header) bool {
	for _, field := range h["Connection"] {
		for option := range strings.SplitSeq(field, ",") {
			if strings.EqualFold(trimBlanks(option), "close") {
				return true
			}
		}
	}
	return false
}

// fixPragma does what net/http does with a head of HTTP/1.0's time.
func fixPragma(h http.Header) {
	if p := h["Pragma"]; len(p) > 0 && p[0] == "no-cache" {
		if _, ok := h["Cache-Control"]; !ok {
			h["Cache-Control"] = []string{"no-cache"}
		}
	}
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenChar[s[i]] {
			return false
		}
	}
	return s != ""
}

// isCanonical reports whether s is a token, and whether it is spelled as
// textproto.CanonicalMIMEHeaderKey would.
func isCanonical(s string) (canonical, token bool) {
	canonical = true
	before := byte('-')
	for i := range len(s) {
		c := s[i]
		if !tokenChar[c] {
			return false, false
		}
		if before == '-' && 'a' <= c && c <= 'z' || before != '-' && 'A' <= c && c <= 'Z' {
			canonical = false
		}
		before = c
	}
	return canonical, s != ""
}

// isFieldValue reports whether s may stand in a field line as it is: no control
// character but the tab. It takes eight at a time while there is none at all.
func isFieldValue(s string) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		word := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		deleted := word ^ each*0x7f
		if ((word-each*' ')&^word|(deleted-each)&^deleted)&high != 0 {
			break
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

var tokenChar = charTable("!#$%&'*+-.^_`|~", 'a', 'z', 'A', 'Z', '0', '9')

// charTable holds each character of chars, and those of the ranges.
func charTable(chars string, ranges ...byte) (t [256]bool) {
	for i := range len(chars) {
		t[chars[i]] = true
	}
	for i := 0; i < len(ranges); i += 2 {
		for c := int(ranges[i]); c <= int(ranges[i+1]); c++ {
			t[c] = true
		}
	}
	return t
}
