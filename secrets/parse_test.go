package secrets

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzJSONIsReadAsEncodingJSONReadsIt(f *testing.F) {
	for _, seed := range []string{
		richJSON, `{}`, `{"a":[1,-0,0.5e+3,{"b":null}]}`, `{"a":"\ud83d\ude00\ud83d\u0041\ude00\u00e9\/"}`, `{"a":01}`, `{"a":1.}`,
		`{"a":"` + strings.Repeat(`\n`, 50) + `"}`, `{"":""}`, "{\"a\":\"\x01\"}", `{"a" : true , "b":false} x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := parseJSON(bytes.Clone(data))
		var want map[string]any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		wantErr := dec.Decode(&want)
		if err != nil {
			if wantErr == nil && want != nil && utf8.Valid(data) && !strings.Contains(err.Error(), "deeply") {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("%q: accepted, but %v", data, wantErr)
		}
		if text := n.appendJSON(nil); len(text) > n.maxJSON() {
			t.Fatalf("%q is longer than the %d that were counted", text, n.maxJSON())
		}
		var got map[string]any
		dec = json.NewDecoder(bytes.NewReader(n.appendJSON(nil)))
		dec.UseNumber()
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("%q became %q: %v", data, n.appendJSON(nil), err)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if !bytes.Equal(a, b) {
			t.Fatalf("%q: %s, want %s", data, a, b)
		}
	})
}

// FuzzFlatYAMLIsReadAsYAML compares the short way with the long one.
func FuzzFlatYAMLIsReadAsYAML(f *testing.F) {
	const meta = "sops:\n    lastmodified: \"2024-01-01T00:00:00Z\"\n    mac: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\n"
	const value = "ENC[AES256_GCM,data:x/+,iv:y,tag:z=,type:str]"
	for _, head := range []string{
		"", "A: " + value + "\n", "A: " + value + "\nb-._1: " + value + "\n", "true: " + value + "\n", "Null: " + value + "\n", "sops: " + value + "\n",
		"#" + value + "\nA: " + value + "\n#" + value + "\nB: " + value + "\n#" + value + "\n", "# c\nA: " + value + "\n", "#" + value + " \nA: " + value + "\n",
		"A: " + value + "\nA: " + value + "\n", "A: " + value + "\n b\n", "A: " + value + " # c\n", "A: " + value + "\r\n", "A: " + value, "---\nA: " + value + "\n",
		"y: " + value + "\nNO: " + value + "\n_1: " + value + "\nInf: " + value + "\nx0x1: " + value + "\n", "A: ENC[AES256_GCM,]\n", "A: ENC[AES256_GCM,:,: ]\n",
	} {
		for _, tail := range []string{meta, meta + "B: x\n", meta + "---\nB: x\n", meta + "...\n", meta + "sops:\n    x: y\n", "sops:\n"} {
			f.Add([]byte(head + tail))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		short, err := parseYAMLFile(bytes.Clone(data))
		long, longErr := parseYAMLNodes(data)
		if (err == nil) != (longErr == nil) || err != nil && err.Error() != longErr.Error() {
			t.Fatalf("%q: %v, the long way: %v", data, err, longErr)
		}
		if err == nil && (!reflect.DeepEqual(short.docs, long.docs) || !reflect.DeepEqual(short.meta, long.meta)) {
			t.Fatalf("%q: %v, the long way: %v", data, short, long)
		}
	})
}

// FuzzEncryptedFileNeverPanics feeds rubbish to every parser of encrypted files.
func FuzzEncryptedFileNeverPanics(f *testing.F) {
	f.Add([]byte("A: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\nsops:\n    lastmodified: \"2024-01-01T00:00:00Z\"\n    mac: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\n"))
	f.Add([]byte(`{"A":"ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:int]","sops":{"lastmodified":"2024-01-01T00:00:00Z","age":[{"recipient":"age1x","enc":""}],"key_groups":[{}]}}`))
	f.Add([]byte("A=x\nsops_lastmodified=2024-01-01T00:00:00Z\nsops_age__list_0__map_enc=x\n"))
	f.Add([]byte("a: &x [*x]\nb: *x\nsops: {lastmodified: \"2024-01-01T00:00:00Z\"}\n"))
	f.Add([]byte("? {a: b}\n: c\n--- []\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []format{formatYAML, formatJSON, formatDotenv} {
			d, err := parse(format, bytes.Clone(data))
			if err != nil {
				continue
			}
			if err := d.open(make([]byte, dataKeySize), &memory{}); err == nil {
				t.Errorf("%s: opened with a key of zeros", format)
			}
			src, err := d.source()
			if err != nil {
				t.Fatalf("%s: read, but can't be changed: %v", format, err)
			}
			src.set("N", "x")
			src.remove("N")
			src.setMeta("mac", stringNode("x"))
			_, _ = src.bytes()
		}
	})
}

func TestCiphertextRoundTrip(t *testing.T) {
	mem := &memory{}
	c, err := newCrypter(bytes.Repeat([]byte{7}, dataKeySize), mem)
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{"", "x", pem, strings.Repeat("y", 70000)} {
		sealed := c.seal([]byte(plain), "str", "A:")
		got, typ, err := c.open([]byte(sealed), "A:")
		if err != nil || string(got) != plain || typ != "str" {
			t.Errorf("%q: %q, %s, %v", plain, got, typ, err)
		}
		if plain == "" {
			continue
		}
		if _, _, err := c.open([]byte(sealed), "B:"); err == nil {
			t.Error("opened under another name")
		}
	}
	mem.wipe()
	for _, b := range mem.bufs {
		if len(bytes.Trim(b[:cap(b)], "\x00")) > 0 {
			t.Error("wipe left something")
		}
	}
}

func TestImportReadsDotenvAndJSON(t *testing.T) {
	for _, test := range []struct{ file, data, err string }{
		{"a.env", "\ufeff# comment\n\nexport A=one # behind\n B = two \nC='a \"b\" $c \\n'\nD=\"l1\\nl2 \\\"q\\\" \\\\ \\$x \\z\"\nE=\nF=\"l1\nl2\" # x\nG=a#b\nH=a=b==\r\nI='l1\nl2'\n", ""},
		{"a.JSON", `{"A":"one","B":"two","C":"a \"b\" $c \\n","D":"l1\nl2 \"q\" \\ $x \\z","E":"","F":"l1\nl2","G":"a#b","H":"a=b==","I":"l1\nl2","N":null}` + "\n", ""},
		{"a.env", "A=1\nA=2\n", "line 3: A is there twice"},
		{"a.env", "A=1\nhunter2\n", "line 2: no ="},
		{"a.env", "A b=hunter2\n", "line 1: what stands before = is not a name"},
		{"a.env", "A='hunter2\n", "line 1: a quote is not closed"},
		{"a.env", "A='hunter2'x\n", "line 1: something stands behind"},
		{"a.json", `{"A":1,"A":2}`, "twice"},
		{"a.json", `["hunter2"]`, "not a JSON object"},
		{"a.json", "{\"A\":\"1\"}\n{\"B\":\"hunter2\"}\n", "something stands behind the object"},
		{"a.json", `{"A":"1"}, hunter2`, "something stands behind the object"},
	} {
		got, err := ParseImport(test.file, []byte(test.data))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: %v", test.data, err)
			}
			continue
		}
		want := map[string]string{
			"A": "one", "B": "two", "C": `a "b" $c \n`, "D": "l1\nl2 \"q\" \\ $x \\z", "E": "", "F": "l1\nl2", "G": "a#b", "H": "a=b==", "I": "l1\nl2",
		}
		if err != nil || !maps.EqualFunc(want, got, func(a string, b []byte) bool { return a == string(b) }) {
			t.Errorf("%s: %q, %v", test.file, got, err)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"A": true, "_a.b-c9": true, strings.Repeat("a", 128): true,
		"": false, "9a": false, "-a": false, ".a": false, "a b": false, "a\n": false, "é": false, strings.Repeat("a", 129): false,
	} {
		if ValidName(name) != want {
			t.Errorf("%q", name)
		}
	}
}
