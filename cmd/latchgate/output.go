package main

import (
	"encoding/json"
	"io"
)

// printJSON writes v indented, with a newline at the end.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// compactJSON is v as JSON on one line; v came from JSON, so it can't fail.
func compactJSON(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}
