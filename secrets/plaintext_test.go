package secrets

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// documentOf is a document as [Store.Edit] hands it out.
func documentOf(names []string, values map[string]string) *Document {
	d := &Document{values: map[string]Value{}, mem: &memory{}, names: names}
	for name, v := range values {
		d.values[name] = NewValue([]byte(v))
	}
	return d
}

var trickyValues = []string{
	"", " ", "plain", "ghp_0123456789abcdef", "true", "null", "Null", "~", "123", "1e3", "0x1f", "2020-01-01", "-", "---", "...", "- a", "? a", "a: b", "a #b", "#a",
	"&a", "*a", "!a", "%a", "@a", "`a`", "'a'", `"a"`, `a\b`, `a\nb`, "{a: b}", "[a]", "|", ">", "a\n", "a\n\n", "\na", "a\nb", "a\nb\n", " a\nb", "a\n b\n", "a\n\nb", "a \nb",
	"a\tb", "\ta", "a\r\nb\r\n", "a\x00b", "\x7f", "\u0085", "\u2028a\u2029", "\ufeffa", "\u00a0", "é", "日本語", "😀", "\U0010ffff", "=", "==", "<<", "a=b", "https://u:p@h/?q=1#f", pem,
}

func TestPlaintextReadsBackByteForByte(t *testing.T) {
	values, names := map[string]string{}, []string{"a name that sops allows: \"x\""}
	values[names[0]] = "x"
	for i, v := range trickyValues {
		name := "N" + strings.Repeat("x", i)
		names, values[name] = append(names, name), v
	}
	names = append(names, "NULL_ONE")
	text := documentOf(names, values).Plaintext()
	gotNames, got, err := ParsePlaintext(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if !slices.Equal(gotNames, names) {
		t.Errorf("names %q", gotNames)
	}
	for name, want := range values {
		if v, ok := got[name]; !ok || v == nil || string(v) != want {
			t.Errorf("%q came back as %q", want, v)
		}
	}
	if v, ok := got["NULL_ONE"]; !ok || v != nil {
		t.Errorf("null came back as %q", v)
	}
	if !strings.Contains(string(text), "Nxx: plain\n") || !strings.Contains(string(text), ": |\n  -----BEGIN") {
		t.Errorf("a plain value is not plain, or a PEM block no block:\n%s", text)
	}
}

func FuzzPlaintextReadsBackByteForByte(f *testing.F) {
	for _, v := range trickyValues {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if !utf8.ValidString(v) {
			t.Skip()
		}
		text := documentOf([]string{"A", "B"}, map[string]string{"A": v, "B": "end"}).Plaintext()
		_, got, err := ParsePlaintext(text)
		if err != nil || string(got["A"]) != v || string(got["B"]) != "end" {
			t.Fatalf("%q came back as %q, %v, by\n%s", v, got["A"], err, text)
		}
	})
}

func TestWhatAnEditorGetsWrongIsSaidWithoutTheValue(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"A: hunter2\nA: hunter2\n", "line 2: A is there twice"},
		{"A: hunter2 # hunter2\n", "has a # behind it"},
		{"A: *hunter2\n", "must be in quotes"},
		{"A: &hunter2 x\n", "begins with & or *"},
		{"A: !hunter2 x\n", "begins with !"},
		{"A: [hunter2]\n", "is a map or a list"},
		{"A:\n  hunter2: x\n", "is a map or a list"},
		{"A: hunter2: x\n", "mapping values are not allowed"},
		{"A: 'hunter2\n", "line"},
		{"A: \"hunter2\\q\"\n", "unknown escape character"},
		{"hunter2\n", "line 1: not of the form NAME: value"},
		{"- hunter2\n", "line 1: not of the form NAME: value"},
		{"A: x\n---\nB: hunter2\n", "begins with ---"},
		{"A: x\n\tB: hunter2\n", "line"},
		{"A: \x01hunter2\n", "control characters"},
	} {
		_, _, err := ParsePlaintext([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.text, err, test.want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error has the value: %v", test.text, err)
		}
	}
}

func TestMistakesNameTheSecretAndNoMore(t *testing.T) {
	names := []string{"NEWLINE", "CRLF", "QUOTES", "TICKS", "BLANK", "PEM", "JSON", "ONE", "EMPTY", "FINE"}
	d := documentOf(names, map[string]string{"NEWLINE": "hunter2\n", "CRLF": "hunter2\r\n", "QUOTES": `"hunter2"`, "TICKS": "'hunter2'", "BLANK": "hunter2 ",
		"PEM": pem, "JSON": `{"a":"hunter2"}`, "ONE": `"`, "EMPTY": "", "FINE": "hunter2"})
	var got []string
	for _, m := range d.Mistakes() {
		got = append(got, m.Name)
		if strings.Contains(m.What, "hunter2") || strings.ContainsAny(m.What, "0123456789") {
			t.Errorf("%s: %s", m.Name, m.What)
		}
	}
	if want := names[:5]; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, v := range []string{"A: hunter2\nB: x\n", `{"A":"hunter2"}`, "A=hunter2"} {
		if m := documentOf([]string{"data"}, map[string]string{"data": v}).Mistakes(); len(m) != 1 || m[0].Name != "data" || !strings.Contains(m[0].What, "--input-type yaml") {
			t.Errorf("%q: %v", v, m)
		}
	}
	if m := documentOf([]string{"data"}, map[string]string{"data": "token"}).Mistakes(); len(m) != 0 {
		t.Errorf("a secret that is called data: %v", m)
	}
}
