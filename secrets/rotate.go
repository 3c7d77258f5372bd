package secrets

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// RotateResult says what RotateKey did.
type RotateResult struct {
	Old, New string // public keys
	Backup   string // the old key file
	Config   string // the .sops.yaml that was updated, "" where none named the old key
}

// RotateKey makes a new age key and a new data key, encrypts the whole file again
// for the new key and the other age recipients, and takes the old key out of key
// file, secrets file and .sops.yaml. The old key file is kept as a backup, since
// older copies of the secrets file need it.
//
// Between the steps the key file holds both keys: whatever happens, it opens the
// file that is there. A file that has recipients other than age is refused: use
// `sops rotate`, which can reach their key services.
func (s *Store) RotateKey(ctx context.Context) (RotateResult, error) {
	var r RotateResult
	err := s.editFile(ctx, func(e *editing, data []byte) error {
		doc, err := e.decrypt(ctx, data)
		if err != nil {
			return err
		}
		if err := e.rotatable(); err != nil {
			return err
		}
		return e.rotate(doc, &r)
	})
	return r, err
}

// rotatable reports what stands against encrypting the file again here.
func (e *editing) rotatable() error {
	if e.file == nil {
		return errors.New("this file's key can be rotated by sops only; use `sops rotate`")
	}
	others := e.file.meta.others
	for _, entry := range e.file.meta.age {
		if !entry.native() {
			others = append(others, "age "+entry.recipient)
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("only sops can encrypt for some of the file's recipients (%s); use `sops rotate`", strings.Join(others, ", "))
	}
	return nil
}

func (e *editing) rotate(doc *Document, r *RotateResult) error {
	keyFile, err := filepath.EvalSymlinks(e.store.opts.KeyFile)
	if err != nil {
		return err
	}
	removeStale(keyFile)
	old, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	e.mem.adopt(old)
	if r.Old, err = e.oldRecipient(old); err != nil {
		return err
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	r.New = id.Recipient().String()
	if r.Backup, err = backupFile(e.store.opts.KeyFile, copyFile); err != nil {
		return err
	}
	both := slices.Concat(keyFileText(time.Now(), id), old)
	e.mem.adopt(both)
	if err := replaceFile(keyFile, both); err != nil {
		return err
	}
	if err := e.rotateFile(doc, r.Old, r.New); err != nil {
		return err
	}
	if err := e.store.rotateConfig(r); err != nil {
		return err
	}
	return replaceFile(keyFile, withoutIdentity(both, r.Old))
}

// oldRecipient returns the public key of ours that the file is encrypted for.
func (e *editing) oldRecipient(keyFile []byte) (string, error) {
	ids, err := parseIdentities(keyFile)
	if err != nil {
		return "", fail(DecryptFailed, err)
	}
	for _, id := range ids {
		if slices.ContainsFunc(e.file.meta.age, func(a ageEntry) bool { return a.recipient == recipientOf(id) }) {
			return recipientOf(id), nil
		}
	}
	return "", fail(DecryptFailed, errors.New("the file names none of the key file's public keys"))
}

// rotateFile encrypts the file again with a new data key, for the same recipients
// but one.
func (e *editing) rotateFile(doc *Document, old, recipient string) error {
	var recipients []string
	for _, entry := range e.file.meta.age {
		if entry.recipient == old {
			entry.recipient = recipient
		}
		if !slices.Contains(recipients, entry.recipient) {
			recipients = append(recipients, entry.recipient)
		}
	}
	key := make([]byte, dataKeySize)
	e.mem.adopt(key)
	_, _ = rand.Read(key) // never fails
	out, c, err := e.reencrypt(key, recipients)
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", e.path, err)
	}
	if err := e.check(c, doc, out); err != nil {
		return fmt.Errorf("encrypt %s: %w", e.path, err)
	}
	return replaceFile(e.path, out)
}

func (e *editing) reencrypt(key []byte, recipients []string) ([]byte, *crypter, error) {
	was, err := newCrypter(e.key, e.mem)
	if err != nil {
		return nil, nil, err
	}
	now, err := newCrypter(key, e.mem)
	if err != nil {
		return nil, nil, err
	}
	src, err := e.file.source()
	if err != nil {
		return nil, nil, err
	}
	err = src.reencrypt(func(path []string, text string) (string, error) {
		plain, typ, err := was.open([]byte(text), joinPath(path))
		if err != nil && !e.file.meta.rules.encrypted(path) {
			return text, nil // plaintext that looks like ciphertext
		}
		return now.seal(plain, typ, joinPath(path)), err
	})
	if err != nil {
		return nil, nil, err
	}
	entries, err := ageEntries(key, recipients)
	if err != nil {
		return nil, nil, err
	}
	src.setMeta("age", entries)
	out, err := now.sign(e.format, src)
	return out, now, err
}

// rotateConfig puts the new public key into the .sops.yaml that names the old one.
func (s *Store) rotateConfig(r *RotateResult) error {
	config, _, err := findRule(s.opts.File)
	if err != nil || config == "" {
		return err
	}
	data, err := os.ReadFile(config)
	if err != nil || !bytes.Contains(data, []byte(r.Old)) {
		return err
	}
	r.Config = config
	return replaceRecipient(config, r.Old, r.New)
}

// withoutIdentity returns a key file's text without the identity of this public
// key and the comments that name it.
func withoutIdentity(data []byte, recipient string) []byte {
	var out []byte
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, []byte(recipient)) {
			continue
		}
		if ids, err := parseIdentities(line); err == nil && recipientOf(ids[0]) == recipient {
			continue
		}
		out = append(out, line...)
	}
	return out
}
