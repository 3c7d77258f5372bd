package manifests

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/catalog.md")

const (
	catalogDoc   = "../docs/catalog.md"
	generatedDoc = "<!-- What follows is generated: go test ./manifests -run TestTheCatalogueIsDocumented -update -->\n"
)

func TestTheCatalogueIsDocumented(t *testing.T) {
	doc, err := os.ReadFile(catalogDoc)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, ok := bytes.Cut(doc, []byte(generatedDoc))
	if !ok {
		t.Fatalf("%s has no line %s", catalogDoc, generatedDoc)
	}
	want := string(prose) + generatedDoc + documentCatalogue(t)
	if *update {
		if err := os.WriteFile(catalogDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(doc) != want {
		t.Errorf("%s is not what the catalogue is: go test ./manifests -run TestTheCatalogueIsDocumented -update", catalogDoc)
	}
}

// documentCatalogue is the coverage table, and a section for each service.
func documentCatalogue(t *testing.T) string {
	var table, sections strings.Builder
	profiles, actions := 0, 0
	files := bundledFiles(t)
	for _, name := range slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		return strings.Compare(strings.ToLower(serviceTitle(files[a])), strings.ToLower(serviceTitle(files[b])))
	}) {
		found, _ := Parse(name, files[name])
		title := serviceTitle(files[name])
		var ps []string
		n := 0
		for _, m := range found {
			if m.Template == nil {
				ps = append(ps, "`"+m.ActionID+"`")
			} else {
				n++
			}
		}
		profiles, actions = profiles+len(ps), actions+n
		fmt.Fprintf(&table, "| [%s](#%s) | %s | %d | %s |\n", title, anchor(title), strings.Join(ps, " "), n, strings.Join(authentications(found), "<br>"))
		fmt.Fprintf(&sections, "\n## %s\n\n%s\n\n", title, serviceNote(files[name]))
		sections.WriteString("| | risk | | sends |\n|---|---|---|---|\n")
		for _, m := range found {
			fmt.Fprintf(&sections, "| `%s` | %s | %s | %s |\n", m.ActionID, m.RiskLevel, escapeCell(m.Description), requestsOf(m))
		}
	}
	return fmt.Sprintf("\n%d services, %d profiles, %d actions.\n\n| service | profiles | actions | authentication |\n|---|---|---|---|\n", len(files), profiles, actions) +
		table.String() + sections.String()
}

// header is the comment that a file of the catalogue begins with: the service's
// name, and below it how it authenticates.
func header(data []byte) []string {
	text, _, _ := strings.Cut(string(data), "\n\n")
	return strings.Split(strings.ReplaceAll(text, "# ", ""), "\n")
}

func serviceTitle(data []byte) string { return header(data)[0] }

func serviceNote(data []byte) string { return strings.Join(header(data)[1:], "\n") }

// anchor is the fragment under which Markdown renderers find a heading.
func anchor(title string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case strings.ContainsRune(".,:;!?'()+/&", c):
			return -1
		}
		return c
	}, strings.ToLower(title))
}

func escapeCell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// authentications lists each way in which a service's actions place a secret.
func authentications(found []*Manifest) []string {
	var all []string
	for _, m := range found {
		for _, s := range m.Secrets {
			for _, b := range s.Inject {
				if a := fmt.Sprintf("`%s` %s", s.Name, inWords(&b)); !slices.Contains(all, a) {
					all = append(all, a)
				}
			}
		}
	}
	if len(all) == 0 {
		return []string{"none"}
	}
	return all
}

func inWords(b *Binding) string {
	switch b.As {
	case Basic:
		if b.Username == "" {
			return "Basic, empty user"
		}
		return fmt.Sprintf("Basic, user `%s`", b.Username)
	case Header:
		return fmt.Sprintf("`%s: %s`", b.Header, b.Format)
	case Query:
		return fmt.Sprintf("query `%s`", b.Param)
	case Path:
		return fmt.Sprintf("path `%s`", b.Format)
	case Placeholder:
		return "in place of its placeholder in " + strings.Join(b.In, ", ")
	}
	return "Bearer"
}

// requestsOf says which requests an action can send.
func requestsOf(m *Manifest) string {
	if m.Template != nil {
		return fmt.Sprintf("`%s %s%s`", m.Template.Method, hostsInWords(m), m.Egress.AllowedPaths[0])
	}
	methods, paths := "any method", ""
	if len(m.Egress.AllowedMethods) > 0 {
		methods = strings.Join(m.Egress.AllowedMethods, ", ")
	}
	if n := len(m.Egress.AllowedPaths); n > 0 && n < 4 {
		for _, p := range m.Egress.AllowedPaths {
			paths += " `" + p.String() + "`"
		}
	} else if n > 0 {
		paths = fmt.Sprintf(" %d paths", n)
	}
	return methods + " to `" + hostsInWords(m) + "`" + paths
}

func hostsInWords(m *Manifest) string {
	hosts := m.Egress.AllowedDomains
	if len(hosts) > 3 {
		return fmt.Sprintf("%s and %d more", hosts[0], len(hosts)-1)
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.String())
	}
	return strings.Join(names, ", ")
}
