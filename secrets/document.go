package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var validName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)

// ValidName reports whether name can be the name of a secret.
func ValidName(name string) bool { return validName.MatchString(name) }

// ErrNoSecret is wrapped by the error of removing a name that is not there.
var ErrNoSecret = errors.New("no such secret")

// Document is the decrypted file inside [Store.Edit]. What is changed in it is
// written when the edit returns nil, all of it or nothing. Its values are
// overwritten when the edit is over.
type Document struct {
	format format
	rules  *rules // nil: the sops program decides
	names  []string
	values map[string]Value
	before map[string]Value
	mem    *memory

	exposed []string // names with something in plaintext
	rule    string   // why: what the file's metadata says
}

func newDocument(f format, tree *node, mem *memory) (*Document, error) {
	values, err := collect(tree, mem)
	if err != nil {
		return nil, err
	}
	return &Document{
		format: f, names: slices.Clone(tree.keys), values: values, before: maps.Clone(values), mem: mem,
	}, nil
}

// Names returns the names in the order of the file, those whose value is null
// included.
func (d *Document) Names() []string { return slices.Clone(d.names) }

// Get returns the value of name; false where there is none or it is null.
func (d *Document) Get(name string) (Value, bool) {
	v, ok := d.values[name]
	return v, ok
}

// Exposed returns the names under which something stands in the file in plaintext,
// by its own [Document.Rule]. A file of a format or a rule that only the sops
// program reads has none.
func (d *Document) Exposed() []string { return slices.Clone(d.exposed) }

// Rule returns what decides about encryption in the file, as its metadata has it.
func (d *Document) Rule() string { return d.rule }

// expose notes what rules leave in plaintext.
func (d *Document) expose(tree *node, rules rules) {
	d.rule = fmt.Sprintf("%s %q", rules.kind, rules.text)
	for i, name := range tree.keys {
		if tree.kids[i].exposed([]string{name}, rules) {
			d.exposed = append(d.exposed, name)
		}
	}
}

// exposed reports whether there is text at or below path that rules leave as it is.
func (n *node) exposed(path []string, rules rules) bool {
	for i, kid := range n.kids {
		at := path
		if n.kind == kindMap {
			at = append(path[:len(path):len(path)], n.keys[i])
		}
		if kid.exposed(at, rules) {
			return true
		}
	}
	return len(n.text) > 0 && !rules.encrypted(path)
}

// Set gives name the value v, byte for byte. It fails for a name that is not
// valid, a value that is not UTF-8 (SOPS can't keep one), and a name that the
// file's rules leave in plaintext.
func (d *Document) Set(name string, v []byte) error {
	if err := d.settable(name, v); err != nil {
		return err
	}
	if !slices.Contains(d.names, name) {
		d.names = append(d.names, name)
	}
	d.values[name] = newValue(append(d.mem.alloc(len(v)), v...))
	return nil
}

func (d *Document) settable(name string, v []byte) error {
	switch {
	case !ValidName(name):
		return fmt.Errorf("%q is not a name for a secret: letters, digits, _ . and -, at most 128, not beginning with a digit, . or -", name)
	case name == metaKey || d.format == formatDotenv && strings.HasPrefix(name, metaPrefix):
		return fmt.Errorf("%q is a name that sops keeps for itself", name)
	case !utf8.Valid(v):
		return fmt.Errorf("the value of %s is not UTF-8 text: encode it, as base64 for instance", name)
	case d.rules != nil && !d.rules.encrypted([]string{name}):
		return fmt.Errorf("%s would not be encrypted in this file: its %s is %q", name, d.rules.kind, d.rules.text)
	}
	return nil
}

// Remove takes name out of the file. Its error wraps [ErrNoSecret] where the file
// has no such name.
func (d *Document) Remove(name string) error {
	i := slices.Index(d.names, name)
	if i < 0 {
		return fmt.Errorf("remove %s: %w", name, ErrNoSecret)
	}
	d.names = slices.Delete(d.names, i, i+1)
	delete(d.values, name)
	return nil
}

// Import sets every name of values, or none of them when one can't be set.
func (d *Document) Import(values map[string][]byte) error {
	names := slices.Sorted(maps.Keys(values))
	for _, name := range names {
		if err := d.settable(name, values[name]); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := d.Set(name, values[name]); err != nil {
			return err
		}
	}
	return nil
}

// A change is one difference between the file and the edited document.
type change struct {
	name   string
	value  []byte
	remove bool
}

// changes compares the document with what tree held; null values stay as they are.
func (d *Document) changes(tree []string) []change {
	var list []change
	for _, name := range tree {
		if !slices.Contains(d.names, name) {
			list = append(list, change{name: name, remove: true})
		}
	}
	for _, name := range d.names {
		now, has := d.values[name]
		was, had := d.before[name]
		if has && (!had || !now.Equal(was)) {
			list = append(list, change{name: name, value: now.bytes()})
		}
	}
	return list
}

// holds reports whether a file that was read back has exactly the values of the
// document.
func (d *Document) holds(values map[string]Value) bool {
	return maps.EqualFunc(d.values, values, func(a, b Value) bool { return bytes.Equal(a.bytes(), b.bytes()) })
}
