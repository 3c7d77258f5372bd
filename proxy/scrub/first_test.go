package scrub

import (
	"testing"
)

func TestSmoke(t *testing.T) {
	s := Compile([]Named{{"a", []byte("ghp_abcDEF0123456789xyz")}, {"b", []byte(`pä"ss\wo rd`)}})
	for _, v := range []string{
		"x ghp_abcDEF0123456789xyz y", "x %67hp_abcDEF0123456789xyz y", `p\u00e4\"ss\\wo rd`, `p&auml;&quot;ss\wo&#32;rd`, "p%C3%A4%22ss%5Cwo+rd!", `p\\u00e4\\\"ss\\\\wo rd`,
		"6768705f61626344454630313233343536373839787970", "6768705F61626344454630313233343536373839787970", "6768705F6162634445463031323334353637383978797a",
	} {
		t.Logf("%s -> %s", v, s.String(v, nil))
	}
}
