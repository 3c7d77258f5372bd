package secrets

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
)

// ParseImport reads plaintext secrets for [Document.Import]: a JSON object where
// the name of the file ends in .json, else lines NAME=value as shells and docker
// write them (a leading export, single quotes without and double quotes with the
// escapes \n \r \t \" \\ \$, quoted values over several lines, comments behind a
// space and #). Errors name lines, never values. The values point into data or are
// copies; wipe neither before they are set.
func ParseImport(file string, data []byte) (map[string][]byte, error) {
	if strings.EqualFold(filepath.Ext(file), ".json") {
		return importJSON(data)
	}
	return importDotenv(data)
}

func importJSON(data []byte) (map[string][]byte, error) {
	tree, err := parseWholeJSON(data)
	if err != nil {
		return nil, err
	}
	values, mem := map[string][]byte{}, &memory{}
	for i, name := range tree.keys {
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		if v, ok := tree.kids[i].value(mem); ok {
			values[name] = v
		}
	}
	return values, nil
}

func importDotenv(data []byte) (map[string][]byte, error) {
	values := map[string][]byte{}
	p := dotenvParser{rest: bytes.TrimPrefix(data, []byte("\ufeff")), line: 1}
	for {
		name, value, err := p.next()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
		if name == "" {
			return values, nil
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", p.line, name)
		}
		values[name] = value
	}
}

type dotenvParser struct {
	rest []byte
	line int
}

// next returns the next assignment; the name is empty at the end.
func (p *dotenvParser) next() (name string, value []byte, err error) {
	for len(p.rest) > 0 {
		line, rest, _ := bytes.Cut(p.rest, []byte("\n"))
		trimmed := bytes.TrimSpace(line)
		if len(trimmed) == 0 || trimmed[0] == '#' {
			p.rest = rest
			p.line++
			continue
		}
		head, _, ok := bytes.Cut(line, []byte("="))
		if !ok {
			return "", nil, fmt.Errorf("no = in it")
		}
		name = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(string(head)), "export "))
		if !ValidName(name) {
			return "", nil, fmt.Errorf("what stands before = is not a name")
		}
		p.rest = bytes.TrimLeft(p.rest[len(head)+1:], " \t")
		value, err = p.value()
		return name, value, err
	}
	return "", nil, nil
}

func (p *dotenvParser) value() ([]byte, error) {
	if len(p.rest) > 0 && (p.rest[0] == '\'' || p.rest[0] == '"') {
		return p.quoted(p.rest[0])
	}
	line, rest, _ := bytes.Cut(p.rest, []byte("\n"))
	if i := bytes.Index(line, []byte(" #")); i >= 0 {
		line = line[:i]
	} else if len(line) > 0 && line[0] == '#' {
		line = nil
	}
	p.rest = rest
	p.line++
	return bytes.TrimSpace(line), nil
}

const (
	dotenvEscaped   = `nrt"\$`
	dotenvUnescaped = "\n\r\t\"\\$"
)

func (p *dotenvParser) quoted(quote byte) ([]byte, error) {
	var out []byte
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		if c == quote {
			line, rest, _ := bytes.Cut(p.rest[i+1:], []byte("\n"))
			if t := bytes.TrimSpace(line); len(t) > 0 && t[0] != '#' {
				return nil, fmt.Errorf("something stands behind the closing quote")
			}
			p.line += bytes.Count(p.rest[:i+1], []byte("\n")) + 1
			p.rest = rest
			return out, nil
		}
		if c == '\\' && quote == '"' && i+1 < len(p.rest) {
			if j := strings.IndexByte(dotenvEscaped, p.rest[i+1]); j >= 0 {
				c = dotenvUnescaped[j]
				i++
			}
		}
		out = append(out, c)
	}
	return nil, fmt.Errorf("a quote is not closed")
}
