package configs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// readFile reads the file's values. Unknown keys and wrong types become
// problems and are left out, so that one run reports all of them; only a file
// that is not TOML is an error at once.
func (l *loader) readFile() (map[string]any, error) {
	doc, err := os.ReadFile(l.file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration file: %w", err)
	}
	tree, err := parseTOML(l.file, doc)
	if err != nil {
		return nil, err
	}
	w := fileWalk{loader: l, at: keyOrigins(l.file, doc)}
	return w.table(nil, tree), nil
}

// parseTOML decodes doc; its error is a Problem with the place in path.
func parseTOML(path string, doc []byte) (map[string]any, error) {
	var tree map[string]any
	err := toml.Unmarshal(doc, &tree)
	if derr, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := derr.Position()
		return nil, Problems{{
			Source: path, Line: line, Column: column, Key: strings.Join(derr.Key(), "."),
			Message: strings.TrimPrefix(derr.Error(), "toml: "),
		}}
	}
	if err != nil {
		return nil, Problems{{Source: path, Message: strings.TrimPrefix(err.Error(), "toml: ")}}
	}
	return tree, nil
}

// fileWalk sorts the values of a decoded file into valid ones and problems.
type fileWalk struct {
	*loader
	at map[string]origin // by joinPath
}

// table returns the valid part of the table at path.
func (w *fileWalk) table(path []string, tree map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range tree {
		path := append(slices.Clone(path), name)
		here, key := w.at[joinPath(path)], displayPath(path)
		f, known := findField(strings.Join(path, "."))
		switch sub, isTable := value.(map[string]any); {
		case len(path) == 1 && slices.Contains(sections(), name):
			if !isTable {
				w.add(here.problem(key, "this is a section: write [%s] and its keys below", name))
				continue
			}
			out[name] = w.table(path, sub)
		case len(path) == 1 && isTable:
			w.add(here.problem(key, "unknown section; the nearest valid one is [%s]", nearest(key, sections())))
		case len(path) == 1 || !known:
			w.add(here.problem(key, "unknown key; the nearest valid one is %s", nearest(key, Keys())))
		default:
			plain, err := fromTOML(f.typ, value)
			if err != nil {
				w.add(here.problem(key, "%v", err))
				continue
			}
			out[name] = plain
			w.origins[f.key] = here
		}
	}
	return out
}

// keyOrigins finds the place of every key and table of a valid document.
func keyOrigins(path string, doc []byte) map[string]origin {
	var p unstable.Parser
	p.Reset(doc)
	found := map[string]origin{}
	mark := func(base []string, n *unstable.Node) []string {
		for it := n.Key(); it.Next(); {
			base = append(slices.Clone(base), string(it.Node().Data))
			if _, ok := found[joinPath(base)]; !ok {
				at := p.Shape(it.Node().Raw).Start
				found[joinPath(base)] = origin{source: path, line: at.Line, column: at.Column, file: true}
			}
		}
		return base
	}
	var pair func(base []string, n *unstable.Node)
	pair = func(base []string, n *unstable.Node) {
		base = mark(base, n)
		if v := n.Value(); v.Kind == unstable.InlineTable {
			for it := v.Children(); it.Next(); {
				pair(base, it.Node())
			}
		}
	}
	var table []string
	for p.NextExpression() {
		switch n := p.Expression(); n.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = mark(nil, n)
		case unstable.KeyValue:
			pair(table, n)
		}
	}
	return found
}

// joinPath makes a map key of a path whose segments may hold dots.
func joinPath(path []string) string { return strings.Join(path, "\x00") }

// displayPath writes a path as TOML does, quoting what needs it.
func displayPath(path []string) string {
	out := make([]string, len(path))
	for i, s := range path {
		out[i] = s
		bare := func(r rune) bool {
			return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		}
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !bare(r) }) {
			out[i] = strconv.Quote(s)
		}
	}
	return strings.Join(out, ".")
}
