package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

const metaKey = "sops" // where the metadata stands in YAML and JSON

// maxNodes bounds what aliases may expand to.
const maxNodes = 1 << 20

func parseYAMLFile(data []byte) (*document, error) {
	src := &yamlSource{indent: yamlIndent(data)}
	conv := yamlConverter{}
	d := &document{src: src}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, yamlError(err)
		}
		tree, err := conv.document(&doc)
		if err != nil {
			return nil, err
		}
		meta := tree.take(metaKey)
		if len(d.docs) == 0 {
			if d.meta, err = parseMetadata(meta); err != nil {
				return nil, err
			}
		}
		d.docs = append(d.docs, tree)
		src.docs = append(src.docs, &doc)
	}
	if len(d.docs) == 0 {
		return nil, errNoMetadata
	}
	return d, nil
}

var yamlLine = regexp.MustCompile(`line \d+`)

// yamlError keeps the line of a YAML error and drops its text, which may quote
// the file.
func yamlError(err error) error {
	if line := yamlLine.FindString(err.Error()); line != "" {
		return fmt.Errorf("invalid YAML: %s", line)
	}
	return errors.New("invalid YAML")
}

// yamlConverter turns YAML nodes into the tree that sops sees: aliases resolved,
// scalars typed.
type yamlConverter struct{ nodes int }

func (c *yamlConverter) document(doc *yaml.Node) (*node, error) {
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("invalid YAML: empty document")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return &node{kind: kindMap}, nil
	}
	n, err := c.convert(root, 0)
	if err == nil && n.kind != kindMap {
		err = errors.New("the YAML document is not a map")
	}
	return n, err
}

func (c *yamlConverter) convert(y *yaml.Node, depth int) (*node, error) {
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		return nil, fmt.Errorf("invalid YAML: line %d: nested too deeply or too many aliases", y.Line)
	}
	switch y.Kind {
	case yaml.AliasNode:
		return c.convert(y.Alias, depth+1)
	case yaml.MappingNode:
		return c.mapping(y, depth)
	case yaml.SequenceNode:
		n := &node{kind: kindList}
		for _, item := range y.Content {
			kid, err := c.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.kids = append(n.kids, kid)
		}
		return n, nil
	default:
		return yamlScalar(y)
	}
}

func (c *yamlConverter) mapping(y *yaml.Node, depth int) (*node, error) {
	n := &node{kind: kindMap, keys: make([]string, 0, len(y.Content)/2), kids: make([]*node, 0, len(y.Content)/2)}
	seen := make(map[string]bool, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if tag := key.ShortTag(); key.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!merge" {
			return nil, fmt.Errorf("invalid YAML: line %d: a key that is not a string", key.Line)
		}
		if seen[key.Value] {
			return nil, fmt.Errorf("invalid YAML: line %d: the key stands there twice", key.Line)
		}
		seen[key.Value] = true
		kid, err := c.convert(y.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		n.add(key.Value, kid)
	}
	return n, nil
}

func yamlScalar(y *yaml.Node) (*node, error) {
	if y.ShortTag() == "!!str" {
		return &node{kind: kindString, text: []byte(y.Value)}, nil
	}
	var v any
	if err := y.Decode(&v); err != nil {
		return nil, yamlError(err)
	}
	switch v := v.(type) {
	case nil:
		return &node{kind: kindNull}, nil
	case string:
		return &node{kind: kindString, text: []byte(v)}, nil
	case bool:
		return &node{kind: kindBool, text: strconv.AppendBool(nil, v)}, nil
	case int:
		return &node{kind: kindInt, text: strconv.AppendInt(nil, int64(v), 10)}, nil
	case float64:
		return &node{kind: kindFloat, text: strconv.AppendFloat(nil, v, 'f', -1, 64)}, nil
	case time.Time:
		text, err := v.MarshalText()
		return &node{kind: kindTime, text: text}, err
	default:
		return nil, fmt.Errorf("line %d: a number that sops can't hold", y.Line)
	}
}

// yamlSource changes the YAML nodes of a file. Everything that is not changed is
// written as it was read, comments included; blank lines are lost, as they are
// when sops writes the file.
type yamlSource struct {
	docs   []*yaml.Node
	indent int
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
		root.Content[i+1] = &yaml.Node{
			Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: quoteEmpty(text),
			HeadComment: old.HeadComment, LineComment: old.LineComment, FootComment: old.FootComment,
		}
		return
	}
	entry := []*yaml.Node{
		{Kind: yaml.ScalarNode, Tag: "!!str", Value: name},
		{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: quoteEmpty(text)},
	}
	at := find(root, metaKey)
	if at < 0 {
		at = len(root.Content)
	}
	root.Content = append(root.Content[:at:at], append(entry, root.Content[at:]...)...)
}

func quoteEmpty(text string) yaml.Style {
	if text == "" {
		return yaml.DoubleQuotedStyle
	}
	return 0
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

func (s *yamlSource) setMeta(key, text string) {
	for _, doc := range s.docs {
		at := find(doc.Content[0], metaKey)
		if at < 0 {
			continue
		}
		meta := doc.Content[0].Content[at+1]
		value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
		if i := find(meta, key); i >= 0 {
			meta.Content[i+1] = value
		} else {
			meta.Content = append(meta.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
		}
	}
}

func (s *yamlSource) bytes() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(s.indent)
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
