package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/latchgate/latchgate/manifests"
)

// CoerceArgs makes arguments of key=value words as a shell gives them. A value
// is text, unless the schema says that the property is a number, boolean,
// object, array or null: then it is read as JSON. Errors name the key and what
// the schema wants, never the value.
func CoerceArgs(schema map[string]any, words []string) (map[string]any, error) {
	args := map[string]any{}
	properties, _ := schema["properties"].(map[string]any)
	for i, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("argument %d is not key=value", i+1)
		}
		property, _ := properties[key].(map[string]any)
		if textual(property["type"]) {
			args[key] = value
			continue
		}
		var v any
		if err := decodeJSON([]byte(value), &v); err != nil {
			return nil, fmt.Errorf("argument %s must be %v, written as JSON", key, property["type"])
		}
		args[key] = v
	}
	return args, nil
}

// DecodeArgs makes arguments of a JSON object. Numbers stay as they are written.
func DecodeArgs(raw []byte) (map[string]any, error) {
	var args map[string]any
	if err := decodeJSON(raw, &args); err != nil || args == nil {
		return nil, errors.New("not a JSON object")
	}
	return args, nil
}

// decodeJSON is json.Unmarshal, but that 12345678901234567890 stays what it is.
func decodeJSON(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

// textual reports whether a property of that type takes a shell word as it is.
func textual(schemaType any) bool {
	switch t := schemaType.(type) {
	case string:
		return t == "string"
	case []any:
		for _, one := range t {
			if one == "string" {
				return true
			}
		}
		return false
	}
	return true
}

// WithDefaults fills the properties that args lacks and the schema has a
// default for, in nested objects too. args is not changed.
func WithDefaults(schema map[string]any, args map[string]any) map[string]any {
	full := make(map[string]any, len(args))
	for k, v := range args {
		full[k] = v
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		property, _ := p.(map[string]any)
		v, given := full[name]
		if d, ok := property["default"]; ok && !given {
			full[name] = d
			continue
		}
		if nested, ok := v.(map[string]any); ok {
			full[name] = WithDefaults(property, nested)
		}
	}
	return full
}

// checkArgs validates the arguments against the action's schema and size.
func (a *action) checkArgs(args map[string]any) ([]byte, error) {
	if err := a.prepareSchemas(); err != nil {
		return nil, err
	}
	raw, err := encodeArgs(args)
	if err != nil {
		return nil, &Error{Code: CodeArgumentsInvalid, Message: "the arguments are not JSON", Err: err}
	}
	if int64(len(raw)) > a.IO.MaxRequestBytes {
		return nil, &Error{Code: CodeArgumentsInvalid, Message: fmt.Sprintf("the arguments are larger than %d bytes", a.IO.MaxRequestBytes),
			Hint: fmt.Sprintf("io.max_request_bytes in %s:%d", a.File, a.Line)}
	}
	if problems := schemaProblems(a.request, raw, args); len(problems) > 0 {
		return nil, &Error{Code: CodeArgumentsInvalid, Message: "the arguments are not what the action takes: " + strings.Join(problems, "; "),
			Hint: fmt.Sprintf("`latchgate actions show %s` shows what it takes", a.ActionID)}
	}
	return raw, nil
}

// encodeArgs is json.Marshal, but that & stays & in a URL: small providers
// read strings as they stand.
func encodeArgs(args map[string]any) ([]byte, error) {
	if plain, ok := appendPlain(make([]byte, 0, 256), args); ok {
		return plain, nil
	}
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	e.SetEscapeHTML(false)
	if err := e.Encode(args); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(raw.Bytes(), []byte("\n")), nil
}

// appendPlain appends v as the encoder above writes it, where v could have come
// out of a JSON document and its texts stand in one as they are. It reports false
// for anything else, and takes a quarter of the encoder's time.
func appendPlain(doc []byte, v any) (_ []byte, ok bool) {
	switch v := v.(type) {
	case nil:
		return append(doc, "null"...), true
	case bool:
		return strconv.AppendBool(doc, v), true
	case string:
		for i := range len(v) {
			if c := v[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
				return doc, false
			}
		}
		return append(append(append(doc, '"'), v...), '"'), true
	case json.Number:
		if strings.Trim(string(v), "0123456789+-.eE") != "" || !json.Valid([]byte(v)) {
			return doc, false
		}
		return append(doc, v...), true
	case []any:
		if v == nil {
			return doc, false
		}
		doc = append(doc, '[')
		for i, e := range v {
			if i > 0 {
				doc = append(doc, ',')
			}
			if doc, ok = appendPlain(doc, e); !ok {
				return doc, false
			}
		}
		return append(doc, ']'), true
	case map[string]any:
		if v == nil {
			return doc, false
		}
		var space [16]string
		names := space[:0]
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		doc = append(doc, '{')
		for i, name := range names {
			if i > 0 {
				doc = append(doc, ',')
			}
			if doc, ok = appendPlain(doc, name); !ok {
				return doc, false
			}
			if doc, ok = appendPlain(append(doc, ':'), v[name]); !ok {
				return doc, false
			}
		}
		return append(doc, '}'), true
	}
	return doc, false
}

// CheckArgs completes the arguments of an action with the defaults and validates
// them as an execution does; it gives the JSON that its provider sees. Errors
// are an [*Error].
func CheckArgs(m *manifests.Manifest, args map[string]any) ([]byte, error) {
	return (&action{Manifest: m}).checkArgs(WithDefaults(m.IO.RequestSchema, args))
}

// CheckResult validates what a provider of the action returned, as an execution
// does. Errors are an [*Error].
func CheckResult(m *manifests.Manifest, result []byte) error {
	a := &action{Manifest: m}
	if err := a.prepareSchemas(); err != nil {
		return err
	}
	return a.checkResult(result)
}

// checkResult validates what a provider returned against the action's schema.
func (a *action) checkResult(result []byte) error {
	if problems := schemaProblems(a.result, result, nil); len(problems) > 0 {
		return &Error{Code: CodeResultInvalid, Message: "the provider's result is not what the action promises: " + strings.Join(problems, "; ")}
	}
	return nil
}

// schemaProblems lists what is wrong with a document: where, and what the
// schema wants there. The document's own values are left out. It is raw that is
// looked at, or what raw was made of where that is sure to read the same.
func schemaProblems(s *jsonschema.Schema, raw []byte, of map[string]any) []string {
	if s == nil {
		return nil
	}
	var doc any = of
	if of == nil || !decoded(of) {
		var err error
		if doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(raw)); err != nil {
			return []string{"not JSON"}
		}
	}
	if !comparableNumbers(doc) {
		return []string{"a number is too large or too small to be compared"}
	}
	var invalid *jsonschema.ValidationError
	if err := s.Validate(doc); errors.As(err, &invalid) {
		return leaves(invalid, nil)
	} else if err != nil {
		return []string{"the schema can't be applied"}
	}
	return nil
}

// decoded reports whether v could have come out of a JSON document as it is, so
// that to encode and decode it changes nothing.
func decoded(v any) bool {
	switch v := v.(type) {
	case nil, bool, json.Number:
		return true
	case string:
		return utf8.ValidString(v)
	case []any:
		return v != nil && !slices.ContainsFunc(v, func(e any) bool { return !decoded(e) })
	case map[string]any:
		for name, e := range v {
			if !utf8.ValidString(name) || !decoded(e) {
				return false
			}
		}
		return v != nil
	}
	return false
}

// comparableNumbers reports whether the exponents in a document have three digits
// at most. The library makes fractions of numbers: of 1e999999 one with a million
// digits, and of 1e9999999 none, which it does not expect.
func comparableNumbers(v any) bool {
	switch v := v.(type) {
	case json.Number:
		at := strings.IndexAny(string(v), "eE")
		return at < 0 || len(strings.TrimLeft(string(v[at+1:]), "+-0")) <= 3
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !comparableNumbers(e) })
	case map[string]any:
		for _, e := range v {
			if !comparableNumbers(e) {
				return false
			}
		}
	}
	return true
}

var english = message.NewPrinter(language.English)

func leaves(e *jsonschema.ValidationError, found []string) []string {
	if len(e.Causes) == 0 {
		at := strings.Join(e.InstanceLocation, ".")
		if at == "" {
			at = "(top)"
		}
		return append(found, at+": "+wanted(e))
	}
	for _, c := range e.Causes {
		found = leaves(c, found)
	}
	return found
}

// wanted says what the schema asks for. Some of the library's texts repeat the
// value that was given; those are replaced by the name of the keyword.
func wanted(e *jsonschema.ValidationError) string {
	path := e.ErrorKind.KeywordPath()
	keyword := "schema"
	if len(path) > 0 {
		keyword = path[len(path)-1]
	}
	switch keyword {
	case "required", "type", "additionalProperties", "minLength", "maxLength", "minItems", "maxItems", "enum", "const", "dependentRequired":
		return e.ErrorKind.LocalizedString(english)
	}
	return "does not satisfy " + keyword
}
