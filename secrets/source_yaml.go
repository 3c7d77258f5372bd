package secrets

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// yamlSource changes the YAML nodes of a file. Everything that is not changed is
// written as it was read, comments included; blank lines are lost, as they are
// when sops writes the file.
type yamlSource struct {
	docs []*yaml.Node
	read []byte // the file as it was read; nil: a new one
}

var sopsIndent = regexp.MustCompile(`(?m)^sops:[ \t]*\n( +)`)

// yamlIndent finds the file's indentation, so that writing it changes few lines.
func yamlIndent(data []byte) int {
	if m := sopsIndent.FindSubmatch(data); m != nil && len(m[1]) < 10 {
		return len(m[1])
	}
	return 4 // what sops writes
}

// root returns the map of the first document.
func (s *yamlSource) root() *yaml.Node { return s.docs[0].Content[0] }

// find returns the index of the key's node in the map, -1 where there is none.
func find(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return i
		}
	}
	return -1
}

func (s *yamlSource) set(name, text string) {
	root := s.root()
	if i := find(root, name); i >= 0 {
		old := root.Content[i+1]
		value := yamlString(text)
		value.HeadComment, value.LineComment, value.FootComment = old.HeadComment, old.LineComment, old.FootComment
		root.Content[i+1] = value
		return
	}
	entry := []*yaml.Node{yamlString(name), yamlString(text)}
	at := find(root, metaKey)
	if at < 0 {
		at = len(root.Content)
	}
	root.Content = append(root.Content[:at:at], append(entry, root.Content[at:]...)...)
}

func yamlString(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if strings.Contains(text, "\n") {
		n.Style = yaml.LiteralStyle
	}
	return n
}

func yamlFrom(n *node) *yaml.Node {
	switch n.kind {
	case kindMap:
		y := &yaml.Node{Kind: yaml.MappingNode}
		for i, kid := range n.kids {
			y.Content = append(y.Content, yamlString(n.keys[i]), yamlFrom(kid))
		}
		return y
	case kindList:
		y := &yaml.Node{Kind: yaml.SequenceNode}
		for _, kid := range n.kids {
			y.Content = append(y.Content, yamlFrom(kid))
		}
		return y
	case kindBool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strings.ToLower(string(n.text))}
	default:
		return yamlString(string(n.text))
	}
}

// remove gives the comments of the removed key to the next one, which is where
// sops puts them.
func (s *yamlSource) remove(name string) {
	root := s.root()
	i := find(root, name)
	if i < 0 {
		return
	}
	key, value := root.Content[i], root.Content[i+1]
	root.Content = append(root.Content[:i:i], root.Content[i+2:]...)
	comments := join(key.HeadComment, key.LineComment, value.HeadComment, value.LineComment, value.FootComment, key.FootComment)
	if i < len(root.Content) {
		root.Content[i].HeadComment = join(comments, root.Content[i].HeadComment)
	} else if i > 0 {
		root.Content[i-2].FootComment = join(root.Content[i-2].FootComment, comments)
	}
}

func join(comments ...string) string {
	var lines []string
	for _, c := range comments {
		if c != "" {
			lines = append(lines, c)
		}
	}
	return strings.Join(lines, "\n")
}

func (s *yamlSource) setMeta(key string, n *node) {
	for _, doc := range s.docs {
		at := find(doc.Content[0], metaKey)
		if at < 0 {
			continue
		}
		meta := doc.Content[0].Content[at+1]
		value := yamlFrom(n)
		if i := find(meta, key); i >= 0 {
			meta.Content[i+1] = value
		} else {
			meta.Content = append(meta.Content, yamlString(key), value)
		}
	}
}

func (s *yamlSource) reencrypt(again func([]string, string) (string, error)) error {
	for _, doc := range s.docs {
		r := yamlReencrypt{again: again}
		r.comments(nil, doc)
		for _, root := range doc.Content {
			r.node(nil, root)
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// yamlReencrypt walks a document; it keeps the first error.
type yamlReencrypt struct {
	again func([]string, string) (string, error)
	err   error
}

// comments are bound to the path of what contains them.
func (r *yamlReencrypt) comments(path []string, y *yaml.Node) {
	for _, comment := range []*string{&y.HeadComment, &y.LineComment, &y.FootComment} {
		if *comment == "" {
			continue
		}
		lines := strings.Split(*comment, "\n")
		for i, line := range lines {
			if !strings.HasPrefix(line, "#"+ciphertextPrefix) {
				continue
			}
			if text, err := r.again(path, line[1:]); err == nil {
				lines[i] = "#" + text
			}
		}
		*comment = strings.Join(lines, "\n")
	}
}

func (r *yamlReencrypt) node(path []string, y *yaml.Node) {
	switch y.Kind {
	case yaml.ScalarNode:
		if r.err == nil && strings.HasPrefix(y.Value, ciphertextPrefix) {
			y.Value, r.err = r.again(path, y.Value)
		}
	case yaml.SequenceNode:
		for _, item := range y.Content {
			r.comments(path, item)
			r.node(path, item)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(y.Content); i += 2 {
			key, value := y.Content[i], y.Content[i+1]
			if len(path) == 0 && key.Value == metaKey {
				r.comments(path, key)
				continue
			}
			inner := append(path[:len(path):len(path)], key.Value)
			r.comments(path, key)
			if value.Kind == yaml.ScalarNode || value.Kind == yaml.AliasNode {
				r.comments(path, value)
			} else {
				r.comments(inner, value)
			}
			r.node(inner, value)
		}
	}
}

func (s *yamlSource) bytes() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(yamlIndent(s.read))
	for _, doc := range s.docs {
		if err := enc.Encode(doc); err != nil {
			return nil, fmt.Errorf("write YAML: %w", err)
		}
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return b.Bytes(), nil
}
