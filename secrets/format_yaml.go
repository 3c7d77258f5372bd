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

// parseYAMLFile reads what sops writes for plain names and values line by line,
// and everything else, the metadata included, as YAML.
func parseYAMLFile(data []byte) (*document, error) {
	if tree, rest, ok := flatYAML(data); ok {
		d, err := parseYAMLNodes(rest)
		if err == nil && len(d.docs) == 1 && len(d.docs[0].keys) == 0 {
			return &document{docs: []*node{tree}, meta: d.meta, flat: data}, nil
		}
	}
	return parseYAMLNodes(data)
}

// flatYAML reads lines of the form "NAME: ENC[…]" or "#ENC[…]" up to the metadata. A file where
// nothing else stands there means the same to every YAML parser; most files are
// such, and few of their bytes are left to be parsed.
func flatYAML(data []byte) (tree *node, rest []byte, ok bool) {
	tree, rest = &node{kind: kindMap}, data
	seen := map[string]bool{}
	for !bytes.HasPrefix(rest, []byte(metaKey+":\n")) {
		line, more, _ := bytes.Cut(rest, []byte("\n"))
		if comment, ok := bytes.CutPrefix(line, []byte("#")); ok && flatValue(string(comment)) {
			rest = more
			continue
		}
		name, value, _ := strings.Cut(string(line), ": ")
		if !flatName(name) || seen[name] || !flatValue(value) {
			return nil, nil, false
		}
		seen[name] = true
		tree.add(name, &node{kind: kindString, text: line[len(name)+2:]})
		rest = more
	}
	return tree, rest, len(tree.keys) > 0
}

// flatName reports whether YAML takes an unquoted name for a string.
func flatName(name string) bool {
	switch strings.ToLower(name) {
	case "true", "false", "null", metaKey:
		return false
	}
	return ValidName(name)
}

func flatValue(value string) bool {
	inside, ok := strings.CutPrefix(value, ciphertextPrefix)
	if !ok || !strings.HasSuffix(inside, "]") {
		return false
	}
	for _, c := range []byte(inside[:len(inside)-1]) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("+/=,:", c) >= 0:
		default:
			return false
		}
	}
	return true
}

func parseYAMLNodes(data []byte) (*document, error) {
	src := &yamlSource{read: data}
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
		return nil, ErrNotEncrypted
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
