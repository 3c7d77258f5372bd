package secrets

import (
	"bytes"
	"strings"
)

func parseJSONFile(data []byte) (*document, error) {
	root, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	// The tree is decrypted in place; the source keeps the map as it was read.
	src := &jsonSource{root: &node{kind: kindMap}}
	tree := &node{kind: kindMap}
	for i, key := range root.keys {
		src.root.add(key, root.kids[i])
		tree.add(key, root.kids[i].clone())
	}
	meta, err := parseMetadata(tree.take(metaKey))
	if err != nil {
		return nil, err
	}
	return &document{docs: []*node{tree}, meta: meta, src: src}, nil
}

// clone copies the nodes, not the texts.
func (n *node) clone() *node {
	c := *n
	c.kids = make([]*node, len(n.kids))
	for i, kid := range n.kids {
		c.kids[i] = kid.clone()
	}
	return &c
}

// jsonSource writes the whole object again, in the order and with the
// indentation of sops.
type jsonSource struct{ root *node }

func (s *jsonSource) set(name, text string) {
	value := stringNode(text)
	for i, key := range s.root.keys {
		if key == name {
			s.root.kids[i] = value
			return
		}
	}
	meta := s.root.take(metaKey)
	s.root.add(name, value)
	s.root.add(metaKey, meta)
}

func (s *jsonSource) remove(name string) { s.root.take(name) }

func (s *jsonSource) setMeta(key string, value *node) {
	meta := s.root.child(metaKey)
	for i, k := range meta.keys {
		if k == key {
			meta.kids[i] = value
			return
		}
	}
	meta.add(key, value)
}

func (s *jsonSource) reencrypt(again func([]string, string) (string, error)) error {
	for i, key := range s.root.keys {
		if key == metaKey {
			continue
		}
		if err := s.root.kids[i].reencrypt([]string{key}, again); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) reencrypt(path []string, again func([]string, string) (string, error)) error {
	if n.kind == kindString && strings.HasPrefix(string(n.text), ciphertextPrefix) {
		text, err := again(path, string(n.text))
		n.text = []byte(text)
		return err
	}
	for i, kid := range n.kids {
		at := path
		if n.kind == kindMap {
			at = append(path[:len(path):len(path)], n.keys[i])
		}
		if err := kid.reencrypt(at, again); err != nil {
			return err
		}
	}
	return nil
}

func (s *jsonSource) bytes() ([]byte, error) {
	var b bytes.Buffer
	if err := indentJSON(&b, s.root.appendJSON(nil)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
