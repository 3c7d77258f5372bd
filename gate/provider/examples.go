package provider

import (
	"bytes"
	"context"
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed examples
var examples embed.FS

// An Example is a provider to start one's own from. All do the same thing: they
// fetch a text and count it. The tests build and execute each of them with its
// own Build command.
type Example struct {
	Language string   // go, rust, c or assemblyscript
	File     string   // what to call Source
	Source   []byte   // the whole provider, not to be changed
	Beside   []string // names of other files that its build needs
	Env      []string // to add to Build's environment
	Build    []string // run in File's folder, makes provider.wasm there
	Needs    string   // what has to be installed for that
}

// Examples lists the examples for authors, simplest to build first.
func Examples() []Example {
	all := []Example{
		{
			Language: "go", File: "main.go", Needs: "Go 1.24 or later",
			Env:   []string{"GOOS=wasip1", "GOARCH=wasm"},
			Build: []string{"go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", "provider.wasm", "main.go"},
		},
		{
			Language: "rust", File: "lib.rs", Needs: "rustc with the target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown; Debian: rustc libstd-rust-dev-wasm32 lld)",
			Build: []string{"rustc", "--edition", "2021", "--target", "wasm32-unknown-unknown", "--crate-type", "cdylib",
				"-O", "-C", "panic=abort", "-C", "strip=symbols", "-C", "link-arg=-zstack-size=65536", "-o", "provider.wasm", "lib.rs"},
		},
		{
			Language: "c", File: "provider.c", Needs: "clang with wasi-libc (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32)",
			Build: []string{"clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-Wall", "-Wextra", "-Wl,--strip-all",
				"-Wl,-zstack-size=65536", "-o", "provider.wasm", "provider.c"},
		},
		{
			Language: "assemblyscript", File: "provider.ts", Beside: []string{"package.json"}, Needs: "Node 20 or later, and npm install in the provider's folder",
			Build: []string{"asc", "provider.ts", "--runtime", "minimal", "--use", "abort=", "-O", "-o", "provider.wasm"},
		},
	}
	for i := range all {
		all[i].Source = embedded(all[i].Language + "/" + all[i].File)
	}
	return all
}

func embedded(name string) []byte {
	b, err := examples.ReadFile("examples/" + name)
	if err != nil {
		panic(err) // it is part of this program
	}
	return b
}

// Command is what builds the example's provider in dir. The compiler is the one
// on PATH; RUSTC names another for Rust, and asc comes from dir's own
// node_modules where it is there.
func (e *Example) Command(ctx context.Context, dir string) *exec.Cmd {
	program := e.Build[0]
	// The command runs in dir, so a path to it must not be relative to here.
	local, err := filepath.Abs(filepath.Join(dir, "node_modules", ".bin", "asc"))
	switch {
	case e.Language == "rust" && os.Getenv("RUSTC") != "":
		program = os.Getenv("RUSTC")
	case e.Language == "assemblyscript" && err == nil && isFile(local):
		program = local
	}
	c := exec.CommandContext(ctx, program, e.Build[1:]...)
	c.Dir, c.Env = dir, append(os.Environ(), e.Env...)
	return c
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Project is a folder to begin a provider named name in, as the contents of its
// files by name: the source, what its build needs, the manifest NAME.yaml, whose
// digest no module has yet, and the cases of `latchgate provider test`.
func (e *Example) Project(name string) map[string][]byte {
	named := func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("NAME"), []byte(name)) }
	files := map[string][]byte{
		e.File:         e.Source,
		name + ".yaml": named(embedded("NAME.yaml")),
		CasesFile:      embedded(CasesFile),
	}
	for _, beside := range e.Beside {
		files[beside] = embedded(e.Language + "/" + beside)
	}
	return files
}

// CasesFile is what `latchgate provider test` reads in a provider's folder.
const CasesFile = "cases.json"

// NoDigest is the digest in a manifest whose provider was never built.
var NoDigest = "sha256:" + strings.Repeat("0", 64)
