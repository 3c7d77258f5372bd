package secrets

import (
	"errors"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// format is how a SOPS file is written, named as sops names it for --input-type.
type format string

const (
	formatYAML   format = "yaml"
	formatJSON   format = "json"
	formatDotenv format = "dotenv"
	formatINI    format = "ini" // the sops program only
)

// formatOf goes by the extension; whatever is not known is YAML, where sops would
// take it for one binary value.
func formatOf(path string) format {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".json":
		return formatJSON
	case ".env":
		return formatDotenv
	case ".ini":
		return formatINI
	default:
		return formatYAML
	}
}

// A document is a parsed SOPS file: what it holds and what it says about itself.
// The names come from the first doc; YAML may have several, which the MAC covers.
type document struct {
	docs []*node
	meta metadata
	src  source // nil until it is asked for where flat is set
	flat []byte // YAML that was read without making its nodes
}

// source returns the file's text in a form that can be changed.
func (d *document) source() (source, error) {
	if d.src == nil {
		full, err := parseYAMLNodes(d.flat)
		if err != nil {
			return nil, err
		}
		d.src = full.src
	}
	return d.src, nil
}

// A source is the text of a SOPS file in a form in which single values can be
// replaced and everything else stays as it is.
type source interface {
	// set replaces the top-level value of name by the string text, or adds it
	// behind the others.
	set(name, text string)
	// remove takes the top-level value of name out; comments stay.
	remove(name string)
	// setMeta replaces or adds one entry of the sops metadata.
	setMeta(key string, value *node)
	// reencrypt gives every encrypted value and comment to again, with the path
	// that it is bound to, and puts the result in its place. A comment for which
	// it fails stays as it is: sops takes such a one for plaintext.
	reencrypt(again func(path []string, old string) (string, error)) error
	// bytes writes the file.
	bytes() ([]byte, error)
}

const ciphertextPrefix = "ENC[AES256_GCM,"

// newSource returns an empty file.
func newSource(f format) source {
	switch f {
	case formatJSON:
		root := &node{kind: kindMap}
		root.add(metaKey, &node{kind: kindMap})
		return &jsonSource{root: root}
	case formatDotenv:
		return &dotenvSource{}
	default:
		root := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{yamlString(metaKey), {Kind: yaml.MappingNode}}}
		return &yamlSource{docs: []*yaml.Node{{Kind: yaml.DocumentNode, Content: []*yaml.Node{root}}}}
	}
}

func stringNode(text string) *node { return &node{kind: kindString, text: []byte(text)} }

// parse reads an encrypted file. The nodes may point into data. Errors hold no
// text of the file: it may hold values that were never encrypted.
func parse(f format, data []byte) (*document, error) {
	switch f {
	case formatYAML:
		return parseYAMLFile(data)
	case formatJSON:
		return parseJSONFile(data)
	case formatDotenv:
		return parseDotenvFile(data)
	default:
		return nil, errors.New("ini files are read by the sops program only")
	}
}

// open decrypts the tree with the data key and verifies the MAC.
func (d *document) open(dataKey []byte, mem *memory) error {
	c, err := newCrypter(dataKey, mem)
	if err != nil {
		return err
	}
	mac, err := c.decryptTree(d.docs, &d.meta)
	if err != nil {
		return err
	}
	return c.verifyMAC(&d.meta, mac)
}
