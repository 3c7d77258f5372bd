package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// A line is
//
//	{"seq":N,"time":…,"kind":…,…,"prev":"<hash of line N-1>","hash":"<hash>"}
//
// and its hash is the SHA-256, in hex, of its bytes before `,"hash":`, which
// hold the hash of the line before. Line 1 follows a hash of 64 zeros. The
// chain goes on across rotated files and restarts.

// Entry is an event with its place in the chain.
type Entry struct {
	Seq   uint64 `json:"seq"` // 1 for the first line ever, without gaps
	Event        // the event as it was written
	Prev  string `json:"prev"` // hash of the line before
	Hash  string `json:"hash"` // hash of this line
}

// link is the place in the chain behind a line.
type link struct {
	seq  uint64
	hash hash
}

// hash is a SHA-256 in hex digits.
type hash [hashLen]byte

// start is the link before the first line.
var start = link{hash: hash(bytes.Repeat([]byte("0"), hashLen))}

const (
	hashLen  = 2 * sha256.Size
	prevKey  = `,"prev":"`
	hashKey  = `,"hash":"`
	seqKey   = `{"seq":`
	tailSize = len(hashKey) + hashLen + len(`"}`)
)

// appendLine appends the line of e that follows l, and returns its link.
func appendLine(b []byte, l link, e *Event) ([]byte, link) {
	begin := len(b)
	b = append(b, seqKey...)
	b = strconv.AppendUint(b, l.seq+1, 10)
	b = appendEvent(b, e)
	b = append(b, prevKey...)
	b = append(b, l.hash[:]...)
	b = append(b, '"')
	sum := sha256.Sum256(b[begin:])
	b = append(b, hashKey...)
	at := len(b)
	b = hex.AppendEncode(b, sum[:])
	next := link{l.seq + 1, hash(b[at:])}
	return append(b, '"', '}', '\n'), next
}

var (
	errNotALine = errors.New("this is not a line of an audit record")
	errChanged  = errors.New("the line was changed: its hash does not match its bytes")
)

// parseLine checks a line, without its line break, against its own hash and
// returns its link and the hash of the line before.
func parseLine(line []byte) (l link, prev hash, err error) {
	if len(line) < tailSize || !bytes.HasSuffix(line, []byte(`"}`)) {
		return link{}, hash{}, errNotALine
	}
	body, tail := line[:len(line)-tailSize], line[len(line)-tailSize:]
	if !bytes.HasPrefix(tail, []byte(hashKey)) {
		return link{}, hash{}, errNotALine
	}
	l.hash = hash(tail[len(hashKey):])
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != string(l.hash[:]) {
		return link{}, hash{}, errChanged
	}
	rest, ok := bytes.CutPrefix(body, []byte(seqKey))
	digits, _, found := bytes.Cut(rest, []byte(","))
	at := len(body) - len(prevKey) - hashLen - 1
	if !ok || !found || at < 0 || !bytes.HasPrefix(body[at:], []byte(prevKey)) {
		return link{}, hash{}, errNotALine
	}
	if l.seq, err = strconv.ParseUint(string(digits), 10, 64); err != nil {
		return link{}, hash{}, errNotALine
	}
	return l, hash(body[at+len(prevKey):]), nil
}

// decodeLine reads a line's event.
func decodeLine(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errNotALine, err)
	}
	return e, nil
}
