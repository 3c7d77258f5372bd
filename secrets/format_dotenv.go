package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The metadata of a dotenv file is flat: sops_age__list_0__map_recipient=….
const (
	metaPrefix    = "sops_"
	mapSeparator  = "__map_"
	listSeparator = "__list_"
)

func parseDotenvFile(data []byte) (*document, error) {
	src := &dotenvSource{}
	tree, meta := &node{kind: kindMap}, &node{kind: kindMap}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		src.lines = append(src.lines, string(line))
		if line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(string(line), "=")
		if !ok {
			return nil, fmt.Errorf("invalid dotenv: line %d has no =", i+1)
		}
		n := &node{kind: kindString, text: []byte(strings.ReplaceAll(value, `\n`, "\n"))}
		if flat, ok := strings.CutPrefix(key, metaPrefix); ok {
			if err := meta.unflatten(flat, n); err != nil {
				return nil, fmt.Errorf("invalid dotenv: line %d: %w", i+1, err)
			}
		} else {
			tree.add(key, n)
		}
	}
	if len(meta.keys) == 0 {
		return nil, ErrNotEncrypted
	}
	m, err := parseMetadata(meta)
	if err != nil {
		return nil, err
	}
	return &document{docs: []*node{tree}, meta: m, src: src}, nil
}

// unflatten puts leaf where a flat key says. A list becomes a map whose keys are
// the positions: nothing that reads metadata looks at the keys of a list.
func (n *node) unflatten(flat string, leaf *node) error {
	path := strings.Split(strings.ReplaceAll(flat, listSeparator, mapSeparator), mapSeparator)
	for _, key := range path[:len(path)-1] {
		kid := n.child(key)
		if kid == nil {
			kid = &node{kind: kindMap}
			n.add(key, kid)
		}
		if kid.kind != kindMap {
			return errors.New("sops metadata contradicts itself")
		}
		n = kid
	}
	last := path[len(path)-1]
	if n.child(last) != nil {
		return errors.New("sops metadata contradicts itself")
	}
	n.add(last, leaf)
	return nil
}

// dotenvSource replaces lines.
type dotenvSource struct{ lines []string }

func (s *dotenvSource) set(name, text string) {
	at := len(s.lines)
	for i, line := range s.lines {
		if strings.HasPrefix(line, name+"=") {
			s.lines[i] = name + "=" + text
			return
		}
		if strings.HasPrefix(line, metaPrefix) {
			at = min(at, i)
		}
	}
	s.lines = append(s.lines[:at:at], append([]string{name + "=" + text}, s.lines[at:]...)...)
}

func (s *dotenvSource) remove(name string) {
	for i, line := range s.lines {
		if strings.HasPrefix(line, name+"=") {
			s.lines = append(s.lines[:i:i], s.lines[i+1:]...)
			return
		}
	}
}

func (s *dotenvSource) setMeta(key string, value *node) {
	flat := metaPrefix + key
	s.lines = slices.DeleteFunc(s.lines, func(line string) bool {
		return strings.HasPrefix(line, flat+"=") || strings.HasPrefix(line, flat+mapSeparator) || strings.HasPrefix(line, flat+listSeparator)
	})
	s.flatten(flat, value)
}

func (s *dotenvSource) flatten(flat string, n *node) {
	for i, kid := range n.kids {
		if n.kind == kindMap {
			s.flatten(flat+mapSeparator+n.keys[i], kid)
		} else {
			s.flatten(flat+listSeparator+strconv.Itoa(i), kid)
		}
	}
	if n.kind != kindMap && n.kind != kindList {
		s.lines = append(s.lines, flat+"="+strings.ReplaceAll(string(n.text), "\n", `\n`))
	}
}

func (s *dotenvSource) reencrypt(again func([]string, string) (string, error)) error {
	for i, line := range s.lines {
		key, value, _ := strings.Cut(line, "=")
		head, path := key+"=", []string{key}
		switch {
		case strings.HasPrefix(line, "#"):
			head, value, path = "#", line[1:], nil
		case strings.HasPrefix(key, metaPrefix):
			continue
		}
		if !strings.HasPrefix(value, ciphertextPrefix) {
			continue
		}
		text, err := again(path, value)
		if err != nil && path == nil {
			continue
		}
		if err != nil {
			return err
		}
		s.lines[i] = head + text
	}
	return nil
}

func (s *dotenvSource) bytes() ([]byte, error) {
	return []byte(strings.Join(s.lines, "\n") + "\n"), nil
}

// indentJSON writes compact JSON as sops indents it.
func indentJSON(b *bytes.Buffer, compact []byte) error {
	if err := json.Indent(b, compact, "", "\t"); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	b.WriteByte('\n')
	return nil
}
