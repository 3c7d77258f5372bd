package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// A Template is what builtin:http_api makes a request from: the template of a
// manifest, as it stands there. docs/provider-abi.md says how it is rendered.
type Template struct {
	Method  string            `json:"method"`
	URL     string            `json:"url_template"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    any               `json:"body_template,omitempty"` // nil: no body

	encoded []byte // all of it; nil: not prepared
}

// Prepared returns t for any number of executions, which differ in their
// arguments alone. Changing its fields has no effect any more.
func (t Template) Prepared() (*Template, error) {
	var err error
	t.encoded, err = encode(t)
	return &t, err
}

// encode is json.Marshal, but that & stays & in a URL: small providers read
// strings as they stand.
func encode(v any) ([]byte, error) {
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(doc.Bytes(), []byte("\n")), err
}

// BuildInput makes the document that a guest reads with input_read: abi, action,
// args and template. args is a JSON object,
// the action's arguments after validation; empty stands for {}. A nil template
// is left out, for providers that bring their own requests.
func BuildInput(action string, args json.RawMessage, t *Template) ([]byte, error) {
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(args, " \t\r\n"), []byte("{")) {
		return nil, fmt.Errorf("build provider input: the arguments are not a JSON object")
	}
	name, err := encode(action)
	if err == nil && !json.Valid(args) {
		err = errors.New("the arguments are not JSON")
	}
	var template []byte
	if t != nil && err == nil {
		if template = t.encoded; template == nil {
			template, err = encode(t)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("build provider input: %w", err)
	}
	doc := make([]byte, 0, len(name)+len(args)+len(template)+64)
	doc = append(append(doc, `{"abi":1,"action":`...), name...)
	doc = append(append(doc, `,"args":`...), args...)
	if t != nil {
		doc = append(append(doc, `,"template":`...), template...)
	}
	return append(doc, "}\n"...), nil
}
