package main

import (
	"bytes"
	"io"
	"log"
	"testing"
)

// net/http tells the standard logger, in full, what an upstream said that was no
// answer to anything. That may be a secret which the upstream was sent.
func TestTheStandardLoggerPrintsNothing(t *testing.T) {
	var buf bytes.Buffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&buf)
	run(t.Context(), []string{"version"}, nil, io.Discard, io.Discard)
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q", "secret")
	if buf.Len() > 0 {
		t.Errorf("it printed %q", buf.String())
	}
}
