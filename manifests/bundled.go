package manifests

import (
	"bytes"
	"embed"
	"strings"
	"sync"
)

//go:embed catalog/*.yaml
var bundled embed.FS

// bundledAction is one document of the catalogue, found by its first key and
// not parsed yet: a start needs few of them.
type bundledAction struct {
	id       string
	text     []byte
	manifest func() *Manifest // nil for one with an error, which the tests let none have
}

// bundledActions finds the documents of the catalogue. In its files a line
// "---" is always the end of a document, and action_id begins a line.
func bundledActions() []*bundledAction {
	entries, _ := bundled.ReadDir("catalog") // the folder is in the program
	var found []*bundledAction
	for _, entry := range entries {
		data, _ := bundled.ReadFile("catalog/" + entry.Name())
		line := 1
		for text := range bytes.SplitSeq(data, []byte("\n---\n")) {
			if id := claim.FindSubmatch(text); id != nil {
				found = append(found, newBundledAction("bundled:"+entry.Name(), string(id[1]), line, text))
			}
			line += bytes.Count(text, []byte("\n")) + 2
		}
	}
	return found
}

func newBundledAction(file, id string, line int, text []byte) *bundledAction {
	return &bundledAction{id: id, text: text, manifest: sync.OnceValue(func() *Manifest {
		// The empty lines before it make the lines of messages those of the file.
		found, problems := parse(&reader{file: file, bundled: true}, append([]byte(strings.Repeat("\n", line-1)), text...))
		if HasErrors(problems) || len(found) != 1 || found[0].ActionID != id {
			return nil
		}
		return found[0]
	})}
}
