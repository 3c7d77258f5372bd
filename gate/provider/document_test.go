package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
)

// FuzzPlainDocumentIsReadAsJSON: what is read without encoding/json is what it
// would have read, and what our own guest writes is read so.
func FuzzPlainDocumentIsReadAsJSON(f *testing.F) {
	for _, doc := range []string{
		`{"method":"GET","url":"https://api.x/","headers":[]}`,
		`{"method":"GET","url":"https://api.x/?a=b&c=<d>","headers":[["A","b"],["C",""]]}`,
	} {
		if _, ok := readPlain(doc); !ok {
			f.Errorf("%s is not read", doc)
		}
		f.Add(doc)
	}
	for _, doc := range []string{
		`{"method":"GET","url":"https://api.x/","headers":[["A","b"],]}`, `{"method":"GET","url":"https://api.x/","headers":[,["A","b"]]}`,
		`{"method":"GET","url":"https://api.x/","headers":[["A","b"]["A","b"]]}`, `{"method":"GET","url":"https://api.x/","headers":[["A","b","c"]]}`,
		`{"method":"GET","url":"https://api.x/","headers":[["A","b"]]}}`, `{"method":"GET","url":"https://api.x/\\","headers":[]}`,
		`{"method":"GET","url":"https://api.x/\u0041","headers":[]}`, `{"method":"GET","url":"é","headers":[]}`, `{"method":"GET","url":"`, ``,
	} {
		if r, ok := readPlain(doc); ok {
			f.Errorf("%s is read as %v", doc, r)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		got, ok := readPlain(doc)
		if !ok {
			return
		}
		want := requestDoc{}
		d := json.NewDecoder(bytes.NewReader([]byte(doc)))
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil || got.Method != want.Method || got.URL != want.URL || len(got.Headers) != len(want.Headers) ||
			len(got.Headers) > 0 && !reflect.DeepEqual(got.Headers, want.Headers) || d.InputOffset() != int64(len(doc)) {
			t.Errorf("%q is read as %v, and by encoding/json as %v, %v", doc, got, want, err)
		}
	})
}

func TestResponseDocumentIsJSONWhateverIsInTheHeaders(t *testing.T) {
	for _, c := range []struct {
		header http.Header
		want   string
	}{
		{nil, `{"status":200,"headers":[]}`},
		{http.Header{"X-B": {"2", "1"}, "Link": {"<https://a.x/?b&c>"}, "x-a": {""}}, `{"status":200,"headers":[["link","<https://a.x/?b&c>"],["x-a",""],["x-b","2"],["x-b","1"]]}`},
		{http.Header{"Etag": {`"a\b"`, "\x01\t", "é", "\xff"}}, `{"status":200,"headers":[["etag","\"a\\b\""],["etag","\u0001\t"],["etag","é"],["etag","\ufffd"]]}`},
		{http.Header{"A": {}}, `{"status":200,"headers":[]}`},
	} {
		got := describe(&http.Response{StatusCode: 200, Header: c.header})
		if string(got) != c.want || !json.Valid(got) {
			t.Errorf("%v: %s, want %s", c.header, got, c.want)
		}
	}
}
