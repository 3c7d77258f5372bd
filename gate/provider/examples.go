package provider

import _ "embed"

//go:embed examples/go/main.go
var exampleGo []byte

//go:embed examples/rust/lib.rs
var exampleRust []byte

// An Example is a provider to start one's own from. The tests build and execute
// each of them with its own Build command.
type Example struct {
	Language string   // "go" or "rust"
	File     string   // what to call Source
	Source   []byte   // the whole provider, not to be changed
	Env      []string // to add to Build's environment
	Build    []string // run in File's folder, makes provider.wasm there
}

// Examples lists the examples for authors, simplest to build first.
func Examples() []Example {
	return []Example{
		{
			Language: "go", File: "main.go", Source: exampleGo,
			Env:   []string{"GOOS=wasip1", "GOARCH=wasm"},
			Build: []string{"go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", "provider.wasm", "main.go"},
		},
		{
			Language: "rust", File: "lib.rs", Source: exampleRust,
			Build: []string{"rustc", "--edition", "2021", "--target", "wasm32-unknown-unknown", "--crate-type", "cdylib",
				"-O", "-C", "panic=abort", "-C", "strip=symbols", "-C", "link-arg=-zstack-size=65536", "-o", "provider.wasm", "lib.rs"},
		},
	}
}
