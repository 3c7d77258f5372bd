package gate

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/certs"
)

func TestTrustFilesAreMendedAndOtherwiseLeftAlone(t *testing.T) {
	ca, err := certs.Open(filepath.Join(t.TempDir(), "the ca"), certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := writeTrust(ca)
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) []byte {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	ini := filepath.Join(trust.PHP, "latchgate.ini")
	if got := string(read(ini)); !strings.Contains(got, `curl.cainfo = "`+trust.Bundle+`"`) {
		t.Errorf("PHP's settings: %s", got)
	}
	store, module := read(trust.Truststore), read(trust.NodeProxy)
	for _, path := range []string{ini, trust.NodeProxy, trust.Wgetrc} { // as an older version left them
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := writeTrust(ca); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(trust.NodeProxy), module) || bytes.Equal(read(ini), []byte("old")) || bytes.Equal(read(trust.Wgetrc), []byte("old")) {
		t.Error("old files stay")
	}
	if !bytes.Equal(read(trust.Truststore), store) {
		t.Error("the trust store was written again for nothing")
	}
	if err := os.WriteFile(trust.Bundle, nil, 0o600); err != nil { // another set of roots
		t.Fatal(err)
	}
	if _, err := writeTrust(ca); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(read(trust.Truststore), store) {
		t.Error("the trust store is that of other roots")
	}
}
