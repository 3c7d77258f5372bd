package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// ErrEmptyFile is wrapped by the cause of a [DecryptFailed] for a secrets file
// that holds nothing at all.
var ErrEmptyFile = errors.New("the file is empty")

// ErrNotEncrypted is wrapped by the cause of a [DecryptFailed] for a secrets file
// that sops did not write.
var ErrNotEncrypted = errors.New("sops metadata not found: the file is not encrypted with sops")

// emptyFile says how a secrets file gets empty and what would have filled it:
// with a path_regex that names the encrypted file, `sops -e plain > encrypted`
// finds no rule for "plain", after the shell has made the file.
func emptyFile(path string) error {
	file := filepath.Base(path)
	return fmt.Errorf("%s: %w, which is what `sops -e %s > %s` leaves behind when it fails; run `sops -e --filename-override %s %s > %s`",
		path, ErrEmptyFile, plainName(file), file, file, plainName(file), file)
}

// plainName is what the plaintext of an encrypted file is usually called.
func plainName(file string) string {
	ext := filepath.Ext(file)
	stem, _, _ := strings.Cut(strings.TrimSuffix(file, ext), ".")
	if plain := stem + ext; plain != file {
		return plain
	}
	return "plain" + ext
}

// nestedDetail explains a file whose secrets are not where they are looked for.
const nestedDetail = "the file holds one name, data, with all secrets below it: sops took the plaintext for one binary value (its name had no .yaml, .json or .env), " +
	"or data: stands above the names; encrypt it again with --input-type yaml --output-type yaml, names at the top"

// nested reports whether all that a file holds stands under one name, data.
func nested(values map[string]Value) bool {
	v, ok := values["data"]
	return ok && len(values) == 1 && (bytes.HasPrefix(v.bytes(), []byte("{")) || bytes.ContainsAny(v.bytes(), "\n="))
}

// Mistake is a value that was most likely not meant to be as it is.
type Mistake struct {
	Name string
	What string // a clause: "has quotes around it"
}

// Mistakes looks for what goes wrong when values are pasted: a newline or a blank
// at an end, quotes that were meant for a shell, and a whole document under one
// name. It says which secret and what, and neither shows nor measures a value.
func (d *Document) Mistakes() []Mistake {
	if nested(d.values) {
		return []Mistake{{"data", "is the whole document: " + nestedDetail}}
	}
	var all []Mistake
	for _, name := range d.names {
		v, ok := d.values[name]
		if !ok {
			continue
		}
		if what := mistake(v.bytes()); what != "" {
			all = append(all, Mistake{name, what})
		}
	}
	return all
}

func mistake(v []byte) string {
	line := bytes.TrimRight(v, "\r\n")
	switch {
	case bytes.ContainsAny(line, "\r\n"):
		return "" // several lines, a PEM block for instance, end with one
	case len(line) < len(v):
		return "ends with a newline"
	case len(bytes.TrimSpace(v)) < len(v):
		return "begins or ends with a blank"
	case len(v) >= 2 && v[0] == v[len(v)-1] && bytes.IndexByte([]byte("\"'`"), v[0]) >= 0:
		return "has quotes around it"
	}
	return ""
}

// shortest is the length in bytes under which a value stands in a text by chance.
const shortest = 8

// FoundIn names the secrets whose value, of at least 8 bytes, stands in text: a
// page or a file that must hold none.
func (d *Document) FoundIn(text []byte) []string {
	var found []string
	for _, name := range d.names {
		if v, ok := d.values[name]; ok && v.Len() >= shortest && bytes.Contains(text, v.bytes()) {
			found = append(found, name)
		}
	}
	return found
}
