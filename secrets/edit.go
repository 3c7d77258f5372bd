package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Read decrypts the file, past the cache, and lets look see what it holds. What
// look changes in the document is not written. The document's values are
// overwritten when Read returns.
func (s *Store) Read(ctx context.Context, look func(*Document) error) error {
	data, _, err := readFile(s.opts.File)
	if err != nil {
		return s.unreadable(err)
	}
	e := editing{store: s, mem: &memory{}, path: s.opts.File}
	defer e.mem.wipe()
	doc, err := e.decrypt(ctx, data)
	if err != nil {
		return err
	}
	return look(doc)
}

// Edit changes the file: it locks it, decrypts it, lets change work on it, and
// puts the new file in the place of the old one in one step. Recipients, comments,
// the order of names and the file's mode stay. The plaintext is in memory only. At
// any moment, whatever happens, the old or the new file is there; the new one was
// read back and compared before. Nothing is written when change returns an error
// or has changed nothing.
//
// A file that the embedded backend can't open is changed by the sops program, 3.11
// or newer.
func (s *Store) Edit(ctx context.Context, change func(*Document) error) error {
	return s.editFile(ctx, func(e *editing, data []byte) error { return e.edit(ctx, data, change) })
}

// editFile calls work with the file's bytes while it holds the file's lock.
func (s *Store) editFile(ctx context.Context, work func(e *editing, data []byte) error) error {
	if !s.Configured() {
		return &Error{Code: SecretsFileNotFound, Detail: "no sops_secrets_file is configured"}
	}
	path, err := filepath.EvalSymlinks(s.opts.File)
	if err != nil {
		return s.unreadable(err)
	}
	unlock, err := lockFile(ctx, path)
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	defer unlock()
	removeStale(path)
	e := editing{store: s, mem: &memory{}, path: path}
	defer func() { e.mem.wipe() }()
	data, _, err := readFile(path)
	if err != nil {
		return s.unreadable(err)
	}
	return work(&e, data)
}

// editing is one edit under way.
type editing struct {
	store *Store
	mem   *memory
	path  string
	// set by decrypt
	format format
	tree   *node
	file   *document // embedded backend
	key    []byte    // embedded backend
}

func (e *editing) edit(ctx context.Context, data []byte, change func(*Document) error) error {
	doc, err := e.decrypt(ctx, data)
	if err != nil {
		return err
	}
	if err := change(doc); err != nil {
		return err
	}
	changes := doc.changes(e.tree.keys)
	if len(changes) == 0 {
		return nil
	}
	if e.file == nil {
		return e.rewriteSops(ctx, doc, changes)
	}
	out, err := e.rewrite(doc, changes)
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", e.path, err)
	}
	return replaceFile(e.path, out)
}

// decrypt reads the file into a Document with the backend that runs use.
func (e *editing) decrypt(ctx context.Context, data []byte) (*Document, error) {
	s := e.store
	e.format = formatOf(s.opts.File)
	backend, file, err := s.choose(e.format, data)
	if err != nil {
		return nil, err
	}
	if backend == BackendSops {
		if err := s.keyFileMissing(needsKeyFile(file, data)); err != nil {
			return nil, err
		}
		if e.tree, err = s.decryptSops(ctx, e.path, e.format, e.mem); err != nil {
			return nil, err
		}
		doc, err := newDocument(e.format, e.tree, e.mem)
		if err == nil && file != nil && !file.meta.commentRules {
			doc.expose(e.tree, file.meta.rules)
		}
		return doc, err
	}
	if e.key, err = s.dataKey(file); err != nil {
		return nil, err
	}
	e.mem.adopt(e.key)
	if err := file.open(e.key, e.mem); err != nil {
		return nil, fail(DecryptFailed, err)
	}
	e.file, e.tree = file, file.docs[0]
	doc, err := newDocument(e.format, e.tree, e.mem)
	if err == nil {
		doc.rules = &file.meta.rules
		doc.expose(e.tree, file.meta.rules)
	}
	return doc, err
}

// rewrite encrypts the changed values with the file's own data key, so that every
// entry of every recipient, PGP and key services included, stays good, and what
// was not changed stays as it stands.
func (e *editing) rewrite(doc *Document, changes []change) ([]byte, error) {
	c, err := newCrypter(e.key, e.mem)
	if err != nil {
		return nil, err
	}
	src, err := e.file.source()
	if err != nil {
		return nil, err
	}
	for _, ch := range changes {
		if ch.remove {
			src.remove(ch.name)
		} else {
			src.set(ch.name, c.seal(ch.value, "str", joinPath([]string{ch.name})))
		}
	}
	out, err := c.sign(e.format, src)
	if err != nil {
		return nil, err
	}
	return out, e.check(c, doc, out)
}

// sign writes a source with a MAC over what it holds now.
func (c *crypter) sign(f format, src source) ([]byte, error) {
	draft, err := src.bytes()
	if err != nil {
		return nil, err
	}
	d, err := parse(f, draft)
	if err != nil {
		return nil, err
	}
	mac, err := c.decryptTree(d.docs, &d.meta)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	src.setMeta("lastmodified", stringNode(now))
	src.setMeta("mac", stringNode(c.seal([]byte(mac), "str", now)))
	return src.bytes()
}

// check reads what is about to be written and compares it.
func (e *editing) check(c *crypter, doc *Document, out []byte) error {
	d, err := parse(e.format, bytes.Clone(out))
	if err != nil {
		return err
	}
	mac, err := c.decryptTree(d.docs, &d.meta)
	if err != nil {
		return err
	}
	if err := c.verifyMAC(&d.meta, mac); err != nil {
		return err
	}
	values, err := collect(d.docs[0], e.mem)
	if err != nil {
		return err
	}
	if !doc.holds(values) {
		return errors.New("the new file would not hold what was set; the old one is untouched")
	}
	return nil
}

// rewriteSops has the sops program change a copy of the file, one value after the
// other, each from its standard input.
func (e *editing) rewriteSops(ctx context.Context, doc *Document, changes []change) (err error) {
	if err := sopsCanSet(ctx); err != nil {
		return err
	}
	tmp, err := copyAside(e.path)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }()
	for _, ch := range changes {
		types := []string{"--input-type", string(e.format), "--output-type", string(e.format)}
		args := append([]string{"set", "--value-stdin"}, append(types, tmp, e.sopsPath(ch.name))...)
		stdin := appendQuoted(e.mem.alloc(maxQuoted(ch.value)), ch.value)
		if ch.remove {
			args, stdin = append([]string{"unset"}, append(types, tmp, e.sopsPath(ch.name))...), nil
		}
		if _, err := e.store.sops(ctx, e.mem, stdin, args...); err != nil {
			return err
		}
	}
	tree, err := e.store.decryptSops(ctx, tmp, e.format, e.mem)
	if err != nil {
		return err
	}
	values, err := collect(tree, e.mem)
	if err != nil {
		return err
	}
	if !doc.holds(values) {
		return errors.New("sops did not write what was set; the old file is untouched")
	}
	return moveInto(tmp, e.path)
}

// sopsPath is how sops names a top-level value.
func (e *editing) sopsPath(name string) string {
	if e.format == formatINI {
		return fmt.Sprintf(`["DEFAULT"]["%s"]`, name)
	}
	return fmt.Sprintf(`["%s"]`, name)
}

// sopsCanSet makes sure that sops takes a value from standard input. Older ones
// take it as an argument only, where every process can see it.
func sopsCanSet(ctx context.Context) error {
	_, version, err := SopsVersion(ctx)
	if err != nil {
		return err
	}
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil || major < 3 || major == 3 && minor < 11 {
		return fmt.Errorf("changing this file needs sops 3.11 or newer, this is %s: it has no way to take a value but the command line; use `sops edit` instead", version)
	}
	return nil
}
