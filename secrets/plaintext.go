package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Plaintext returns the document as YAML for an editor: a line "NAME: value" for
// each name, in the order of the file, text of several lines as a block. What
// [ParsePlaintext] makes of it is what the document holds, byte for byte; a map
// or a list is its JSON text. The caller overwrites it when it is done.
func (d *Document) Plaintext() []byte {
	size := 0
	for _, name := range d.names {
		// The widest form, \U0001f600 for four bytes and \x00 for one, and room
		// for the rest of the line: what is appended never moves.
		size += 4*len(name) + 4*d.values[name].Len() + 16
	}
	b := d.mem.alloc(size)
	for _, name := range d.names {
		v, ok := d.values[name]
		b = appendKey(b, name)
		if !ok {
			b = append(b, "null\n"...)
			continue
		}
		b = appendScalar(b, v.bytes())
	}
	return bytes.Clone(b)
}

func appendKey(b []byte, name string) []byte {
	if ValidName(name) {
		b = append(b, name...)
	} else {
		b = appendEscaped(b, []byte(name))
	}
	return append(b, ": "...)
}

// plainScalar is what needs no quotes under any reading of YAML.
var plainScalar = regexp.MustCompile(`^[A-Za-z0-9_/+][A-Za-z0-9_./+=-]*$`)

func appendScalar(b, v []byte) []byte {
	if bytes.Contains(v, []byte("\n")) && blockable(v) {
		return appendBlock(b, v)
	}
	if plainScalar.Match(v) && !bytes.EqualFold(v, []byte("null")) {
		return append(append(b, v...), '\n')
	}
	return append(appendEscaped(b, v), '\n')
}

// blockable reports whether a value can stand in a literal block as it is: its
// first line fixes the indentation, a second newline at the end would be lost,
// and blanks at the end of a line are what editors take away.
func blockable(v []byte) bool {
	if v[0] == ' ' || v[0] == '\n' || bytes.HasSuffix(v, []byte("\n\n")) || bytes.Contains(v, []byte(" \n")) || bytes.HasSuffix(v, []byte(" ")) {
		return false
	}
	return !bytes.ContainsFunc(v, func(r rune) bool { return r != ' ' && r != '\n' && !readable(r) })
}

func appendBlock(b, v []byte) []byte {
	if b = append(b, '|'); v[len(v)-1] != '\n' {
		b = append(b, '-')
	}
	b = append(b, '\n')
	for line := range bytes.Lines(v) {
		b = append(append(b, "  "...), line...)
	}
	if v[len(v)-1] != '\n' {
		b = append(b, '\n')
	}
	return b
}

// appendEscaped appends v as a double-quoted scalar.
func appendEscaped(b, v []byte) []byte {
	b = append(b, '"')
	for _, r := range string(v) {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == ' ' || readable(r):
			b = append(b, string(r)...)
		case r <= 0xff:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r <= 0xffff:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return append(b, '"')
}

// readable reports whether a reader can tell the character from others.
func readable(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != '\ufeff' }

// ParsePlaintext reads what an editor made of [Document.Plaintext]: the names in
// their order and the value of each, nil where it is null. Errors name lines and
// names, never values.
func ParsePlaintext(data []byte) (names []string, values map[string][]byte, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	values = map[string][]byte{}
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, values, nil
	case err != nil:
		return nil, nil, plaintextError(err)
	case !errors.Is(dec.Decode(&more), io.EOF):
		return nil, nil, errors.New("a line that begins with --- or ... ends the text; put such a value in quotes")
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("line %d: not of the form NAME: value", root.Line)
	}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if _, twice := values[key.Value]; twice {
			return nil, nil, fmt.Errorf("line %d: %s is there twice", key.Line, key.Value)
		}
		v, err := plaintextValue(key, value)
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %s %w", key.Line, key.Value, err)
		}
		names, values[key.Value] = append(names, key.Value), v
	}
	return names, values, nil
}

func plaintextValue(key, v *yaml.Node) ([]byte, error) {
	switch {
	case key.Kind != yaml.ScalarNode || key.Anchor != "":
		return nil, errors.New("is no name")
	case v.LineComment != "" || key.LineComment != "":
		return nil, errors.New("has a # behind it: put the value in quotes, or the comment on a line of its own")
	case v.Anchor != "" || v.Kind == yaml.AliasNode:
		return nil, errors.New("begins with & or *: put the value in quotes")
	case v.Kind != yaml.ScalarNode:
		return nil, errors.New("is a map or a list: put its JSON text in single quotes")
	}
	switch v.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
		return []byte(v.Value), nil
	}
	return nil, errors.New("begins with !: put the value in quotes")
}

// plaintextError keeps the line of a YAML error and the complaint, unless that
// quotes the text.
func plaintextError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(text, "unknown anchor") {
		return fmt.Errorf("a value that begins with * must be in quotes")
	}
	if strings.ContainsAny(text, "'`\"") {
		text = yamlLine.FindString(text) + ": not YAML"
	}
	return fmt.Errorf("%s; a value with : # ' \" or other signs goes in quotes", text)
}
