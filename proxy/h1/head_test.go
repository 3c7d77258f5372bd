package h1

import (
	"net/textproto"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

// Each character at each place of values that are longer and shorter than what is
// looked at together.
func TestFieldValuesAreThoseOfHTTPGuts(t *testing.T) {
	for c := range 256 {
		for length := range 20 {
			for at := range length {
				s := strings.Repeat("\x80", at) + string([]byte{byte(c)}) + strings.Repeat("~", length-at-1)
				if got, want := isFieldValue(s), httpguts.ValidHeaderFieldValue(s); got != want {
					t.Fatalf("%q: %v", s, got)
				}
			}
		}
	}
}

func TestNamesAreCanonicalAsInTextproto(t *testing.T) {
	var names []string
	for _, a := range []string{"", "a", "A", "-", "_", "1", " ", "\xe9"} {
		for _, b := range []string{"", "b", "B", "-", "_", "1", ":"} {
			for _, c := range []string{"", "c", "C", "-c", "-C"} {
				names = append(names, a+b+c, "X-"+a+b+c, a+b+c+"-Y")
			}
		}
	}
	for _, name := range names {
		canonical, token := isCanonical(name)
		if token != httpguts.ValidHeaderFieldName(name) {
			t.Errorf("%q: token %v", name, token)
		}
		if token && canonical != (textproto.CanonicalMIMEHeaderKey(name) == name) {
			t.Errorf("%q: canonical %v", name, canonical)
		}
	}
}
