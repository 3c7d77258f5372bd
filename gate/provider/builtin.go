package provider

import (
	_ "embed"
	"strings"
)

// httpAPI is guests/http_api, built by guests/build.sh; a test builds it again
// and compares.
//
//go:embed guests/http_api.wasm
var httpAPI []byte

// Builtin gives the module of a bundled provider: "http_api". The caller does
// not change the bytes.
func Builtin(name string) ([]byte, bool) {
	if name == "http_api" {
		return httpAPI, true
	}
	return nil, false
}

// builtinName is the name in a digest like "builtin:http_api".
func builtinName(digest string) (string, bool) {
	return strings.CutPrefix(digest, "builtin:")
}
