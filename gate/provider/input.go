package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A Template is what builtin:http_api makes a request from: the template of a
// manifest, as it stands there. docs/provider-abi.md says how it is rendered.
type Template struct {
	Method  string            `json:"method"`
	URL     string            `json:"url_template"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    any               `json:"body_template,omitempty"` // nil: no body
}

// input is the document that a guest reads with input_read.
type input struct {
	ABI      int             `json:"abi"`
	Action   string          `json:"action"`
	Args     json.RawMessage `json:"args"`
	Template *Template       `json:"template,omitempty"`
}

// BuildInput makes the input document of an execution. args is a JSON object,
// the action's arguments after validation; empty stands for {}. A nil template
// is left out, for providers that bring their own requests.
func BuildInput(action string, args json.RawMessage, t *Template) ([]byte, error) {
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(args, " \t\r\n"), []byte("{")) {
		return nil, fmt.Errorf("build provider input: the arguments are not a JSON object")
	}
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(input{ABI: 1, Action: action, Args: args, Template: t}); err != nil {
		return nil, fmt.Errorf("build provider input: %w", err)
	}
	return doc.Bytes(), nil
}
