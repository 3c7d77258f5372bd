package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/gate/provider"
	"github.com/latchgate/latchgate/manifests"
)

func (a *app) providerCommand() *cobra.Command {
	c := &cobra.Command{Use: "provider", Short: "Write, build and test a provider of your own", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(a.providerNewCommand(), a.providerBuildCommand(), a.providerTestCommand())
	return c
}

func languages() (names []string) {
	for _, e := range provider.Examples() {
		names = append(names, e.Language)
	}
	return names
}

func (a *app) providerNewCommand() *cobra.Command {
	var language string
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a provider: a working one, its manifest and its test cases",
		Long: `Begin a provider in the new folder NAME: a working one that fetches a text and
counts it, the manifest of its action, and test cases. docs/provider-guide.md
goes on from there.`,
		Example: "  latchgate provider new my_action\n  latchgate provider new my_action --lang rust",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.newProvider(args[0], language) },
	}
	c.Flags().StringVar(&language, "lang", "go", strings.Join(languages(), ", "))
	return c
}

func (a *app) newProvider(name, language string) error {
	examples := provider.Examples()
	i := slices.IndexFunc(examples, func(e provider.Example) bool { return e.Language == language })
	if i < 0 {
		return &usageError{fmt.Errorf("there is no template in %q", language), "--lang is one of " + strings.Join(languages(), ", ")}
	}
	files := examples[i].Project(name)
	// The name was put into YAML, where "a # b" reads as "a".
	if all, problems := manifests.Parse(name+".yaml", files[name+".yaml"]); manifests.HasErrors(problems) || len(all) != 1 || all[0].ActionID != name {
		return &usageError{fmt.Errorf("%q is not a name", name), "an action's name is 1 to 128 of A-Z a-z 0-9 _ -"}
	}
	if err := os.Mkdir(name, 0o777); errors.Is(err, fs.ErrExist) {
		return withHint(fmt.Errorf("%s is there already", name), "take another name, or remove it first")
	} else if err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(name, file), files[file], 0o666); err != nil {
			return err
		}
		fmt.Fprintln(a.out, filepath.Join(name, file))
	}
	fmt.Fprintf(a.out, "\nbuilding it needs %s; then:\n  latchgate provider build %s\n  latchgate provider test %s\n", examples[i].Needs, name, name)
	return nil
}

func (a *app) providerBuildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build the provider in a folder, and write its digest into the manifest",
		Long: `Build provider.wasm in DIR, the current folder by default, from the main.go, lib.rs,
provider.c or provider.ts that is there; check that latchgate can load it; and
write its digest into the manifests beside it that name it as provider_source.
RUSTC names another compiler for Rust. A provider that is built another way is
only looked at: put its provider.wasm there.`,
		Example: "  latchgate provider build\n  latchgate provider build my_action",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.buildProvider(c, folderOf(args))
		},
	}
}

func folderOf(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "."
}

const moduleFile = "provider.wasm"

func (a *app) buildProvider(c *cobra.Command, dir string) error {
	ctx := c.Context()
	if err := a.compileProvider(ctx, dir); err != nil {
		return err
	}
	wasm, err := os.ReadFile(filepath.Join(dir, moduleFile))
	if err != nil {
		return withHint(err, "put a main.go, lib.rs, provider.c or provider.ts there, or the module itself; `latchgate provider new` begins one")
	}
	digest := provider.Digest(wasm)
	fmt.Fprintf(a.out, "%s  %d bytes  %s\n", filepath.Join(dir, moduleFile), len(wasm), digest)
	written, err := writeDigest(dir, digest)
	if err != nil {
		return err
	}
	for _, file := range written {
		fmt.Fprintf(a.out, "%s  provider_module_digest written\n", file)
	}
	found, err := providerActions(dir)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		fmt.Fprintf(a.err, "latchgate: no manifest in %s names %s as its provider_source\n", dir, moduleFile)
	}
	rt, closeRuntime, err := a.providerRuntime(c)
	if err != nil {
		return err
	}
	defer closeRuntime()
	m, err := rt.Compile(ctx, digest, wasm)
	for i := 0; err == nil && i < len(found); i++ {
		err = m.CheckDeclared(found[i].RequiredImports)
	}
	if err != nil {
		return withHint(fmt.Errorf("latchgate can't use this module: %w", err), "docs/provider-abi.md says what a module may import and must export")
	}
	return nil
}

// providerRuntime is a runtime with the cache of the gate, so that what is
// compiled here is compiled for `run` too.
func (a *app) providerRuntime(c *cobra.Command) (*provider.Runtime, func(), error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, nil, err
	}
	rt, err := provider.NewRuntime(c.Context(), provider.Options{CacheDir: gate.ModuleCache(cfg)})
	if err != nil {
		return nil, nil, withHint(err, "the cache is beside ca.dir in latchgate.toml")
	}
	return rt, func() { _ = rt.Close(context.WithoutCancel(c.Context())) }, nil
}

// compileProvider runs the compiler of the language whose source is there.
func (a *app) compileProvider(ctx context.Context, dir string) error {
	for _, e := range provider.Examples() {
		if _, err := os.Stat(filepath.Join(dir, e.File)); err != nil {
			continue
		}
		c := e.Command(ctx, dir)
		c.Stdout, c.Stderr = a.err, a.err
		var exit *exec.ExitError
		switch err := c.Run(); {
		case errors.Is(err, exec.ErrNotFound):
			return withHint(fmt.Errorf("%s is not on PATH", e.Build[0]), "install "+e.Needs)
		case errors.As(err, &exit):
			return withHint(fmt.Errorf("%s did not build it: %w", e.Build[0], err), "what the compiler says is above; it needs "+e.Needs)
		default:
			return err
		}
	}
	return nil
}

// providerActions are the actions in a folder whose provider is the module there.
func providerActions(dir string) (found []*manifests.Manifest, err error) {
	module, err := filepath.Abs(filepath.Join(dir, moduleFile))
	if err != nil {
		return nil, err
	}
	files, err := manifestFiles(dir)
	if err != nil {
		return nil, err
	}
	var wrong []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		here, problems := manifests.Parse(abs, text)
		for _, p := range problems {
			if p.Severity == manifests.Error {
				wrong = append(wrong, errors.New(p.String()))
			}
		}
		found = append(found, here...)
	}
	return slices.DeleteFunc(found, func(m *manifests.Manifest) bool { return m.ProviderSource != module }), errors.Join(wrong...)
}

// manifestFiles are those of the folder itself: what lies below it is the
// compiler's, such as node_modules.
func manifestFiles(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && !e.IsDir() {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
}

// writeDigest puts the digest into each manifest of a folder that names the
// module, at the place where the old one stands. The rest of the file stays as
// it is. It returns the files that changed.
func writeDigest(dir, digest string) (written []string, err error) {
	files, err := manifestFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		old, err := os.ReadFile(file)
		if err != nil {
			return written, err
		}
		next := withDigest(string(old), digest)
		if next == string(old) {
			continue
		}
		if err := renameio.WriteFile(file, []byte(next), 0o666, renameio.WithExistingPermissions()); err != nil {
			return written, err
		}
		written = append(written, file)
	}
	return written, nil
}

// withDigest replaces the digests of the documents whose module is ours. A file
// that is not YAML stays as it is; loading it says what is wrong.
func withDigest(text, digest string) string {
	lines := strings.SplitAfter(text, "\n")
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var doc yaml.Node
		if d.Decode(&doc) != nil {
			return strings.Join(lines, "")
		}
		var source, old *yaml.Node
		if doc.Kind == yaml.DocumentNode && doc.Content[0].Kind == yaml.MappingNode {
			source, old = member(doc.Content[0], "provider_source"), member(doc.Content[0], "provider_module_digest")
		}
		if source != nil && old != nil && filepath.Clean(source.Value) == moduleFile && strings.HasPrefix(old.Value, "sha256:") {
			line := &lines[old.Line-1]
			*line = (*line)[:old.Column-1] + strings.Replace((*line)[old.Column-1:], old.Value, digest, 1)
		}
	}
}

func member(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}
