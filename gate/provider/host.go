package provider

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// status is what a host function returns in place of a length: always negative.
// docs/provider-abi.md explains each; values are never reused.
type status int32

const (
	statusInvalidPointer status = -1 // pointer and length do not lie within the guest's memory
	statusMalformed      status = -2 // the request document, or what it asks for, makes no request
	statusTooLarge       status = -3 // the response body, or the output, is over its limit
	statusTimeout        status = -4 // the upstream took too long
	statusUnreachable    status = -5 // no answer was had, or it broke off
	statusDenied         status = -6 // this action has no HTTP at all
)

// Names of what a manifest's required_imports can declare.
const (
	capabilityHTTP = "latchgate:io/http"
	capabilityLog  = "latchgate:io/log"
)

// A hostFunction is one function of the import module "latchgate". All
// parameters and the result are i32.
type hostFunction struct {
	name       string
	params     int
	capability string // "" where every provider has it
	call       func(e *execution, ctx context.Context, m api.Memory, a []uint64) int32
}

// hostFunctions is ABI version 1. Functions are added, never changed: a guest
// that asks for one that is not here does not load.
var hostFunctions = []hostFunction{
	{"input_size", 0, "", func(e *execution, _ context.Context, _ api.Memory, _ []uint64) int32 {
		return int32(len(e.call.Input))
	}},
	{"input_read", 2, "", func(e *execution, _ context.Context, m api.Memory, a []uint64) int32 {
		return give(m, a, e.call.Input)
	}},
	{"http_request", 4, capabilityHTTP, func(e *execution, ctx context.Context, m api.Memory, a []uint64) int32 {
		head, ok := take(m, a[0], a[1])
		body, ok2 := take(m, a[2], a[3])
		if !ok || !ok2 {
			return int32(statusInvalidPointer)
		}
		return e.httpRequest(ctx, head, body)
	}},
	{"response_read", 2, capabilityHTTP, func(e *execution, _ context.Context, m api.Memory, a []uint64) int32 {
		return give(m, a, e.head)
	}},
	{"body_size", 0, capabilityHTTP, func(e *execution, _ context.Context, _ api.Memory, _ []uint64) int32 {
		return int32(len(e.body))
	}},
	{"body_read", 2, capabilityHTTP, func(e *execution, _ context.Context, m api.Memory, a []uint64) int32 {
		return give(m, a, e.body)
	}},
	{"output_write", 2, "", func(e *execution, _ context.Context, m api.Memory, a []uint64) int32 {
		return e.writeOutput(m, a[0], a[1])
	}},
	{"log", 3, capabilityLog, func(e *execution, _ context.Context, m api.Memory, a []uint64) int32 {
		return e.writeLog(m, a[0], a[1], a[2])
	}},
}

func offered(name string) bool {
	return slices.ContainsFunc(hostFunctions, func(f hostFunction) bool { return f.name == name })
}

type executionKey struct{}

// defineHost adds the host functions to a builder.
func (r *Runtime) defineHost(b wazero.HostModuleBuilder) wazero.HostModuleBuilder {
	i32 := []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}
	for _, f := range hostFunctions {
		b.NewFunctionBuilder().WithGoModuleFunction(
			api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
				e := ctx.Value(executionKey{}).(*execution)
				defer r.hidePanic(f.name, e.call.Action)
				stack[0] = api.EncodeI32(f.call(e, ctx, m.Memory(), stack))
			}), i32[:f.params], i32[:1]).Export(f.name)
	}
	return b
}

// hidePanic replaces a panic of the host's own code, the caller's door included,
// by an error that cannot carry the panic's value: it may hold a secret, and
// would otherwise end up in the execution's error.
func (r *Runtime) hidePanic(function, action string) {
	switch p := recover().(type) {
	case nil:
	case *Error:
		panic(p)
	default:
		r.log.Error("panic in a host function", "function", function, "action", action, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		panic(&Error{Code: CodeFailed, Message: "latchgate failed while it served the provider"})
	}
}

// take returns a view of the guest's memory, valid until the guest runs again.
func take(m api.Memory, ptr, size uint64) ([]byte, bool) {
	if m == nil {
		return nil, false
	}
	return m.Read(api.DecodeU32(ptr), api.DecodeU32(size))
}

// give copies src, or as much of it as fits, into the guest's buffer a[0], a[1]
// and returns how much that was.
func give(m api.Memory, a []uint64, src []byte) int32 {
	dst, ok := take(m, a[0], a[1])
	if !ok {
		return int32(statusInvalidPointer)
	}
	return int32(copy(dst, src))
}

// writeOutput replaces the output by the bytes at ptr.
func (e *execution) writeOutput(m api.Memory, ptr, size uint64) int32 {
	out, ok := take(m, ptr, size)
	if !ok {
		return int32(statusInvalidPointer)
	}
	e.output, e.outputTooLarge = nil, int64(len(out)) > e.call.Limits.MaxResponseBytes
	if e.outputTooLarge {
		return int32(statusTooLarge)
	}
	e.output = slices.Clone(out)
	return 0
}

// Limits on what an execution may log, in bytes.
const (
	maxLogMessage = 4 << 10
	maxLogTotal   = 64 << 10
)

// writeLog passes a message on; what is over the limits is cut or dropped
// without telling the guest, which could do nothing about it.
func (e *execution) writeLog(m api.Memory, level, ptr, size uint64) int32 {
	msg, ok := take(m, ptr, size)
	if !ok {
		return int32(statusInvalidPointer)
	}
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	e.log(levels[min(api.DecodeU32(level), 3)], string(msg[:min(len(msg), maxLogMessage)]))
	return 0
}

// log hands one message to the caller, within the execution's budget.
func (e *execution) log(level slog.Level, msg string) {
	if e.call.Log == nil || e.logged > maxLogTotal {
		return
	}
	if e.logged += len(msg) + 1; e.logged > maxLogTotal {
		level, msg = slog.LevelWarn, "the provider logs too much; the rest is dropped"
	}
	e.call.Log(level, strings.ToValidUTF8(msg, "\uFFFD"))
}
