package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
)

// printJSON writes v indented, with a newline at the end.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, visible(b.String()))
	return err
}

// compactJSON is v as JSON on one line; v came from JSON, so it can't fail.
func compactJSON(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

// visible is the same JSON with what is not printable as \u escapes: encoding/json
// leaves DEL, the C1 controls, which some terminals obey, and marks that turn the
// reading direction as they are.
func visible(text string) string {
	odd := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
	if !strings.ContainsFunc(text, odd) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !odd(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
