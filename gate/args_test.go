package gate

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/manifests"
)

const argsManifest = `
action_id: a
io:
  max_request_bytes: 300
  request_schema:
    type: object
    required: [owner, title]
    additionalProperties: false
    properties:
      owner: {type: string, pattern: "^[a-z]+$"}
      title: {type: string, maxLength: 5}
      count: {type: integer, default: 3}
      url: {type: string, format: uri}
      kind: {enum: [bug, idea]}
      nested:
        type: object
        properties:
          depth: {type: integer, default: 1}
          deeper: {type: object, properties: {yes: {type: boolean, default: true}}}
  response_schema: {type: object, required: [ok, items], properties: {ok: {type: boolean}, items: {type: array, items: {type: integer}}}}
`

func argsAction(t *testing.T) *manifests.Manifest {
	t.Helper()
	found, problems := manifests.Parse("a.yaml", []byte(argsManifest))
	if manifests.HasErrors(problems) {
		t.Fatal(problems)
	}
	return found[0]
}

func TestArgumentsAreCompletedWithDefaults(t *testing.T) {
	for given, want := range map[string]string{
		`{"owner":"a","title":"b"}`:                                `{"count":3,"owner":"a","title":"b"}`,
		`{"owner":"a","title":"b","count":0}`:                      `{"count":0,"owner":"a","title":"b"}`,
		`{"owner":"a","title":"b","nested":{"deeper":{}}}`:         `{"count":3,"nested":{"deeper":{"yes":true},"depth":1},"owner":"a","title":"b"}`,
		`{"owner":"a","title":"b","count":12345678901234567890}`:   `{"count":12345678901234567890,"owner":"a","title":"b"}`,
		`{"owner":"a","title":"<&>","url":"https://x.y/?a=1&b=2"}`: `{"count":3,"owner":"a","title":"<&>","url":"https://x.y/?a=1&b=2"}`,
	} {
		args, err := DecodeArgs([]byte(given))
		if err != nil {
			t.Fatal(err)
		}
		before := len(args)
		raw, err := CheckArgs(argsAction(t), args)
		if err != nil || string(raw) != want {
			t.Errorf("%s: %s, %v", given, raw, err)
		}
		if len(args) != before {
			t.Errorf("%s: the caller's arguments were changed", given)
		}
	}
}

func TestAllProblemsOfArgumentsAndResultsAreListedWithoutTheirValues(t *testing.T) {
	m := argsAction(t)
	for given, want := range map[string][]string{
		`{}`: {"missing properties 'owner', 'title'"},
		`{"owner":"SENTINEL","title":"SENTINEL","count":"SENTINEL","kind":"SENTINEL","url":"SENTINEL SENTINEL","extra":1,"nested":{"depth":1.5}}`: {
			"(top): additional properties 'extra' not allowed", "owner: does not satisfy pattern", "title: maxLength", "count: got string, want integer",
			"kind: value must be one of 'bug', 'idea'", "url: does not satisfy format", "nested.depth: got number, want integer"},
		`{"owner":"a","title":"` + strings.Repeat("x", 400) + `"}`: {"larger than 300 bytes"},
	} {
		args, err := DecodeArgs([]byte(given))
		if err != nil {
			t.Fatal(err)
		}
		_, err = CheckArgs(m, args)
		code(t, err, CodeArgumentsInvalid)
		says(t, err, want)
	}
	for given, want := range map[string][]string{
		`{"ok":"SENTINEL","items":["SENTINEL",1,"SENTINEL"]}`: {"ok: got string, want boolean", "items.0: got string, want integer", "items.2: got string, want integer"},
		`[]`: {"(top): got array, want object"},
		`{`:  {"not JSON"},
	} {
		err := CheckResult(m, []byte(given))
		code(t, err, CodeResultInvalid)
		says(t, err, want)
	}
	if err := CheckResult(m, []byte(`{"ok":true,"items":[]}`)); err != nil {
		t.Error(err)
	}
}

func says(t *testing.T, err error, want []string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in %v", w, err)
		}
	}
	if strings.Contains(err.Error(), "SENTINEL") {
		t.Errorf("a value is repeated: %v", err)
	}
}

// Arguments are written without reflection where that makes no difference.
func TestPlainArgumentsAreWrittenAsTheEncoderDoes(t *testing.T) {
	for _, c := range []struct {
		v     any
		plain bool
	}{
		{map[string]any{}, true}, {map[string]any{"b": "x", "a": nil, "c": true, "d": map[string]any{"e": "&<>"}, "aa": []any{}}, true},
		{map[string]any{"n": []any{json.Number("0"), json.Number("-1.50e+3"), json.Number("12345678901234567890")}}, true},
		{map[string]any{"n": json.Number("01")}, false}, {map[string]any{"n": json.Number(" 1")}, false}, {map[string]any{"n": json.Number("")}, false},
		{map[string]any{"n": json.Number(`"1"`)}, false}, {map[string]any{"n": json.Number("-")}, false}, {map[string]any{"n": 1}, false},
		{map[string]any{"a": `"`}, false}, {map[string]any{"a\\": "x"}, false}, {map[string]any{"a": "\x1f"}, false}, {map[string]any{"a": "é"}, false},
		{map[string]any{"a": []any(nil)}, false}, {map[string]any(nil), false}, {map[string]any{"a": "\x7f"}, false},
	} {
		got, plain := appendPlain(nil, c.v)
		if plain != c.plain {
			t.Errorf("%#v: plain %v", c.v, plain)
		}
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(c.v); plain && (err != nil || string(got)+"\n" != want.String()) {
			t.Errorf("%#v: %s, want %s, %v", c.v, got, want.String(), err)
		}
	}
}

// What is validated without being decoded again must read as its JSON does.
func TestArgumentsThatReadAsTheirJSON(t *testing.T) {
	for _, v := range []any{
		map[string]any{}, map[string]any{"a": []any{"x", true, nil, json.Number("1.50"), map[string]any{"b": json.Number("12345678901234567890")}}},
		map[string]any{"a": 1}, map[string]any{"a": 1.5}, map[string]any{"a": "\xff"}, map[string]any{"\xff": "a"}, map[string]any{"a": []string{"x"}},
		map[string]any{"a": []any{[]byte("x")}}, map[string]any{"a": []any(nil)}, map[string]any{"a": map[string]any(nil)}, map[string]any{"a": []any{map[string]int{"b": 1}}},
		map[string]any{"a": "&<>\u2028"},
	} {
		raw, err := encodeArgs(v.(map[string]any))
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := decodeJSON(raw, &back); err != nil {
			t.Fatal(err)
		}
		if decoded(v) != reflect.DeepEqual(v, back) {
			t.Errorf("%#v reads as %#v, decoded says %v", v, back, decoded(v))
		}
	}
}

func TestNumbersThatNobodyCanCompareAreNotCompared(t *testing.T) {
	schema := map[string]any{"type": "object", "properties": map[string]any{"n": map[string]any{"minimum": json.Number("-1"), "multipleOf": json.Number("0.1")}, "more": map[string]any{"type": "array", "items": map[string]any{"type": "integer"}}}}
	m := &manifests.Manifest{ActionID: "a"}
	m.IO.MaxRequestBytes, m.IO.RequestSchema, m.IO.ResponseSchema = 1000, schema, schema
	for doc, good := range map[string]bool{
		`{"n":1e10000000}`: false, `{"n":1e-10000000}`: false, `{"n":1E+1000}`: false, `{"more":[1,1e999999]}`: false,
		`{"n":1e308}`: true, `{"n":1e+0000002}`: true, `{"n":-1E-00001}`: true, `{"more":[1,5e2]}`: true,
	} {
		args, err := DecodeArgs([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := CheckArgs(m, args); (err == nil) != good {
			t.Errorf("arguments %s: %v", doc, err)
		}
		if err := CheckResult(m, []byte(doc)); (err == nil) != good {
			t.Errorf("result %s: %v", doc, err)
		}
	}
}
