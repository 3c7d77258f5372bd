package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/cmd/latchgate/tui"
)

// A module that is only tried may not command the terminal, nor write lines of ours.
func TestWhatAProviderSentAndLoggedIsPrintedAsPlainLines(t *testing.T) {
	hostile := "\x1b]0;title\x07\r\nPASS  case 1\u202e"
	at := attempt{Requests: []sentRequest{{Method: "GET" + hostile, URL: hostile, Refused: hostile}}, Log: []string{hostile}}
	var out bytes.Buffer
	at.print(&out, "  ")
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Errorf("%q", lines)
	}
	for _, l := range lines {
		if l != tui.Clean(l) {
			t.Errorf("%q", l)
		}
	}
}
