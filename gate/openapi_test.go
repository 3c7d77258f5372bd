package gate

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/latchgate/latchgate/audit"
)

// apiTypes are the Go types behind the schemas of docs/openapi.yaml.
var apiTypes = map[string]reflect.Type{
	"Failure": reflect.TypeFor[errorAnswer](), "Error": reflect.TypeFor[Error](), "Status": reflect.TypeFor[Status](), "Trust": reflect.TypeFor[Trust](),
	"OpenRun": reflect.TypeFor[runRequest](), "OpenedRun": reflect.TypeFor[OpenedRun](), "RunStatus": reflect.TypeFor[RunStatus](),
	"RenewRun": reflect.TypeFor[renewRequest](), "ActionStatus": reflect.TypeFor[ActionStatus](), "ActionSecret": reflect.TypeFor[ActionSecret](),
	"Execute": reflect.TypeFor[executeRequest](), "Executed": reflect.TypeFor[Executed](), "Approval": reflect.TypeFor[Approval](),
	"Argument": reflect.TypeFor[Argument](), "Event": reflect.TypeFor[audit.Entry](),
}

// openAPI is docs/openapi.yaml.
type openAPI struct {
	Paths      map[string]map[string]any
	Components struct {
		Schemas map[string]struct {
			Required   []string
			Properties map[string]map[string]any
		}
	}
	raw any
}

func readOpenAPI(t *testing.T) *openAPI {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	api := &openAPI{}
	if err := json.Unmarshal(raw, api); err != nil {
		t.Fatal(err)
	}
	if api.raw, err = jsonschema.UnmarshalJSON(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	return api
}

func TestEveryRouteIsDocumentedAndTheOtherWayRound(t *testing.T) {
	var documented, served []string
	for path, operations := range readOpenAPI(t).Paths {
		for method := range operations {
			if method != "parameters" {
				documented = append(documented, strings.ToUpper(method)+" "+path)
			}
		}
	}
	for _, r := range routes {
		served = append(served, r.pattern)
	}
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("documented\n%s\nserved\n%s", strings.Join(documented, "\n"), strings.Join(served, "\n"))
	}
}

func TestEveryFieldIsDocumentedAndTheOtherWayRound(t *testing.T) {
	schemas := readOpenAPI(t).Components.Schemas
	if got, want := slices.Sorted(maps.Keys(schemas)), slices.Sorted(maps.Keys(apiTypes)); !slices.Equal(got, want) {
		t.Errorf("schemas %v, types %v", got, want)
	}
	for name, typ := range apiTypes {
		fields := jsonFields(typ)
		schema := schemas[name]
		if got, want := slices.Sorted(maps.Keys(schema.Properties)), slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) {
			t.Errorf("%s: documented %v, fields %v", name, got, want)
		}
		for field, f := range fields {
			always := !strings.Contains(f.Tag.Get("json"), ",omit")
			if slices.Contains(schema.Required, field) != always {
				t.Errorf("%s.%s: required %t, always written %t", name, field, !always, always)
			}
			if got, want := schema.Properties[field]["type"], jsonType(f.Type); got != nil && got != want {
				t.Errorf("%s.%s: documented as %v, written as %v", name, field, got, want)
			}
		}
	}
}

// jsonFields are the fields of a struct, and of those embedded in it, by the
// names that encoding/json gives them.
func jsonFields(t reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			maps.Copy(fields, jsonFields(f.Type))
		case f.IsExported() && name != "-":
			fields[name] = f
		}
	}
	return fields
}

func jsonType(t reflect.Type) any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "string"
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface, t.Kind() == reflect.Pointer:
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "array"
	}
	return "object"
}

// documentedTransport checks what goes through it against docs/openapi.yaml, and
// notes which calls were answered, and which were refused.
type documentedTransport struct {
	http.RoundTripper
	t         *testing.T
	compiling sync.Mutex
	compiler  *jsonschema.Compiler
	mux       *http.ServeMux

	mu                sync.Mutex
	answered, refused map[string]bool
}

// documented lets a client's calls be checked from now on.
func documented(t *testing.T, c *Client) *documentedTransport {
	t.Helper()
	d := &documentedTransport{RoundTripper: c.http.Transport, t: t, compiler: jsonschema.NewCompiler(), mux: http.NewServeMux(),
		answered: map[string]bool{}, refused: map[string]bool{}}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("latchgate:///openapi", readOpenAPI(t).raw); err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		d.mux.HandleFunc(r.pattern, func(http.ResponseWriter, *http.Request) {})
	}
	c.http.Transport = d
	return d
}

func (d *documentedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	_, pattern := d.mux.Handler(r)
	method, path, _ := strings.Cut(pattern, " ")
	operation := "#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method)
	sent, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(sent))
	resp, err := d.RoundTripper.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if resp.StatusCode >= 400 {
		d.refused[pattern] = true
		d.answer(resp, "#/components/responses/Failure", pattern)
		return resp, nil
	}
	d.answered[pattern] = true
	if len(sent) > 0 {
		d.check(operation+"/requestBody/content/application~1json/schema", sent, "request of "+pattern)
	}
	if resp.StatusCode != http.StatusNoContent {
		d.answer(resp, operation+"/responses/"+strconv.Itoa(resp.StatusCode), pattern)
	}
	return resp, nil
}

// answer checks a body of one JSON value, and the lines of a stream as they are
// read.
func (d *documentedTransport) answer(resp *http.Response, documented, pattern string) {
	contentType := resp.Header.Get("Content-Type")
	schema := documented + "/content/" + strings.ReplaceAll(contentType, "/", "~1") + "/schema"
	lines := &checkedLines{ReadCloser: resp.Body, check: func(line []byte) { d.check(schema, line, pattern) }}
	resp.Body = lines
}

func (d *documentedTransport) check(schema string, body []byte, what string) {
	d.compiling.Lock() // a compiler is for one goroutine
	s, err := d.compiler.Compile("latchgate:///openapi" + schema)
	d.compiling.Unlock()
	if err != nil {
		d.t.Errorf("%s: %v", what, err)
		return
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		d.t.Errorf("%s: %v\n%s", what, err, body)
	}
}

// checkedLines hands each line that was read to check.
type checkedLines struct {
	io.ReadCloser
	check func([]byte)
	part  []byte
}

func (c *checkedLines) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.part = append(c.part, p[:n]...)
	for {
		line, rest, ok := bytes.Cut(c.part, []byte("\n"))
		if !ok {
			return n, err
		}
		if c.part = rest; len(line) > 0 {
			c.check(line)
		}
	}
}
