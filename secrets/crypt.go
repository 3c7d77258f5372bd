package secrets

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	nonceSize = 32 // what sops uses; the size of a value's own nonce is what counts
	tagSize   = 16
)

// macOnlySeed starts the MAC of a file whose MAC covers encrypted values only, so
// that such a MAC never equals one over everything. It is SHA-256 of "sops".
var macOnlySeed, _ = hex.DecodeString("8a3fd2ad54ce66527b1034f3d147be0b0b975b3bf44f72c6fdadec8176f27d69")

// A crypter encrypts and decrypts values with one file's data key.
type crypter struct {
	block cipher.Block
	gcm   cipher.AEAD // for nonces of nonceSize
	mem   *memory     // where plaintext goes
}

func newCrypter(dataKey []byte, mem *memory) (*crypter, error) {
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, errors.New("the data key has the wrong length")
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, nonceSize)
	return &crypter{block, gcm, mem}, err
}

var (
	errNotCiphertext = errors.New("a value that should be encrypted is not")
	errAuthenticate  = errors.New("a value does not authenticate: changed, moved, or encrypted with another data key")
)

// open decrypts one value of the form ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]
// and returns plaintext and type. An empty value is empty. Errors never quote the
// value: it may be plaintext that somebody pasted in.
func (c *crypter) open(value []byte, path string) (plain []byte, typ string, err error) {
	if len(value) == 0 {
		return nil, "str", nil
	}
	data, iv, tag, typ, ok := splitCiphertext(value)
	if !ok {
		return nil, "", errNotCiphertext
	}
	buf := c.mem.alloc(base64.StdEncoding.DecodedLen(len(data)) + base64.StdEncoding.DecodedLen(len(tag)))
	if buf, err = base64.StdEncoding.AppendDecode(buf, data); err == nil {
		buf, err = base64.StdEncoding.AppendDecode(buf, tag)
	}
	if err != nil {
		return nil, "", errNotCiphertext
	}
	nonce, err := base64.StdEncoding.AppendDecode(make([]byte, 0, 48), iv)
	if err != nil || len(nonce) == 0 {
		return nil, "", errNotCiphertext
	}
	gcm := c.gcm
	if len(nonce) != nonceSize {
		if gcm, err = cipher.NewGCMWithNonceSize(c.block, len(nonce)); err != nil {
			return nil, "", err
		}
	}
	plain, err = gcm.Open(buf[:0], nonce, buf, []byte(path))
	if err != nil {
		return nil, "", errAuthenticate
	}
	return plain, typ, nil
}

func splitCiphertext(value []byte) (data, iv, tag []byte, typ string, ok bool) {
	rest, ok1 := bytes.CutPrefix(value, []byte("ENC[AES256_GCM,data:"))
	data, rest, ok2 := bytes.Cut(rest, []byte(",iv:"))
	iv, rest, ok3 := bytes.Cut(rest, []byte(",tag:"))
	tag, rest, ok4 := bytes.Cut(rest, []byte(",type:"))
	t, _, ok5 := bytes.Cut(rest, []byte("]"))
	return data, iv, tag, string(t), ok1 && ok2 && ok3 && ok4 && ok5 && len(data) > 0 && len(tag) > 0
}

// seal is the reverse of open, with a fresh nonce.
func (c *crypter) seal(plain []byte, typ, path string) string {
	if len(plain) == 0 {
		return ""
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	out := c.gcm.Seal(nil, nonce, plain, []byte(path))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:%s]",
		b64(out[:len(out)-tagSize]), b64(nonce), b64(out[len(out)-tagSize:]), typ)
}

// joinPath is the additional data of a value: its keys, each with a colon.
func joinPath(path []string) string { return strings.Join(path, ":") + ":" }

// decryptTree decrypts all documents in place and returns the MAC over them.
func (c *crypter) decryptTree(docs []*node, meta *metadata) (string, error) {
	w := treeWalk{crypter: c, meta: meta, mac: sha512.New()}
	if meta.macOnly {
		w.mac.Write(macOnlySeed)
	}
	// The hash keeps the end of what it was given; zeros take its place.
	defer w.mac.Write(make([]byte, 2*sha512.BlockSize))
	for _, doc := range docs {
		if err := w.walk(doc, nil); err != nil {
			return "", err
		}
	}
	return strings.ToUpper(hex.EncodeToString(w.mac.Sum(nil))), nil
}

type treeWalk struct {
	*crypter
	meta *metadata
	mac  hash.Hash
}

func (w *treeWalk) walk(n *node, path []string) error {
	switch n.kind {
	case kindMap:
		for i, kid := range n.kids {
			if err := w.walk(kid, append(path, n.keys[i])); err != nil {
				return err
			}
		}
		return nil
	case kindList:
		for _, kid := range n.kids {
			if err := w.walk(kid, path); err != nil {
				return err
			}
		}
		return nil
	case kindNull:
		return nil
	default:
		if err := w.leaf(n, path); err != nil {
			return fmt.Errorf("value at %q: %w", strings.Join(path, "."), err)
		}
		return nil
	}
}

func (w *treeWalk) leaf(n *node, path []string) error {
	encrypted := w.meta.rules.encrypted(path)
	if encrypted {
		if n.kind != kindString {
			return errNotCiphertext
		}
		plain, typ, err := w.open(n.text, joinPath(path))
		if err != nil {
			return err
		}
		n.text = plain
		if n.kind, err = kindOf(typ); err != nil {
			return err
		}
	}
	if err := n.normalise(w.mem); err != nil {
		return err
	}
	if n.kind != kindComment && (encrypted || !w.meta.macOnly) {
		w.mac.Write(n.text)
	}
	return nil
}

func kindOf(typ string) (kind, error) {
	switch typ {
	case "str":
		return kindString, nil
	case "int":
		return kindInt, nil
	case "float":
		return kindFloat, nil
	case "bool":
		return kindBool, nil
	case "time":
		return kindTime, nil
	case "bytes":
		return kindBytes, nil
	case "comment":
		return kindComment, nil
	default:
		return 0, errors.New("unknown type of value")
	}
}

// normalise gives a scalar the one spelling that the MAC covers. What has it already,
// as everything that sops wrote, is neither copied nor converted.
func (n *node) normalise(mem *memory) error {
	switch n.kind {
	case kindInt:
		if plainInt(n.text) {
			return nil
		}
		i, err := strconv.Atoi(string(n.text))
		if err != nil {
			return errors.New("not an integer")
		}
		n.respell(mem, strconv.Itoa(i))
	case kindNumber:
		n.kind = kindFloat
		if _, err := strconv.ParseInt(string(n.text), 10, 64); err == nil {
			n.kind = kindInt
		}
		return n.normalise(mem)
	case kindFloat:
		f, err := strconv.ParseFloat(string(n.text), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) { // which sops can't print as JSON
			return errors.New("not a number")
		}
		n.respell(mem, strconv.FormatFloat(f, 'f', -1, 64))
	case kindBool:
		v, err := strconv.ParseBool(string(n.text))
		if err != nil {
			return errors.New("not a boolean")
		}
		n.respell(mem, map[bool]string{true: "True", false: "False"}[v])
	case kindTime:
		var t time.Time
		if err := t.UnmarshalText(n.text); err != nil {
			return errors.New("not a time")
		}
		b, err := t.MarshalText()
		if err != nil {
			return errors.New("not a time")
		}
		n.respell(mem, string(b))
	}
	return nil
}

// plainInt reports whether text is an integer as strconv writes it, of at most as
// many digits as surely fit.
func plainInt(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte("-"))
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(text) > 1 {
		return false
	}
	return !bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}

func (n *node) respell(mem *memory, text string) {
	if string(n.text) != text {
		n.text = append(mem.alloc(len(text)), text...)
	}
}

// verifyMAC compares the MAC of a decrypted tree with the one of the file.
func (c *crypter) verifyMAC(meta *metadata, computed string) error {
	mac, _, err := c.open(meta.mac, meta.macPath())
	if err != nil {
		return fmt.Errorf("the file's MAC: %w", err)
	}
	if subtle.ConstantTimeCompare(mac, []byte(computed)) != 1 {
		return errors.New("MAC mismatch: the file was changed by something that does not hold the key")
	}
	return nil
}

// macPath is the additional data of the MAC.
func (m *metadata) macPath() string { return m.lastModified.Format(time.RFC3339) }
