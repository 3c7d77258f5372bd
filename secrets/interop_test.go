package secrets

import (
	"maps"
	"strings"
	"testing"
)

const pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n\n  indented\n-----END PRIVATE KEY-----\n"

// richYAML has every type of value that YAML can say.
const richYAML = `# a comment at the top
PLAIN: hunter2 # behind a value
QUOTED: "a \"quoted\" \\ value\twith\ttabs\n"
PEM: |
    -----BEGIN PRIVATE KEY-----
    MIIEvQIBADANBgkqhkiG9w0BAQEFAASC

      indented
    -----END PRIVATE KEY-----
EMPTY: ""
UNICODE: "žluťoučký kůň 🐎 \u2028"
INT: 42
NEGATIVE: -7
FLOAT: 1.5
BIGFLOAT: 1.0e+30
SMALLFLOAT: 0.0000001
BOOL: true
OFF: false
NOTHING: null
DATE: 2024-05-06T07:08:09Z
# about the map
MAP:
    user: alice # inline
    # inside
    pass: s3cret<&>"
    nested:
        deep: [1, two, 3.5, false, null]
LIST:
    # in the list
    - a
    - b: c
anchor: &a
    x: y
ref: *a
plain_unencrypted: not a secret
number_unencrypted: 12
dotted.name-1: fine
`

var richValues = map[string]string{
	"PLAIN": "hunter2", "QUOTED": "a \"quoted\" \\ value\twith\ttabs\n", "PEM": pem, "EMPTY": "",
	"UNICODE": "žluťoučký kůň 🐎 \u2028", "INT": "42", "NEGATIVE": "-7", "FLOAT": "1.5", "BIGFLOAT": "1e+30",
	"SMALLFLOAT": "1e-7", "BOOL": "true", "OFF": "false", "DATE": "2024-05-06T07:08:09Z",
	"MAP":    `{"user":"alice","pass":"s3cret<&>\"","nested":{"deep":[1,"two",3.5,false,null]}}`,
	"LIST":   `["a",{"b":"c"}]`,
	"anchor": `{"x":"y"}`, "ref": `{"x":"y"}`,
	"plain_unencrypted": "not a secret", "number_unencrypted": "12", "dotted.name-1": "fine",
}

const richJSON = `{"A":"x","ESC":"q\"b\\s\/n\nu\u00e9 \ud83d\ude00 <&>","E":"","I":12,"BIG":12345678901,"F":1.25,"T":true,"N":null,
"M":{"k":["v",1,{}],"e":{}},"L":[],"p_unencrypted":7.50}`

var richJSONValues = map[string]string{
	"A": "x", "ESC": "q\"b\\s/n\nué 😀 <&>", "E": "", "I": "12", "BIG": "12345678901", "F": "1.25", "T": "true",
	"M": `{"k":["v",1,{}],"e":{}}`, "L": "[]", "p_unencrypted": "7.5",
}

const richDotenv = "# comment\nA=x\nEMPTY=\nQUOTED=\"as it is\"\nMULTI=line one\\nline two\nEQ=a=b==\nUNI=kůň\nSPACE= x \n"

var richDotenvValues = map[string]string{
	"A": "x", "EMPTY": "", "QUOTED": `"as it is"`, "MULTI": "line one\nline two", "EQ": "a=b==", "UNI": "kůň", "SPACE": " x ",
}

// TestBothBackendsReadWhatSopsWrote is the comparison table: every format, every
// rule for what is encrypted, the same values from both.
func TestBothBackendsReadWhatSopsWrote(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 4096)
	for _, test := range []struct {
		name, file, plain string
		args              []string
		want              map[string]string
	}{
		{"yaml", "s.enc.yaml", richYAML, nil, richValues},
		{"yaml, mac of encrypted only", "s.yaml", richYAML, []string{"--mac-only-encrypted"}, richValues},
		{"yaml, encrypted regex", "s.yaml", richYAML, []string{"--encrypted-regex", "^(PEM|MAP|pass)$"}, richValues},
		{"yaml, unencrypted regex", "s.yaml", richYAML, []string{"--unencrypted-regex", "^(INT|BOOL|LIST|x)$"}, richValues},
		{"yaml, encrypted suffix", "s.yml", richYAML, []string{"--encrypted-suffix", "AIN", "--mac-only-encrypted"}, richValues},
		{"yaml, unencrypted suffix", "s.yml", richYAML, []string{"--unencrypted-suffix", "T"}, richValues},
		{"yaml, 64 KiB", "s.yaml", "BIG: " + big + "\n", nil, map[string]string{"BIG": big}},
		{"yaml, empty map", "s.yaml", "{}\n", nil, map[string]string{}},
		{"yaml, two documents", "s.yaml", "A: one\n---\nA: two\n", nil, map[string]string{"A": "one"}},
		{"json", "s.enc.json", richJSON, nil, richJSONValues},
		{"json, encrypted regex", "s.json", richJSON, []string{"--encrypted-regex", "^[AEI]$"}, richJSONValues},
		{"dotenv", "s.env", richDotenv, nil, richDotenvValues},
		{"dotenv, mac of encrypted only", "s.enc.env", richDotenv, []string{"--mac-only-encrypted", "--encrypted-regex", "^A$"}, richDotenvValues},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.encrypted(test.file, test.plain, test.args...)
			for _, backend := range []string{BackendEmbedded, BackendSops, BackendAuto} {
				got, err := h.open(test.file, backend).values(t)
				if err != nil {
					t.Fatalf("%s: %v: %s", backend, err, detailOf(err))
				}
				diff(t, backend, got, test.want)
			}
		})
	}
}

func diff(t *testing.T, who string, got, want map[string]string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for name, w := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%s: %s is missing", who, name)
		} else if g != w {
			t.Errorf("%s: %s is %q, want %q", who, name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s should not be there", who, name)
		}
	}
}

// TestINIGoesThroughSops reads and changes an INI file: what stands before any
// section is a secret, a section is a map.
func TestINIGoesThroughSops(t *testing.T) {
	h := newHouse(t)
	h.encrypted("s.ini", "A = one\n[db]\nuser = alice\npass = x=y\n")
	want := map[string]string{"A": "one", "db": `{"user":"alice","pass":"x=y"}`}
	for _, backend := range []string{BackendAuto, BackendSops, BackendEmbedded} {
		got, err := h.open("s.ini", backend).values(t)
		if err != nil {
			t.Fatal(err, detailOf(err))
		}
		diff(t, backend, got, want)
	}
	if d, err := h.open("s.ini", "").Describe(); err != nil || !d.Opens || len(d.Age) != 1 || d.Age[0] != h.recipient || len(d.Others) > 0 {
		t.Errorf("%+v, %v", d, err)
	}
	h.edit("s.ini", BackendAuto, func(d *Document) error { return d.Set("B", []byte("two")) })
	h.edit("s.ini", BackendAuto, func(d *Document) error { return d.Remove("A") })
	got, err := h.open("s.ini", BackendAuto).values(t)
	if err != nil {
		t.Fatal(err, detailOf(err))
	}
	diff(t, "edited", got, map[string]string{"B": "two", "db": want["db"]})
}

func TestAutoChoosesByTheFile(t *testing.T) {
	h := newHouse(t)
	h.encrypted("age.yaml", "A: one\n")
	text := h.read("age.yaml")
	h.write("pgp.yaml", text[:strings.Index(text, "    age:")]+"    pgp:\n        - fp: 85D77543\n          enc: x\n"+text[strings.Index(text, "    lastmodified:"):])
	h.write("groups.yaml", text[:strings.Index(text, "    age:")]+"    key_groups:\n        - age:\n            - recipient: "+h.recipient+"\n              enc: x\n"+text[strings.Index(text, "    lastmodified:"):])
	h.write("comments.yaml", strings.Replace(text, "unencrypted_suffix: _unencrypted", "encrypted_comment_regex: sops", 1))
	h.write("plugin.yaml", strings.Replace(text, h.recipient, "age1yubikey1qwerty", 1))
	for _, test := range []struct{ file, backend, want string }{
		{"age.yaml", "", BackendEmbedded},
		{"age.yaml", BackendSops, BackendSops},
		{"pgp.yaml", "", BackendSops},
		{"groups.yaml", "", BackendSops},
		{"comments.yaml", "", BackendSops},
		{"plugin.yaml", "", BackendSops},
		{"none.ini", "", BackendSops},
	} {
		h.write("none.ini", "x")
		d, err := h.open(test.file, test.backend).Describe()
		if err != nil || d.Backend != test.want || d.Why == "" {
			t.Errorf("%s: %+v, %v", test.file, d, err)
		}
	}
	d, err := h.open("age.yaml", "").Describe()
	if err != nil || !d.Opens || len(d.Age) != 1 || d.Age[0] != h.recipient || d.LastModified.IsZero() || d.Version == "" {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := h.openWith(Options{File: h.path("age.yaml")}).Describe(); err != nil || d.Backend != BackendSops {
		t.Errorf("without a key file: %+v, %v", d, err)
	}
	for _, file := range []string{"pgp.yaml", "groups.yaml", "comments.yaml", "plugin.yaml"} {
		if _, err := h.open(file, BackendEmbedded).values(t); codeOf(err) != DecryptFailed || !strings.Contains(detailOf(err), "auto or sops") {
			t.Errorf("embedded, %s: %v: %s", file, err, detailOf(err))
		}
	}
	if _, err := h.openWith(Options{File: h.path("pgp.yaml"), KeyFile: h.path("none"), Backend: "auto"}).values(t); codeOf(err) != DecryptFailed {
		t.Errorf("a file without age recipients asks for a key file: %v", err)
	}
}
