package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// LoadOptions says where actions come from.
type LoadOptions struct {
	// Dirs are the operator's folders. Their *.yaml and *.yml files are read,
	// but for hidden ones; folders below them are not.
	Dirs []string
	// Bundled adds the catalogue in the program. A file in Dirs wins over a
	// bundled one of the same action_id.
	Bundled bool
}

// Catalog is a set of actions by id. It is immutable.
type Catalog struct {
	own     map[string]*Manifest      // of the operator's folders
	bundled map[string]*bundledAction // those that own does not replace
}

// Load reads every manifest there is. What is broken is left out and told
// about; the rest is in the catalogue, which is never nil, and the caller
// decides whether it will do.
//
// A bundled action whose id a broken file of the operator's names is left out
// too: the operator meant to replace it, perhaps to narrow it. The others are
// parsed when they are first asked for.
func Load(o LoadOptions) (*Catalog, []Problem) {
	c := &Catalog{own: map[string]*Manifest{}, bundled: map[string]*bundledAction{}}
	var problems []Problem
	withheld := map[string]bool{}
	for _, dir := range o.Dirs {
		problems = append(problems, c.loadDir(dir, withheld)...)
	}
	if !o.Bundled {
		return c, problems
	}
	for _, b := range bundledActions() {
		if _, replaced := c.own[b.id]; !replaced && !withheld[b.id] {
			c.bundled[b.id] = b
		}
	}
	return c, problems
}

// claim finds the action ids in a file that need not even be YAML.
var claim = regexp.MustCompile(`(?m)^[ \t]*["']?action_id["']?[ \t]*:[ \t]*["']?([A-Za-z0-9_-]{1,128})`)

// loadDir adds the manifests of a folder, and to broken the ids that its broken
// files name.
func (c *Catalog) loadDir(dir string, broken map[string]bool) []Problem {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []Problem{{File: dir, Message: "cannot read the folder: " + cause(err), Hint: "create it, or remove it from manifests.dirs"}}
	}
	var problems []Problem
	for _, entry := range entries {
		name := entry.Name()
		if ext := filepath.Ext(name); ext != ".yaml" && ext != ".yml" || strings.HasPrefix(name, ".") || entry.IsDir() {
			continue
		}
		file := filepath.Join(dir, name)
		data, err := readRegular(file)
		if err != nil {
			problems = append(problems, Problem{File: file, Message: "cannot read: " + cause(err)})
			continue
		}
		found, more := Parse(file, data)
		problems = append(problems, more...)
		if HasErrors(more) {
			for _, id := range claim.FindAllSubmatch(data, -1) {
				broken[string(id[1])] = true
			}
		}
		for _, m := range found {
			if first, twice := c.own[m.ActionID]; twice {
				problems = append(problems, Problem{
					File: m.File, Line: m.Line, ActionID: m.ActionID,
					Message: fmt.Sprintf("action %q is in %s:%d already", m.ActionID, first.File, first.Line),
					Hint:    "remove one of them, or give it another action_id",
				})
				continue
			}
			c.own[m.ActionID] = m
		}
	}
	return problems
}

// readRegular is os.ReadFile, but that a pipe, which nobody may ever write to, is an
// error.
func readRegular(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a file")
	}
	return os.ReadFile(file)
}

// cause strips the path that the message gives already.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

// Get returns the action of that id.
func (c *Catalog) Get(id string) (*Manifest, bool) {
	if m, ok := c.own[id]; ok {
		return m, true
	}
	if b, ok := c.bundled[id]; ok {
		m := b.manifest()
		return m, m != nil
	}
	return nil, false
}

// Text returns the YAML of a bundled action, to make one's own of; nil where
// there is none of that id, or a file of the operator's replaces it.
func (c *Catalog) Text(id string) []byte {
	if b, ok := c.bundled[id]; ok {
		return bytes.TrimSpace(b.text)
	}
	return nil
}

// Own returns the operator's own actions, sorted by id.
func (c *Catalog) Own() []*Manifest {
	return slices.SortedFunc(maps.Values(c.own), byID)
}

// All returns every action, sorted by id.
func (c *Catalog) All() []*Manifest {
	all := slices.Collect(maps.Values(c.own))
	for _, b := range c.bundled {
		if m := b.manifest(); m != nil {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, byID)
	return all
}

func byID(a, b *Manifest) int { return strings.Compare(a.ActionID, b.ActionID) }

// Len is how many actions there are.
func (c *Catalog) Len() int { return len(c.own) + len(c.bundled) }

// Suggest returns the id that is most like one that does not exist, for "did
// you mean"; "" where none is close.
func (c *Catalog) Suggest(id string) string {
	ids := slices.AppendSeq(slices.Collect(maps.Keys(c.own)), maps.Keys(c.bundled))
	slices.Sort(ids)
	return nearest(id, ids)
}
