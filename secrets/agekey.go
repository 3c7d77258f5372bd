package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// readIdentities reads an age key file: one identity a line, X25519 or
// post-quantum hybrid. Identities of plugins are passed over, since only the sops
// program can use them.
func readIdentities(path string) ([]age.Identity, error) {
	if path == "" {
		return nil, &Error{Code: KeyFileNotFound, Detail: "sops_key_file is not set"}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fail(KeyFileNotFound, err)
		}
		return nil, fail(DecryptFailed, err)
	}
	defer wipe(data)
	ids, err := parseIdentities(data)
	if err != nil {
		return nil, fail(DecryptFailed, fmt.Errorf("key file %s: %w", path, err))
	}
	return ids, nil
}

func parseIdentities(data []byte) ([]age.Identity, error) {
	var ids []age.Identity
	n := 0
	for line := range bytes.Lines(data) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || bytes.HasPrefix(line, []byte("AGE-PLUGIN-")) {
			continue
		}
		if bytes.HasPrefix(line, []byte("-----BEGIN AGE ENCRYPTED FILE")) || bytes.HasPrefix(line, []byte("age-encryption.org/")) {
			return nil, errors.New("it is protected by a passphrase: decrypt it with `age -d` first")
		}
		id, err := age.ParseIdentities(bytes.NewReader(line))
		if err != nil { // the error of age quotes what it could not parse
			return nil, fmt.Errorf("line %d is not an age identity", n)
		}
		ids = append(ids, id...)
	}
	if len(ids) == 0 {
		return nil, errors.New("it holds no age identity")
	}
	return ids, nil
}

// recipientOf returns the public key of an identity.
func recipientOf(id age.Identity) string {
	switch id := id.(type) {
	case *age.X25519Identity:
		return id.Recipient().String()
	case *age.HybridIdentity:
		return id.Recipient().String()
	default:
		return ""
	}
}

// dataKey decrypts the file's data key with one of the identities. The entries
// that name one of our public keys are tried first.
func (m *metadata) dataKey(ids []age.Identity) ([]byte, error) {
	var ours []string
	for _, id := range ids {
		ours = append(ours, recipientOf(id))
	}
	entries := slices.Clone(m.age)
	slices.SortStableFunc(entries, func(a, b ageEntry) int {
		return rank(slices.Contains(ours, b.recipient)) - rank(slices.Contains(ours, a.recipient))
	})
	var errs []error
	for _, e := range entries {
		key, err := openDataKey(e.enc, ids)
		if err == nil {
			return key, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", e.recipient, err))
	}
	return nil, fmt.Errorf("the key file (public key %s) opens none of the file's age recipients: %w",
		strings.Join(ours, ", "), errors.Join(errs...))
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// openDataKey reads at an offset and not a stream, which would bring two buffers of
// 64 KiB for 32 bytes.
func openDataKey(enc string, ids []age.Identity) ([]byte, error) {
	file, err := io.ReadAll(armor.NewReader(strings.NewReader(enc)))
	if err != nil {
		return nil, err
	}
	r, size, err := age.DecryptReaderAt(bytes.NewReader(file), int64(len(file)), ids...)
	if err != nil {
		return nil, err
	}
	if size != dataKeySize {
		return nil, errors.New("the data key has the wrong length")
	}
	key := make([]byte, dataKeySize)
	if _, err := r.ReadAt(key, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return key, nil
}

const dataKeySize = 32

// parseRecipient parses a public key that the embedded backend can encrypt for.
func parseRecipient(s string) (age.Recipient, error) {
	if strings.HasPrefix(s, "age1pq1") {
		return age.ParseHybridRecipient(s)
	}
	return age.ParseX25519Recipient(s)
}

// sealDataKey encrypts a data key for one recipient, armored as sops writes it.
func sealDataKey(key []byte, recipient string) (string, error) {
	to, err := parseRecipient(recipient)
	if err != nil {
		return "", fmt.Errorf("age recipient %q: %w", recipient, err)
	}
	var buf bytes.Buffer
	aw := armor.NewWriter(&buf)
	w, err := age.Encrypt(aw, to)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(key); err != nil {
		return "", err
	}
	if err := errors.Join(w.Close(), aw.Close()); err != nil {
		return "", err
	}
	return buf.String(), nil
}
