package manifests

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// CompileSchema compiles a JSON Schema as [IO] holds it: draft 2020-12 unless
// $schema says otherwise, formats asserted, regular expressions of RE2. A $ref
// can only name a part of the schema itself or a published metaschema: nothing
// is loaded from the network or the disk.
func CompileSchema(schema map[string]any) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	if err := c.AddResource(schemaURL, schema); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}

// schemaURL is the base against which the schema's own references resolve.
const schemaURL = "latchgate:///schema"

type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errElsewhere }

var errElsewhere = errors.New("a schema is not loaded from elsewhere")

// schema reads the JSON Schema at key and checks that it compiles.
func (r *reader) schema(o object, key string) map[string]any {
	n := o.values[key]
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		r.errorf(n, "write the schema itself here, or as $ref below $defs", "%s: want a JSON Schema, got %s", o.at(key), kindOf(n))
		return nil
	}
	if !r.kind(n, yaml.MappingNode, o.at(key)) {
		return nil
	}
	v, ok := r.jsonObject(n, o.at(key))
	if !ok {
		return nil
	}
	schema := v.(map[string]any)
	if r.bundled {
		return schema
	}
	if _, err := CompileSchema(schema); err != nil {
		where, what := explainSchema(n, err)
		r.errorf(where, "write a JSON Schema of draft 2020-12", "%s: %s", o.at(key), what)
		return nil
	}
	return schema
}

// explainSchema finds the node that a compile error means, and says it in a line.
func explainSchema(n *yaml.Node, err error) (*yaml.Node, string) {
	var against *jsonschema.SchemaValidationError
	if errors.As(err, &against) {
		err = against.Err
	}
	var invalid *jsonschema.ValidationError
	var load *jsonschema.LoadURLError
	switch {
	case errors.As(err, &invalid):
		for len(invalid.Causes) > 0 {
			invalid = invalid.Causes[0]
		}
		return descend(n, invalid.InstanceLocation), strings.ReplaceAll(invalid.Error(), "\n", " ")
	case errors.As(err, &load):
		return n, fmt.Sprintf("$ref %q: %v", load.URL, load.Err)
	}
	return n, "does not compile: " + strings.ReplaceAll(err.Error(), "\n", " ")
}

// descend follows a JSON pointer as far as it goes.
func descend(n *yaml.Node, path []string) *yaml.Node {
	for _, step := range path {
		next := n
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					next = n.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
				next = n.Content[i]
			}
		}
		n = next
	}
	return n
}
