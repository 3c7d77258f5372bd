package manifests

import (
	"embed"
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

//go:embed catalog/*.yaml
var bundled embed.FS

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
	byID map[string]*Manifest
}

// Load reads every manifest there is. What is broken is left out and told
// about; the rest is in the catalogue, which is never nil, and the caller
// decides whether it will do.
//
// A bundled action whose id a broken file of the operator's names is left out
// too: the operator meant to replace it, perhaps to narrow it.
func Load(o LoadOptions) (*Catalog, []Problem) {
	c := &Catalog{byID: map[string]*Manifest{}}
	var problems []Problem
	withheld := map[string]bool{}
	for _, dir := range o.Dirs {
		problems = append(problems, c.loadDir(dir, withheld)...)
	}
	if !o.Bundled {
		return c, problems
	}
	found, more := parseBundled()
	for _, m := range found {
		if _, replaced := c.byID[m.ActionID]; !replaced && !withheld[m.ActionID] {
			c.byID[m.ActionID] = m
		}
	}
	return c, append(problems, more...)
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
		data, err := os.ReadFile(file)
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
			if first, twice := c.byID[m.ActionID]; twice {
				problems = append(problems, Problem{
					File: m.File, Line: m.Line, ActionID: m.ActionID,
					Message: fmt.Sprintf("action %q is in %s:%d already", m.ActionID, first.File, first.Line),
					Hint:    "remove one of them, or give it another action_id",
				})
				continue
			}
			c.byID[m.ActionID] = m
		}
	}
	return problems
}

// cause strips the path that the message gives already.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

func parseBundled() (found []*Manifest, problems []Problem) {
	files, _ := fs.Glob(bundled, "catalog/*.yaml") // the pattern is good
	for _, file := range files {
		name := "bundled:" + strings.TrimPrefix(file, "catalog/")
		data, err := bundled.ReadFile(file)
		if err != nil {
			problems = append(problems, Problem{File: name, Message: err.Error()})
			continue
		}
		ms, ps := Parse(name, data)
		found, problems = append(found, ms...), append(problems, ps...)
	}
	return found, problems
}

// Get returns the action of that id.
func (c *Catalog) Get(id string) (*Manifest, bool) {
	m, ok := c.byID[id]
	return m, ok
}

// All returns every action, sorted by id.
func (c *Catalog) All() []*Manifest {
	return slices.SortedFunc(maps.Values(c.byID), func(a, b *Manifest) int { return strings.Compare(a.ActionID, b.ActionID) })
}

// Suggest returns the id that is most like one that does not exist, for "did
// you mean"; "" where none is close.
func (c *Catalog) Suggest(id string) string {
	return nearest(id, slices.Sorted(maps.Keys(c.byID)))
}
