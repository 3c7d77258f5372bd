package secrets

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

// yamlForms are values as YAML lets one write them, of those that sops takes.
var yamlForms = []string{
	"0x1F", "0o17", "017", "1_000", "-0", "0", "+5", "1e400", "0b1", "1.", ".5", "1e3", "1E3", "-1.5e-300", "123456789012345678",
	"9223372036854775807", "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "100000000000000000000000",
	"1e21", "1e20", "1e-7", "3.0", "0.1", "0.30000000000000004", "1e23", "5e-324", "1.7976931348623157e308", "12e03", "1_0.5", "0o", "0b", "_1", "1:30", "190:20:30",
	"2024-01-01", "2024-01-01 10:00:00", "2024-01-01T10:00:00.123456789+02:00", "2001-12-14t21:59:43.10-05:00", "!!timestamp 2024-01-01",
	"~", "Null", "NULL", "TRUE", "yes", "No", "on", "y", "''", `""`, "!!str 5", `!!int "5"`, "!!float 5", "!!binary aGVsbG8=", "!!null ''", "!custom x",
	"[]", "{}", "!!set {a, b}", "!!omap [a: b]", "[a: b]", "[1, [2, [3]]]", "[~, null, '']", "{a: ~, b: [], c: {}}", "[1.0, 1e30, 0x10, true, 2024-01-01]", "{<<: {a: b}}",
	`"\0\a\e\x85\u2028\N\_\L\P"`, `"\uFEFFx"`, "' a  b '", `"\r\n"`, `"a\tb"`, `"#x"`, "a #b", "😀", `"\x7f"`, "'ENC[x]'",
	"|\n  a\n\n  b\n", "|+\n  a\n\n\n", ">-\n  a\n  b\n\n  c\n", "|2\n   a\n",
}

var jsonForms = []string{
	"1", "-0", "0", "1.0", "1.50", "1e3", "123456789012345678901234567890", "9007199254740993", "9223372036854775807", "9223372036854775808", "-1e-7", "1e21", "5e-324",
	"true", "null", `""`, `"\u0000"`, `"\ud800"`, `"\u2028<>&"`, `"\/"`, `"ENC[x]"`, `"#a"`, "[]", "{}", "[null]", `{"a":{"b":[1.0,1e30]}}`, `{"":1}`, `[1,"a",[2]]`, `{"a":1,"a":2}`,
}

var dotenvForms = []string{
	"x\r", `\n`, `\\n`, "'x'", `"y"`, " x", "x ", "x # c", `a\tb`, "=", "", "#", "\x01", "é", "ENC[x]", "a b", "$x", "`x`",
}

// TestEveryFormOfAValueIsTheSameInBoth has sops encrypt every form, once encrypted
// and once left as it is, and compares the backends; then each edits what the other
// reads.
func TestEveryFormOfAValueIsTheSameInBoth(t *testing.T) {
	var yaml, env strings.Builder
	object := []string{}
	for _, suffix := range []string{"", "_unencrypted"} {
		for i, form := range yamlForms {
			fmt.Fprintf(&yaml, "F%d%s: %s\n", i, suffix, form)
		}
		for i, form := range jsonForms {
			object = append(object, fmt.Sprintf(`"F%d%s": %s`, i, suffix, form))
		}
		for i, form := range dotenvForms {
			fmt.Fprintf(&env, "F%d%s=%s\n", i, suffix, form)
		}
	}
	for file, plain := range map[string]string{"s.yaml": yaml.String(), "s.json": "{" + strings.Join(object, ",\n") + "}", "s.env": env.String()} {
		t.Run(file, func(t *testing.T) {
			h := newHouse(t)
			h.encrypted(file, plain)
			want := h.both(t, file)
			if len(want) < 30 {
				t.Fatalf("only %d values", len(want))
			}
			h.edit(file, BackendEmbedded, set("BY_EMBEDDED", "one"))
			h.edit(file, BackendSops, set("BY_SOPS", "two"))
			want["BY_EMBEDDED"], want["BY_SOPS"] = "one", "two"
			diff(t, "edited", h.both(t, file), want)
		})
	}
}

// sops decrypts these and then fails to print them as JSON.
func TestNumbersThatJSONHasNotAreRefusedByBoth(t *testing.T) {
	for _, form := range []string{".inf", "-.inf", ".nan"} {
		for _, name := range []string{"A", "A_unencrypted"} {
			h := newHouse(t)
			h.encrypted("s.yaml", name+": "+form+"\n")
			for _, backend := range []string{BackendEmbedded, BackendSops} {
				if _, err := h.open("s.yaml", backend).loadOnce(t.Context()); codeOf(err) != DecryptFailed {
					t.Errorf("%s, %s: %v", backend, form, err)
				}
			}
		}
	}
}

func TestNumbersAreWrittenAsEncodingJSONWritesThem(t *testing.T) {
	for _, f := range []float64{0, 1, -1.5, 1e-6, 9.99e-7, 1e20, 1e21, 1e-9, 1e-10, 5e-324, math.MaxFloat64, -math.MaxFloat64, 0.1, -0.0000012345678901234567, 1.0 / 3} {
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		n := &node{kind: kindFloat, text: fmt.Appendf(nil, "%v", f)}
		if got := n.appendJSON(nil); string(got) != string(want) || len(got) > n.maxJSON() {
			t.Errorf("%v is %s, want %s", f, got, want)
		}
	}
}
