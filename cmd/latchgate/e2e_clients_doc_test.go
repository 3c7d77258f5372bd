package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// update has the tests write what they otherwise compare.
var update = flag.Bool("update", false, "write the table in docs/clients.md")

const (
	clientsDoc = "../../docs/clients.md"
	tableStart = "<!-- the table is written by: go test ./cmd/latchgate -run TestRealClients -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// clientTable collects the rows of docs/clients.md.
type clientTable struct {
	mu   sync.Mutex
	rows map[string]row // by client.name
}

// row is a line of the table. Versions are those of the machine that wrote it.
type row struct{ version, proxy, trust, result string }

func (tb *clientTable) add(c *client, version string) {
	result := "works"
	if c.keyed {
		result += "; sends the placeholder"
	}
	code := func(names []string) string { return "`" + strings.Join(names, "` `") + "`" }
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.rows == nil {
		tb.rows = map[string]row{}
	}
	tb.rows[c.name] = row{version, code(c.proxy), code(c.trust), result}
}

// compare prints the table, and compares it with the document's but for the
// versions. A client that is not here keeps its row.
func (tb *clientTable) compare(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(clientsDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), tableStart)
	old, after, ended := strings.Cut(rest, tableEnd)
	if !ok || !ended {
		t.Fatalf("%s has no table between its marks", clientsDoc)
	}
	documented := parseTable(old)
	var text strings.Builder
	text.WriteString("| client | version | proxy by | trust by | result |\n|---|---|---|---|---|\n")
	for _, c := range clients {
		got, ran := tb.rows[c.name]
		was, there := documented[c.name]
		if !ran {
			got = was
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", c.name, got.version, got.proxy, got.trust, got.result)
		was.version = got.version
		if !*update && (!there || was != got) {
			t.Errorf("%s: the document says %q of %s; it is %q (-update writes it)", clientsDoc, was, c.name, got)
		}
		delete(documented, c.name)
	}
	t.Log("\n" + text.String())
	if *update {
		if err := os.WriteFile(clientsDoc, []byte(before+tableStart+text.String()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if len(documented) > 0 {
		t.Errorf("%s has rows that no test makes: %v", clientsDoc, documented)
	}
}

// parseTable reads the rows of a Markdown table.
func parseTable(text string) map[string]row {
	rows := map[string]row{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) == 5 && cells[0] != "client" && !strings.HasPrefix(cells[0], "---") {
			rows[cells[0]] = row{cells[1], cells[2], cells[3], cells[4]}
		}
	}
	return rows
}
