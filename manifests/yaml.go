package manifests

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"gopkg.in/yaml.v3"
)

// reader walks one YAML document and collects what is wrong with it. Its
// methods report and go on, so that one look finds every mistake.
type reader struct {
	file     string
	bundled  bool // the tests compile its schemas: a start has no need to
	problems []Problem
}

func (r *reader) errorf(n *yaml.Node, hint, format string, args ...any) {
	r.add(n, Error, hint, fmt.Sprintf(format, args...))
}

func (r *reader) notef(n *yaml.Node, hint, format string, args ...any) {
	r.add(n, Note, hint, fmt.Sprintf(format, args...))
}

func (r *reader) add(n *yaml.Node, s Severity, hint, message string) {
	p := Problem{File: r.file, Severity: s, Message: message, Hint: hint}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	r.problems = append(r.problems, p)
}

// object is a mapping whose keys are checked.
type object struct {
	*reader
	path   string // "egress", "secrets[0].inject[1]"; "" at the top
	node   *yaml.Node
	values map[string]*yaml.Node // without those that are null
	ok     bool                  // it is a mapping
}

// object checks that n is a mapping with none but these keys, each once. What
// is wrong is reported; the keys that are right can be read nevertheless.
func (r *reader) object(n *yaml.Node, path string, keys ...string) object {
	return r.objectAlso(n, path, keys, nil)
}

// objectAlso is object that takes some keys which it does not advertise.
func (r *reader) objectAlso(n *yaml.Node, path string, keys, also []string) object {
	o := object{reader: r, path: path, node: n, values: map[string]*yaml.Node{}}
	if o.ok = n != nil && r.kind(n, yaml.MappingNode, o.where()); !o.ok {
		return o
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		line, twice := seen[key.Value]
		known := key.Kind == yaml.ScalarNode && (slices.Contains(keys, key.Value) || slices.Contains(also, key.Value))
		switch {
		case !known:
			r.errorf(key, suggestKey(key.Value, keys), "%s: unknown key %q", o.where(), key.Value)
		case twice:
			r.errorf(key, fmt.Sprintf("it stands on line %d already: keep one", line), "%s: key %q stands twice", o.where(), key.Value)
		case value.ShortTag() != "!!null":
			o.values[key.Value] = value
		}
		seen[key.Value] = key.Line
	}
	return o
}

func suggestKey(key string, keys []string) string {
	if near := nearest(key, keys); near != "" {
		return fmt.Sprintf("write %q", near)
	}
	return "keys here: " + strings.Join(keys, ", ")
}

// nearest returns the candidate closest to word, or "" where none is close.
func nearest(word string, candidates []string) string {
	if len(word) > 128 {
		return ""
	}
	best, near := max(2, len(word)/3)+1, ""
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(c)); d < best {
			best, near = d, c
		}
	}
	return near
}

func (o object) where() string {
	if o.path == "" {
		return "manifest"
	}
	return o.path
}

// at gives the path of a key.
func (o object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

func (o object) has(key string) bool { return o.values[key] != nil }

// near returns the value of key, or the object itself where the key is not
// there: the place at which to report something about the key.
func (o object) near(key string) *yaml.Node {
	if n := o.values[key]; n != nil {
		return n
	}
	return o.node
}

// child returns the mapping at key with its keys checked.
func (o object) child(key string, keys ...string) object {
	return o.object(o.values[key], o.at(key), keys...)
}

// text returns the string at key, "" where it is absent or not a string.
func (o object) text(key string) string {
	n := o.values[key]
	if n == nil {
		return ""
	}
	s, _ := o.scalarText(n, o.at(key))
	return s
}

// match returns the string at key if it has the form; "" if not, or absent.
func (o object) match(key string, form func(string) bool, hint string) string {
	n := o.values[key]
	if n == nil {
		return ""
	}
	s, ok := o.scalarText(n, o.at(key))
	if ok && !form(s) {
		o.errorf(n, hint, "%s: %q is not a name", o.at(key), s)
		return ""
	}
	return s
}

// oneOf returns the string at key, which must be one of choices; def where it
// is absent or wrong.
func (o object) oneOf(key, def string, choices ...string) string {
	if !o.has(key) {
		return def
	}
	s, ok := o.scalarText(o.values[key], o.at(key))
	if !ok {
		return def
	}
	if slices.Contains(choices, s) {
		return s
	}
	hint := "write one of " + strings.Join(choices, ", ")
	if near := nearest(s, choices); near != "" {
		hint = "write " + near
	}
	o.errorf(o.values[key], hint, "%s: %q is not known", o.at(key), s)
	return def
}

func (o object) flag(key string) bool {
	n := o.values[key]
	if n == nil || !o.kind(n, yaml.ScalarNode, o.at(key)) {
		return false
	}
	if n.ShortTag() != "!!bool" {
		o.errorf(n, "write true or false", "%s: want true or false, got %s", o.at(key), kindOf(n))
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// number returns the whole number at key, which must lie in [least, most]; def
// where it is absent or wrong.
func (o object) number(key string, def, least, most int64) int64 {
	n := o.values[key]
	if n == nil || !o.kind(n, yaml.ScalarNode, o.at(key)) {
		return def
	}
	v, err := strconv.ParseInt(n.Value, 0, 64) // as YAML does
	switch {
	case n.ShortTag() != "!!int" && !errors.Is(err, strconv.ErrRange):
		o.errorf(n, "", "%s: want a whole number, got %s", o.at(key), kindOf(n))
	case err != nil || v < least || v > most:
		o.errorf(n, fmt.Sprintf("write a number from %d to %d", least, most), "%s: %s is out of range", o.at(key), n.Value)
	default:
		return v
	}
	return def
}

// item is one element of a list.
type item struct {
	node *yaml.Node
	path string
	text string // where the list is one of strings
}

func (o object) list(key string) []item {
	n := o.values[key]
	if n == nil || !o.kind(n, yaml.SequenceNode, o.at(key)) {
		return nil
	}
	items := make([]item, len(n.Content))
	for i, c := range n.Content {
		items[i] = item{node: c, path: fmt.Sprintf("%s[%d]", o.at(key), i)}
	}
	return items
}

// texts returns the list of strings at key, less the elements that are none.
func (o object) texts(key string) []item {
	var items []item
	for _, it := range o.list(key) {
		var ok bool
		if it.text, ok = o.scalarText(it.node, it.path); ok {
			items = append(items, it)
		}
	}
	return items
}

// strings is texts without the places.
func (o object) strings(key string) []string {
	var s []string
	for _, it := range o.texts(key) {
		s = append(s, it.text)
	}
	return s
}

// scalarText returns n as a string. A date without quotes counts as the text
// that stands there: API versions look like that.
func (r *reader) scalarText(n *yaml.Node, path string) (string, bool) {
	if !r.kind(n, yaml.ScalarNode, path) {
		return "", false
	}
	if tag := n.ShortTag(); tag != "!!str" && tag != "!!timestamp" {
		r.errorf(n, fmt.Sprintf("put it in quotes: %q", n.Value), "%s: want text, got %s", path, kindOf(n))
		return "", false
	}
	return n.Value, true
}

// kind checks that n is of the kind.
func (r *reader) kind(n *yaml.Node, kind yaml.Kind, path string) bool {
	if n.Kind == kind {
		return true
	}
	if n.Kind == yaml.AliasNode {
		r.errorf(n, "write the value out", "%s: aliases are not supported", path)
		return false
	}
	want := map[yaml.Kind]string{yaml.MappingNode: "a map", yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}[kind]
	r.errorf(n, "", "%s: want %s, got %s", path, want, kindOf(n))
	return false
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!str", "!!timestamp":
		return "text"
	}
	return n.ShortTag()
}

var (
	yamlErrorLine = regexp.MustCompile(`^line (\d+): `)
	// yamlLineBefore are the errors whose line yaml.v3 counts from 0.
	yamlLineBefore = regexp.MustCompile(`did not find expected (<document start>|node content|'-' indicator|key|',' or )`)
)

// syntax turns an error of the YAML parser into a problem with its line.
func (r *reader) syntax(err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	p := Problem{File: r.file, Line: 1, Message: "not YAML: " + yamlErrorLine.ReplaceAllString(message, "")}
	if m := yamlErrorLine.FindStringSubmatch(message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		if yamlLineBefore.MatchString(message) {
			p.Line++
		}
	}
	r.problems = append(r.problems, p)
}
