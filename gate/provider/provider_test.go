package provider

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRuntime gives a runtime that is closed when the test ends.
func newRuntime(t testing.TB) *Runtime {
	t.Helper()
	r, err := NewRuntime(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// load compiles wasm under its own digest.
func load(t testing.TB, r *Runtime, wasm []byte) *Module {
	t.Helper()
	m, err := r.Compile(context.Background(), Digest(wasm), wasm)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wantCode fails the test unless err is an *Error of that code.
func wantCode(t testing.TB, err error, want Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != want {
		t.Fatalf("got error %v, want one of code %s", err, want)
	}
	return e
}

// answer is an HTTP function that gives every request the same response.
func answer(status int, contentType, body string) func(context.Context, *http.Request) (*http.Response, error) {
	return func(context.Context, *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status,
			Header:     http.Header{"Content-Type": {contentType}},
			Body:       io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

func TestDigestIsCheckedBeforeTheModuleIsLookedAt(t *testing.T) {
	r := newRuntime(t)
	wasm := executing(writing(0, 2)).with(0, "{}").encode()
	for _, digest := range []string{"", "sha256:", Digest(wasm)[:70], strings.ToUpper(Digest(wasm)), Digest([]byte("other"))} {
		_, err := r.Compile(context.Background(), digest, wasm)
		wantCode(t, err, CodeDigestMismatch)
	}
	_, err := r.Compile(context.Background(), Digest(wasm), []byte("not even a module"))
	wantCode(t, err, CodeDigestMismatch)
	_, err = r.Compile(context.Background(), "builtin:nothing", nil)
	wantCode(t, err, CodeInvalid)
	load(t, r, wasm)
}

func TestModuleIsCompiledOnceForManyCallers(t *testing.T) {
	r := newRuntime(t)
	wasm := executing(writing(0, 2)).with(0, "{}").encode()
	modules := make([]*Module, 16)
	var wg sync.WaitGroup
	for i := range modules {
		wg.Go(func() { modules[i], _ = r.Compile(context.Background(), Digest(wasm), wasm) })
	}
	wg.Wait()
	for _, m := range modules {
		if m == nil || m != modules[0] {
			t.Fatalf("got modules %v, want one and the same", modules)
		}
	}

	r.Keep(Digest(wasm))
	if again := load(t, r, wasm); again != modules[0] {
		t.Error("Keep forgot a module that it was told to keep")
	}
	r.Keep()
	again := load(t, r, wasm)
	if again == modules[0] {
		t.Error("Keep did not forget a module")
	}
	for _, m := range []*Module{modules[0], again} {
		if _, err := m.Execute(context.Background(), Call{}); err != nil {
			t.Errorf("a module in somebody's hands stopped working: %v", err)
		}
	}
}

func TestModulesThatAreNotOfThisABIAreRefused(t *testing.T) {
	r := newRuntime(t)
	ok := executing(i32(0))
	plain := func(change func(g *guest)) []byte {
		g := executing(i32(0))
		change(&g)
		return g.encode()
	}
	imports := func(i imported) []byte { return plain(func(g *guest) { g.imports = append(g.imports, i) }) }
	for name, c := range map[string]struct {
		wasm []byte
		code Code
		says string
	}{
		"empty":                      {nil, CodeInvalid, "not a WebAssembly module"},
		"text":                       {[]byte("(module)"), CodeInvalid, "not a WebAssembly module"},
		"component":                  {[]byte("\x00asm\x0d\x00\x01\x00"), CodeInvalid, "component"},
		"cut off":                    {ok.encode()[:len(ok.encode())-3], CodeInvalid, "malformed"},
		"rubbish after the header":   {[]byte("\x00asm\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff"), CodeInvalid, "malformed"},
		"invalid code":               {executing(opAdd).encode(), CodeInvalid, "does not compile"},
		"memory not exported":        {plain(func(g *guest) { g.noMemory = true }), CodeInvalid, `"memory"`},
		"no execute":                 {plain(func(g *guest) { g.funcs[0].export = "run" }), CodeInvalid, `"execute"`},
		"execute with a parameter":   {plain(func(g *guest) { g.funcs[0].params = 1 }), CodeInvalid, `"execute"`},
		"_initialize with a result":  {plain(func(g *guest) { g.funcs = append(g.funcs, function{export: "_initialize", results: 1, body: i32(0)}) }), CodeInvalid, `"_initialize"`},
		"another host module":        {imports(imported{module: "env", name: "abort"}), CodeImportDenied, "env.abort"},
		"a look-alike host module":   {imports(imported{module: "Latchgate", name: "log"}), CodeImportDenied, "Latchgate.log"},
		"an unknown host function":   {imports(imported{module: "latchgate", name: "secret_read"}), CodeImportDenied, "latchgate.secret_read"},
		"an unknown WASI function":   {imports(imported{module: wasiModule, name: "sock_connect"}), CodeImportDenied, "sock_connect"},
		"another WASI":               {imports(imported{module: "wasi_unstable", name: "fd_write"}), CodeImportDenied, "wasi_unstable.fd_write"},
		"a wrong parameter":          {imports(imported{module: "latchgate", name: "log", params: 1, results: 1}), CodeInvalid, "latchgate.log"},
		"a wrong result":             {imports(imported{module: "latchgate", name: "log", params: 3}), CodeInvalid, "latchgate.log"},
		"an imported memory":         {imports(imported{module: "latchgate", name: "memory", kind: []byte{2, 0, 1}}), CodeImportDenied, "latchgate.memory, a memory"},
		"an imported global":         {imports(imported{module: "latchgate", name: "g", kind: []byte{3, 0x7f, 0}}), CodeImportDenied, "latchgate.g, a global"},
		"an imported table":          {imports(imported{module: wasiModule, name: "t", kind: []byte{1, 0x70, 0, 0}}), CodeImportDenied, "wasi_snapshot_preview1.t, a table"},
		"a table of four billion":    {plain(func(g *guest) { g.table = []byte{1, 0x70, 0, 0xff, 0xff, 0xff, 0xff, 0x0f} }), CodeInvalid, "table of 4294967295 entries"},
		"a table section of rubbish": {plain(func(g *guest) { g.table = []byte{1, 0x70, 7, 0} }), CodeInvalid, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Compile(context.Background(), Digest(c.wasm), c.wasm)
			if e := wantCode(t, err, c.code); !strings.Contains(e.Message, c.says) {
				t.Errorf("message %q does not say %q", e.Message, c.says)
			}
			if c.code == CodeImportDenied && name != "an unknown WASI function" {
				wantCode(t, CheckImports(c.wasm), CodeImportDenied)
			}
		})
	}
}

func TestImportsAreComparedWithTheManifestsDeclaration(t *testing.T) {
	r := newRuntime(t)
	m := load(t, r, executing(i32(0)).encode())
	quiet := load(t, r, guest{memory: 1, start: -1, funcs: []function{{export: "execute", results: 1, body: i32(0)}}}.encode())
	for _, c := range []struct {
		m        *Module
		required []string
		ok       bool
	}{
		{m, nil, true},
		{m, []string{"latchgate:io/http", "latchgate:io/log"}, true},
		{m, []string{"latchgate:io/log"}, false},
		{m, []string{"latchgate:io/http"}, false},
		{quiet, []string{"latchgate:io/log"}, true},
		{quiet, []string{"latchgate:io/fs"}, false},
		{quiet, []string{""}, false},
	} {
		if err := c.m.CheckDeclared(c.required); (err == nil) != c.ok {
			t.Errorf("required_imports %q of a module that imports %v: %v", c.required, c.m.Imports(), err)
		} else if err != nil {
			wantCode(t, err, CodeImportDenied)
		}
	}
}

func TestCompilationCacheOnDiskIsUsedAndGuarded(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "cache")
	wasm := executing(writing(0, 2)).with(0, "{}").encode()
	for range 2 {
		r, err := NewRuntime(ctx, Options{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := load(t, r, wasm).Execute(ctx, Call{}); err != nil {
			t.Error(err)
		}
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(files) == 0 {
		t.Error("nothing was cached")
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		// What lay there while others could write may be theirs: that the mode is
		// right again does not make it ours.
		if _, err := NewRuntime(ctx, Options{CacheDir: dir}); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("a cache that others can write to was accepted: %v", err)
		}
	}
	refused()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	for _, path := range []string{filepath.Dir(files[0]), files[0]} {
		info, err := os.Stat(path)
		if err == nil {
			err = os.Chmod(path, 0o777)
		}
		if err != nil {
			t.Fatal(err)
		}
		refused()
		if err := os.Chmod(path, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := NewRuntime(ctx, Options{CacheDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestWhoeverWaitsForACompilationCanGiveUp(t *testing.T) {
	r := newRuntime(t)
	wasm := executing(writing(0, 2)).with(0, "{}").encode()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	digest := Digest(wasm)
	r.modules[digest] = &compilation{done: make(chan struct{})}
	_, err := r.Compile(gone, digest, wasm)
	wantCode(t, err, CodeCancelled)
	delete(r.modules, digest)
	// It goes on without the caller that began it.
	if _, err := r.Compile(gone, digest, wasm); err != nil {
		wantCode(t, err, CodeCancelled)
	}
	r.mu.Lock()
	begun := r.modules[digest]
	r.mu.Unlock()
	if <-begun.done; begun.module == nil {
		t.Error("the compilation was cut short")
	}
}

func TestCloseStopsWhatIsRunningAndWaitsForIt(t *testing.T) {
	ctx := context.Background()
	r, err := NewRuntime(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, r, executing(logging(0, 2), opLoop, void, opBr, 0, opEnd, i32(0)).with(0, "hi").encode())
	running, outcome := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := m.Execute(ctx, Call{Log: func(slog.Level, string) { close(running) }})
		outcome <- err
	}()
	<-running
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-outcome, CodeCancelled)
	_, err = m.Execute(ctx, Call{})
	wantCode(t, err, CodeCancelled)
	_, err = r.Compile(ctx, Digest(nil), nil)
	wantCode(t, err, CodeCancelled)
}
