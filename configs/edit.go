package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/renameio/v2"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// SetKeys sets string keys, such as "secrets.sops_key_file", in a TOML file and
// leaves every other byte as it is: comments, order, spelling. A missing file
// is made with mode 0644, an existing one keeps its mode; a symbolic link is
// followed. The file is replaced in one step, so a reader sees the old or the
// new one.
//
// It refuses, changing nothing, a file that is not TOML ([Problems]), a key that
// is not a string key of the configuration, and a file whose present value or
// layout it can't edit safely.
func SetKeys(file string, kv map[string]string) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	doc, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("edit configuration: %w", err)
	}
	want, err := parseTOML(file, doc)
	if err != nil {
		return err
	}
	if want == nil {
		want = map[string]any{}
	}
	edited := doc
	for _, key := range slices.Sorted(maps.Keys(kv)) {
		f, ok := findField(key)
		if !ok || f.typ != typeString {
			return fmt.Errorf("edit %s: %s is not a string key of the configuration", file, key)
		}
		if edited, err = setKey(edited, f.key, kv[key]); err != nil {
			return fmt.Errorf("edit %s: %w", file, err)
		}
		section, name, _ := strings.Cut(key, ".")
		table, ok := want[section].(map[string]any)
		if !ok {
			table = map[string]any{}
			want[section] = table
		}
		table[name] = kv[key]
	}
	// The edit is textual; what it means is checked before it counts.
	got, err := parseTOML(file, edited)
	if err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("edit %s: this layout can't be edited safely: set %s by hand",
			file, strings.Join(slices.Sorted(maps.Keys(kv)), ", "))
	}
	if bytes.Equal(doc, edited) && len(doc) > 0 {
		return nil
	}
	if err := renameio.WriteFile(file, edited, 0o644, renameio.WithTempDir(filepath.Dir(file))); err != nil {
		return fmt.Errorf("edit configuration: %w", err)
	}
	return nil
}

// setKey returns doc with key = value: its value replaced where the key is
// there, else a line added to its section, else a section added at the end.
func setKey(doc []byte, key, value string) ([]byte, error) {
	quoted, err := quote(value)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", key, err)
	}
	newline := "\n"
	if bytes.Contains(doc, []byte("\r\n")) {
		newline = "\r\n"
	}
	section, name, _ := strings.Cut(key, ".")
	s := findSpot(doc, section, name)
	switch {
	case s.wrongType:
		return nil, fmt.Errorf("%s is there and not a string: correct it by hand", key)
	case s.value != nil:
		return slices.Concat(doc[:s.value.start], quoted, doc[s.value.end:]), nil
	case s.lineEnd > 0:
		line := fmt.Sprintf("%s%s = %s", s.prefix, name, quoted)
		return insertLine(doc, s.lineEnd, line, newline), nil
	}
	block := fmt.Sprintf("[%s]%s%s = %s", section, newline, name, quoted)
	if len(bytes.TrimSpace(doc)) > 0 {
		block = newline + block
	}
	return insertLine(doc, len(doc), block, newline), nil
}

// quote writes a TOML string: in double quotes where nothing needs an escape,
// else as the encoder sees fit.
func quote(value string) ([]byte, error) {
	special := func(r rune) bool { return r == '"' || r == '\\' || !unicode.IsPrint(r) || r == utf8.RuneError }
	if !strings.ContainsFunc(value, special) {
		return []byte(`"` + value + `"`), nil
	}
	line, err := toml.Marshal(map[string]string{"v": value})
	return bytes.TrimSuffix(bytes.TrimPrefix(line, []byte("v = ")), []byte("\n")), err
}

// insertLine puts line behind the line that ends at offset at.
func insertLine(doc []byte, at int, line, newline string) []byte {
	head := doc[:at:at]
	if len(head) > 0 && head[len(head)-1] != '\n' {
		head = append(head, newline...)
	}
	return slices.Concat(head, []byte(line), []byte(newline), doc[at:])
}

// spot is where an edit goes.
type spot struct {
	value     *span  // the present string value
	wrongType bool   // the key is there and no string
	lineEnd   int    // end of the line to add behind; 0 for none
	prefix    string // what stands before the name on an added line: "section." at the top level
}

type span struct{ start, end int }

// findSpot finds section.name, or the last line of the section.
func findSpot(doc []byte, section, name string) spot {
	var s spot
	var p unstable.Parser
	p.Reset(doc)
	var table []string
	for p.NextExpression() {
		n := p.Expression()
		path := slices.Clone(table)
		if n.Kind != unstable.KeyValue {
			path = nil
		}
		var last unstable.Range
		for it := n.Key(); it.Next(); {
			path = append(path, string(it.Node().Data))
			last = it.Node().Raw
		}
		if n.Kind != unstable.KeyValue {
			table = path
			if slices.Equal(path, []string{section}) && n.Kind == unstable.Table {
				s.lineEnd, s.prefix = endOfLine(doc, int(last.Offset+last.Length)), ""
			}
			continue
		}
		if slices.Equal(path, []string{section, name}) {
			v := n.Value()
			if v.Kind != unstable.String {
				s.wrongType = true
				return s
			}
			s.value = &span{int(v.Raw.Offset), int(v.Raw.Offset + v.Raw.Length)}
			return s
		}
		end := endOfLine(doc, int(n.Raw.Offset+n.Raw.Length))
		switch {
		case slices.Equal(table, []string{section}):
			s.lineEnd = end
		case len(table) == 0 && len(path) > 1 && path[0] == section:
			s.lineEnd, s.prefix = end, section+"."
		}
	}
	return s
}

// endOfLine returns the offset behind the line break that follows at.
func endOfLine(doc []byte, at int) int {
	if i := bytes.IndexByte(doc[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(doc)
}
