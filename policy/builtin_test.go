package policy

import (
	"context"
	"testing"
)

func TestBuiltinPolicyPassesItsOwnTests(t *testing.T) {
	results, err := Test(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) < 13 {
		t.Errorf("%d tests found", len(results))
	}
	for _, r := range results {
		if !r.Pass {
			t.Errorf("%s:%d: %s: %s\n%s", r.File, r.Line, r.Name, r.Error, r.Output)
		}
	}
}
