package provider

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
)

// Limits bound one execution. Except for MaxIOCalls, where zero allows none, a
// field that is zero or less takes its default.
type Limits struct {
	Timeout              time.Duration // from instantiation to the end; default 30 s
	MemoryMB             int           // linear memory in MiB, at most 4096; default 64
	MaxIOCalls           int           // calls of http_request, whatever becomes of them
	MaxHostResponseBytes int64         // one response body; default 10 MiB
	MaxResponseBytes     int64         // the output; default 1 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Timeout <= 0 {
		l.Timeout = 30 * time.Second
	}
	if l.MemoryMB <= 0 {
		l.MemoryMB = 64
	}
	l.MemoryMB = min(l.MemoryMB, 4096)
	// A guest reads sizes as a positive i32.
	const most = 1<<31 - 2
	if l.MaxHostResponseBytes <= 0 {
		l.MaxHostResponseBytes = 10 << 20
	}
	l.MaxHostResponseBytes = min(l.MaxHostResponseBytes, most)
	if l.MaxResponseBytes <= 0 {
		l.MaxResponseBytes = 1 << 20
	}
	return l
}

// A Call is one execution of a module.
type Call struct {
	Action string // for the operator's log
	Input  []byte // the document that input_read gives; see [BuildInput]
	Limits Limits
	// HTTP sends one request of the guest: the wire's in-process door, bound to
	// the run. It must honour ctx, must not follow redirects, and must have
	// scrubbed the response that it returns. A refusal of the wire is a response
	// like any other. Nil: the action has no HTTP.
	HTTP func(ctx context.Context, r *http.Request) (*http.Response, error)
	// Log receives what the guest logs, its standard output and error at debug,
	// and the reasons why a request of its was malformed: at most 64 KiB an
	// execution, 4 KiB a message, valid UTF-8, not redacted. Nil: dropped.
	Log func(level slog.Level, msg string)
}

// A Result is what an execution left behind.
type Result struct {
	Output      []byte        // the output document: valid JSON; nil when there was an error
	IOCalls     int           // HTTP requests that the guest asked for
	MemoryBytes uint64        // the most linear memory that the guest held
	Duration    time.Duration // instantiation included
}

// execution is the state of one Execute; the guest's goroutine alone uses it.
type execution struct {
	call           Call
	memory         memory
	calls          int
	head, body     []byte // the last response
	output         []byte
	outputTooLarge bool
	logged         int // bytes
	stdout, stderr capture
}

// Execute runs the module once, in a fresh instance that is gone afterwards.
//
// The result is never nil: on an error it has no output but says what was used.
// The error is an [*Error]; ctx's end gives provider_cancelled or, at a
// deadline, provider_timeout. Whatever the guest does ends there: the runtime
// and other executions do not notice.
func (m *Module) Execute(ctx context.Context, c Call) (*Result, error) {
	started := time.Now()
	c.Limits = c.Limits.withDefaults()
	e := &execution{call: c}
	e.memory.pool, e.memory.limit = &m.runtime.memories, uint64(c.Limits.MemoryMB)<<20
	defer e.memory.release()

	err := m.run(ctx, e)
	e.flushStreams()
	result := &Result{IOCalls: e.calls, MemoryBytes: e.memory.peak, Duration: time.Since(started)}
	if err != nil {
		return result, err
	}
	result.Output = e.output
	return result, nil
}

// run gives the guest its context, lets it execute and judges the outcome.
func (m *Module) run(ctx context.Context, e *execution) error {
	if err := m.runtime.enter(); err != nil {
		return err
	}
	defer m.runtime.active.Done()
	defer runtime.KeepAlive(m) // m's cleanup frees the code that runs here

	ctx, cancel := context.WithTimeout(ctx, e.call.Limits.Timeout)
	defer cancel()
	defer context.AfterFunc(m.runtime.stop, cancel)()

	code, err := m.invoke(ctx, e)
	if err == nil && code == 0 {
		// A guest that made it in the last moment has made it.
		if err = e.checkOutput(); err == nil {
			return nil
		}
	}
	return e.blame(ctx, code, err)
}

// invoke instantiates the module, runs its start-up function and execute, and
// returns execute's status.
func (m *Module) invoke(ctx context.Context, e *execution) (code int32, err error) {
	if m.minMemory > e.memory.limit {
		return 0, &Error{Code: CodeMemory, Message: fmt.Sprintf("the provider needs %d MiB to start and memory_mb is %d", (m.minMemory+1<<20-1)>>20, e.call.Limits.MemoryMB)}
	}
	ctx = context.WithValue(experimental.WithMemoryAllocator(ctx, &e.memory), executionKey{}, e)
	instance, err := m.engine.InstantiateModule(ctx, m.compiled, m.config(ctx, e))
	if err != nil {
		return 0, err
	}
	defer instance.Close(context.WithoutCancel(ctx))

	if m.startUp != "" {
		if _, err := instance.ExportedFunction(m.startUp).Call(ctx); err != nil {
			return 0, err
		}
	}
	status, err := instance.ExportedFunction("execute").Call(ctx)
	if err != nil {
		return 0, err
	}
	return api.DecodeI32(status[0]), nil
}

// clockStep is how finely a guest sees time pass: fine enough for dates and
// back-off, too coarse to time the host's caches with.
const clockStep = time.Millisecond

// bareConfig shows a module nothing, and runs nothing of it.
var bareConfig = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(rand.Reader)

// config is what WASI shows of the world: coarse clocks that tell the truth,
// randomness, a sleep that ends with the execution, output that is captured.
// No arguments, no environment, no files, no sockets, and nothing to read.
func (m *Module) config(ctx context.Context, e *execution) wazero.ModuleConfig {
	if !m.wasi {
		return bareConfig
	}
	started := time.Now()
	return bareConfig.
		WithWalltime(func() (int64, int32) {
			now := time.Now().Truncate(clockStep)
			return now.Unix(), int32(now.Nanosecond())
		}, sys.ClockResolution(clockStep)).
		WithNanotime(func() int64 { return int64(time.Since(started).Truncate(clockStep)) }, sys.ClockResolution(clockStep)).
		WithNanosleep(func(ns int64) {
			t := time.NewTimer(time.Duration(ns))
			defer t.Stop()
			select {
			case <-t.C:
			case <-ctx.Done():
			}
		}).
		WithStdout(&e.stdout).
		WithStderr(&e.stderr)
}

// blame names the first cause of a failed execution: what the host ended comes
// before what the guest made of it.
func (e *execution) blame(ctx context.Context, code int32, err error) error {
	var own *Error
	errors.As(err, &own)
	switch {
	case own != nil && own.Code != CodeOutputInvalid:
		return own
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &Error{Code: CodeTimeout, Message: "the provider did not finish in time", Err: ctx.Err()}
	case ctx.Err() != nil:
		return &Error{Code: CodeCancelled, Message: "the execution was cancelled", Err: ctx.Err()}
	case e.memory.refused:
		return &Error{Code: CodeMemory, Message: fmt.Sprintf("the provider needs more memory than memory_mb allows (%d MiB)", e.call.Limits.MemoryMB)}
	case e.outputTooLarge:
		return e.checkOutput()
	case own != nil:
		return own
	case err == nil:
		return e.guestFailure(code)
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return &Error{Code: CodeTrap, Message: fmt.Sprintf("the provider exited with status %d", exit.ExitCode())}
	}
	// What follows the first line is a stack trace of the guest.
	first, _, _ := strings.Cut(err.Error(), "\n")
	return &Error{Code: CodeTrap, Message: "the provider crashed", Err: errors.New(first)}
}

// guestFailure is the error of a guest that returned another status than zero.
func (e *execution) guestFailure(code int32) error {
	failed := &Error{Code: CodeFailed, Message: fmt.Sprintf("the provider failed with status %d", code)}
	if validJSON(e.output) {
		failed.Detail = e.output
		var doc struct {
			Error struct{ Message string }
		}
		if json.Unmarshal(e.output, &doc) == nil && doc.Error.Message != "" {
			const most = 500
			failed.Message = printable(strings.ToValidUTF8(doc.Error.Message[:min(len(doc.Error.Message), most)], ""))
		}
	}
	return failed
}

// printable is a guest's text as one line that can be shown on a terminal: what
// would steer it, or begin a line of its own, is replaced.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '\uFFFD'
	}, s)
}

func (e *execution) checkOutput() error {
	switch {
	case e.outputTooLarge:
		return &Error{Code: CodeOutputTooLarge, Message: fmt.Sprintf("the provider's output is larger than %d bytes", e.call.Limits.MaxResponseBytes)}
	case e.output == nil:
		return &Error{Code: CodeOutputInvalid, Message: "the provider wrote no output"}
	case !validJSON(e.output):
		return &Error{Code: CodeOutputInvalid, Message: "the provider's output is not JSON"}
	}
	return nil
}

// validJSON also asks for UTF-8, which RFC 8259 section 8.1 does and
// json.Valid does not.
func validJSON(doc []byte) bool { return utf8.Valid(doc) && json.Valid(doc) }
