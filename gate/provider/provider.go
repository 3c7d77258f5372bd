// Package provider runs the WebAssembly modules that turn an action's
// arguments into HTTP requests and their answers into a result.
//
// Make one [Runtime] for the process, [Runtime.Compile] a module by its digest
// once, and [Module.Execute] it as often as needed, from as many goroutines as
// needed: each execution is a fresh instance with memory of its own, and none
// of it outlives the execution.
//
// A guest has two ways out, both in the [Call]: HTTP, which is the caller's
// door to the wire, and Log. It has no file system, no environment, no
// arguments, no sockets. This package never sees a secret and does not decide
// where a request may go: hand it an HTTP function that does both, and never
// one that follows redirects or that stamps a request which comes back to the
// guest. Do not instantiate a module with wazero directly: the limits of
// [Limits] live here.
//
// What a guest sees is written down in docs/provider-abi.md.
package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// Options of a [Runtime]. The zero value works: no cache on disk, no log.
type Options struct {
	// CacheDir is where compiled machine code is kept between processes. It is
	// created with mode 0700; an existing one, and all that is in it, must belong
	// to this user and be writable by nobody else, because what lies there is
	// executed. Empty: no cache on disk.
	CacheDir string
	// Logger receives what an operator wants to know about compilation. Nil:
	// nothing is logged.
	Logger *slog.Logger
}

// A Runtime compiles modules and owns everything that executes. It is safe for
// concurrent use.
type Runtime struct {
	log     *slog.Logger
	cache   wazero.CompilationCache
	guarded wazero.Runtime                               // can stop a guest anywhere
	bundled wazero.Runtime                               // for our own guests: cannot, and saves most of their time
	host    map[string]map[string]api.FunctionDefinition // import module → name → what we offer

	memories memoryPool

	stop    context.Context // done when Close begins
	stopNow context.CancelFunc

	mu      sync.Mutex
	closed  bool
	active  sync.WaitGroup // compilations and executions under way
	modules map[string]*compilation
}

// compilation is one digest's entry: done is closed when module or err is set.
type compilation struct {
	done   chan struct{}
	module *Module
	err    error
}

// NewRuntime makes a runtime. Close it when nothing uses it any more. It fails
// where CacheDir cannot be used safely.
func NewRuntime(ctx context.Context, o Options) (*Runtime, error) {
	r := &Runtime{
		log:     o.Logger,
		host:    map[string]map[string]api.FunctionDefinition{},
		modules: map[string]*compilation{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if r.cache, err = openCache(o.CacheDir); err != nil {
		return nil, err
	}
	config := wazero.NewRuntimeConfig().WithCompilationCache(r.cache).WithDebugInfoEnabled(false)
	r.guarded = wazero.NewRuntimeWithConfig(ctx, config.WithCloseOnContextDone(true))
	r.bundled = wazero.NewRuntimeWithConfig(ctx, config)
	if err := errors.Join(r.instantiateHost(ctx, r.guarded), r.instantiateHost(ctx, r.bundled)); err != nil {
		return nil, errors.Join(err, r.free(ctx))
	}
	r.stop, r.stopNow = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

// instantiateHost makes what guests may import.
func (r *Runtime) instantiateHost(ctx context.Context, w wazero.Runtime) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, w); err != nil {
		return fmt.Errorf("instantiate %s: %w", wasiModule, err)
	}
	if _, err := r.defineHost(w.NewHostModuleBuilder(hostModule)).Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate host module %s: %w", hostModule, err)
	}
	for _, name := range []string{wasiModule, hostModule} {
		r.host[name] = w.Module(name).ExportedFunctionDefinitions()
	}
	return nil
}

func (r *Runtime) free(ctx context.Context) error {
	return errors.Join(r.guarded.Close(ctx), r.bundled.Close(ctx), r.cache.Close(ctx))
}

// openCache gives the compilation cache of dir, or one in memory.
//
// Machine code is read from there and jumped into, so a directory that somebody
// else can write, or could write what lies in it, is refused rather than repaired.
func openCache(dir string) (wazero.CompilationCache, error) {
	if dir == "" {
		return wazero.NewCompilationCache(), nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create compilation cache: %w", err)
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("look at compilation cache: %w", err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // another process' file that is renamed
			return nil
		}
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = ownedByUs(info)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("compilation cache: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open compilation cache %s: %w", dir, err)
	}
	return cache, nil
}

// Close stops every execution under way, waits for them and frees the compiled
// code. Where ctx ends first it returns ctx's error and leaves the code mapped,
// since something may still run in it. Compile and Execute fail from then on.
func (r *Runtime) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stopNow()

	idle := make(chan struct{})
	go func() { r.active.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
		return fmt.Errorf("close provider runtime: %w", ctx.Err())
	}
	return r.free(ctx)
}

// enter counts one user of the runtime in; the caller calls r.active.Done.
func (r *Runtime) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return &Error{Code: CodeCancelled, Message: "the provider runtime is closed"}
	}
	r.active.Add(1)
	return nil
}

// Compile gives the module of a digest, compiling it on first use; callers that
// ask for one digest at the same time wait for one compilation, and any of them
// may give up.
//
// digest is "sha256:" and 64 hex digits, and the SHA-256 of wasm must equal it
// before a byte of wasm is looked at; or it is "builtin:" and a name that
// [Builtin] knows, and then wasm is not used. All errors are an [*Error]:
// provider_digest_mismatch, provider_import_denied, provider_invalid, and
// provider_cancelled when ctx ends while waiting.
func (r *Runtime) Compile(ctx context.Context, digest string, wasm []byte) (*Module, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	wasm, err := verifyDigest(digest, wasm)
	if err != nil {
		r.active.Done()
		return nil, err
	}

	r.mu.Lock()
	c, found := r.modules[digest]
	if !found {
		c = &compilation{done: make(chan struct{})}
		r.modules[digest] = c
	}
	r.mu.Unlock()

	if found {
		r.active.Done()
	} else {
		// Others may be waiting for this compilation, so it is not cut short when
		// the one caller that started it gives up.
		go func() {
			defer r.active.Done()
			r.compileOnce(context.WithoutCancel(ctx), c, digest, wasm)
		}()
	}
	select {
	case <-c.done:
		return c.module, c.err
	case <-ctx.Done():
		return nil, &Error{Code: CodeCancelled, Message: "cancelled while the provider was compiled", Err: ctx.Err()}
	}
}

// compileOnce fills c, and forgets it where that failed.
func (r *Runtime) compileOnce(ctx context.Context, c *compilation, digest string, wasm []byte) {
	started := time.Now()
	if c.module, c.err = r.compile(ctx, digest, wasm); c.err != nil {
		r.mu.Lock()
		delete(r.modules, digest)
		r.mu.Unlock()
	} else {
		r.log.Debug("provider compiled", "digest", digest, "bytes", len(wasm), "took", time.Since(started))
	}
	close(c.done)
}

// Keep forgets every compiled module whose digest is not listed. Executions
// under way are not disturbed; the machine code is freed when the last holder
// of its [Module] lets go. Call it when manifests have been reloaded.
func (r *Runtime) Keep(digests ...string) {
	keep := make(map[string]bool, len(digests))
	for _, d := range digests {
		keep[d] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for digest, c := range r.modules {
		select {
		case <-c.done:
			if !keep[digest] {
				delete(r.modules, digest)
			}
		default: // still compiling, so somebody wants it
		}
	}
}

// Digest names wasm as a manifest's provider_module_digest does: "sha256:" and
// 64 lower-case hex digits.
func Digest(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// verifyDigest returns the bytes that digest names.
func verifyDigest(digest string, wasm []byte) ([]byte, error) {
	if name, ok := builtinName(digest); ok {
		wasm, ok := Builtin(name)
		if !ok {
			return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("there is no built-in provider %q", name)}
		}
		return wasm, nil
	}
	if got := Digest(wasm); got != digest {
		return nil, &Error{Code: CodeDigestMismatch, Message: fmt.Sprintf("the module is %s, the manifest says %s", got, digest)}
	}
	return wasm, nil
}

func (r *Runtime) compile(ctx context.Context, digest string, wasm []byte) (m *Module, err error) {
	// The compiler reads bytes that somebody else wrote. Should it ever panic on
	// them, that is one module that does not load.
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, &Error{Code: CodeInvalid, Message: "the module does not compile", Err: fmt.Errorf("compiler panic: %v", p)}
		}
	}()
	safe, err := inspect(wasm)
	if err != nil {
		return nil, err
	}
	engine := r.guarded
	if _, ours := builtinName(digest); ours {
		// wazero's check at each loop costs more than the loops of these guests,
		// which end by themselves: their work is linear in the input and the
		// response, both capped, and they wait in host functions only.
		engine = r.bundled
	}
	compiled, err := engine.CompileModule(ctx, safe.wasm)
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Message: "the module does not compile", Err: err}
	}
	m = &Module{runtime: r, engine: engine, digest: digest, compiled: compiled, imports: safe.imports}
	if err := m.check(); err != nil {
		_ = compiled.Close(ctx) // only forgets it; err is what matters
		return nil, err
	}
	runtime.AddCleanup(m, func(c wazero.CompiledModule) { _ = c.Close(context.Background()) }, compiled)
	return m, nil
}
