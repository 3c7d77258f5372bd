package manifests

import (
	"fmt"
	"math"

	"gopkg.in/yaml.v3"
)

// json returns the value of n as encoding/json would, but for whole numbers,
// which are int64. It fails on what JSON has no word for.
func (r *reader) json(n *yaml.Node, path string) (any, bool) {
	switch n.Kind {
	case yaml.MappingNode:
		return r.jsonObject(n, path)
	case yaml.SequenceNode:
		list, ok := make([]any, len(n.Content)), true
		for i, c := range n.Content {
			v, fine := r.json(c, fmt.Sprintf("%s[%d]", path, i))
			list[i], ok = v, ok && fine
		}
		return list, ok
	case yaml.ScalarNode:
		return r.jsonScalar(n, path)
	}
	return nil, r.kind(n, yaml.ScalarNode, path)
}

func (r *reader) jsonObject(n *yaml.Node, path string) (any, bool) {
	m, ok := make(map[string]any, len(n.Content)/2), true
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		name, fine := r.scalarText(key, path)
		if _, twice := m[name]; fine && twice {
			r.errorf(key, "keep one", "%s: key %q stands twice", path, name)
			fine = false
		}
		if !fine {
			ok = false
			continue
		}
		m[name], fine = r.json(n.Content[i+1], path+"."+name)
		ok = ok && fine
	}
	return m, ok
}

func (r *reader) jsonScalar(n *yaml.Node, path string) (any, bool) {
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return n.Value, true
	case "!!null":
		return nil, true
	}
	var v any
	if err := n.Decode(&v); err == nil {
		switch v := v.(type) {
		case bool:
			return v, true
		case int:
			return int64(v), true
		case float64:
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				return v, true
			}
		}
	}
	r.errorf(n, fmt.Sprintf("put it in quotes if it is text: %q", n.Value), "%s: %s is not a JSON value", path, n.Value)
	return nil, false
}
