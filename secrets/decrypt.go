package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// decrypt turns the bytes of the secrets file into values. It fails with an
// *Error.
func (s *Store) decrypt(ctx context.Context, data []byte, mem *memory) (map[string]Value, error) {
	f := formatOf(s.opts.File)
	backend, doc, err := s.choose(f, data)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	defer func() { s.metrics.duration.WithLabelValues(backend).Observe(time.Since(start).Seconds()) }()
	var tree *node
	if backend == BackendSops {
		if err = s.keyFileMissing(needsKeyFile(doc, data)); err == nil {
			tree, err = s.decryptSops(ctx, s.opts.File, f, mem)
		}
	} else {
		tree, err = s.decryptEmbedded(doc, mem)
	}
	if err != nil {
		return nil, err
	}
	return collect(tree, mem)
}

// choose picks the backend for a file. The document is nil where the file can't be
// parsed here and the sops program is to have its say.
func (s *Store) choose(f format, data []byte) (backend string, doc *document, err error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return "", nil, fail(DecryptFailed, emptyFile(s.opts.File))
	}
	if f == formatINI {
		return BackendSops, nil, nil
	}
	doc, err = parse(f, data)
	switch {
	case err != nil && s.opts.Backend == BackendSops:
		return BackendSops, nil, nil
	case err != nil:
		return "", nil, fail(DecryptFailed, fmt.Errorf("%s: %w", s.opts.File, err))
	case s.opts.Backend == BackendSops:
		return BackendSops, doc, nil
	}
	able, why := doc.meta.embedded()
	switch {
	case s.opts.Backend == BackendEmbedded && !able:
		return "", nil, fail(DecryptFailed, fmt.Errorf("%s; set secrets.backend to auto or sops", why))
	case !able || s.opts.Backend == BackendAuto && s.opts.KeyFile == "":
		return BackendSops, doc, nil
	}
	return BackendEmbedded, doc, nil
}

func (s *Store) decryptEmbedded(doc *document, mem *memory) (*node, error) {
	key, err := s.dataKey(doc)
	if err != nil {
		return nil, err
	}
	defer wipe(key)
	if err := doc.open(key, mem); err != nil {
		return nil, fail(DecryptFailed, err)
	}
	return doc.docs[0], nil
}

// dataKey opens the file's data key with the key file. Where it can't, and the file
// has keys that only sops can use, the error says so.
func (s *Store) dataKey(doc *document) ([]byte, error) {
	ids, err := readIdentities(s.opts.KeyFile)
	if err == nil {
		var key []byte
		if key, err = doc.meta.dataKey(ids); err == nil {
			return key, nil
		}
		err = fail(DecryptFailed, err)
	}
	if e, ok := errors.AsType[*Error](err); ok && len(doc.meta.others) > 0 {
		e.Detail = clip(fmt.Sprintf("with secrets.backend = %q sops would try the file's other keys, %s; %s", BackendSops, strings.Join(doc.meta.others, ", "), e.Detail))
	}
	return nil, err
}

// keyFileMissing returns the error of a key file that is configured, needed and
// not there.
func (s *Store) keyFileMissing(needed bool) error {
	if s.opts.KeyFile == "" || !needed {
		return nil
	}
	if _, err := os.Stat(s.opts.KeyFile); errors.Is(err, os.ErrNotExist) {
		return fail(KeyFileNotFound, err)
	}
	return nil
}

// needsKeyFile reports whether a file has age recipients; INI, which is not parsed
// here, has them under these flat names.
func needsKeyFile(doc *document, data []byte) bool {
	if doc == nil {
		return bytes.Contains(data, []byte("age"+listSeparator))
	}
	return len(doc.meta.age) > 0
}

// collect makes values of what stands at the top of the tree.
func collect(tree *node, mem *memory) (map[string]Value, error) {
	values := make(map[string]Value, len(tree.keys))
	seen := make(map[string]bool, len(tree.keys))
	for i, name := range tree.keys {
		if seen[name] {
			return nil, fail(SecretsUnparsable, fmt.Errorf("%q stands in the file twice", name))
		}
		seen[name] = true
		if b, ok := tree.kids[i].value(mem); ok {
			values[name] = newValue(b)
		}
	}
	return values, nil
}
