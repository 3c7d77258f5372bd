package provider

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostile is a guest that means harm, the call it is made with, and what must
// become of it.
type hostile struct {
	guest guest
	call  Call
	code  Code // "" where it fails to do harm and succeeds
}

// short is the time that a guest which never ends is given.
const short = 50 * time.Millisecond

func forever(body ...any) []byte { return code(opLoop, void, code(body...), opBr, 0, opEnd, i32(0)) }

// asking is one http_request with the document at 0.
func asking(size int) []byte {
	return code(i32(0), i32(int32(size)), i32(0), i32(0), opCall, fnHTTPRequest, opDrop)
}

const getDoc = `{"method":"GET","url":"https://api.example.com/"}`

func hostileGuests() map[string]hostile {
	wasi := func(name string, params, results int, call ...any) guest {
		return guest{
			imports: []imported{{module: wasiModule, name: name, params: params, results: results}},
			memory:  1, start: -1,
			funcs: []function{{export: "execute", results: 1, body: code(call...)}},
		}
	}
	recursive := executing(i32(0), opCall, fnCount+1)
	recursive.funcs = append(recursive.funcs, function{params: 1, results: 1, body: code(opLocalGet, 0, i32(1), opAdd, opCall, fnCount+1, i32(1), opAdd)})

	atStart := func(body []byte) guest {
		g := executing(i32(0))
		g.funcs = append(g.funcs, function{body: body})
		g.start = 1
		return g
	}
	tables := executing(forever(0xd0, 0x70, i32(1<<30), 0xfc, 0x0f, 0, i32(-1), opNe, opBrIf, 0, opUnreachable))
	tables.table = []byte{1, 0x70, 0, 1}

	big := executing(i32(0))
	big.memory = 5000

	never := func(ctx context.Context, _ *http.Request) (*http.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return map[string]hostile{
		"loops for ever":                   {executing(forever()), Call{Limits: Limits{Timeout: short}}, CodeTimeout},
		"loops for ever when it starts":    {atStart(code(opLoop, void, opBr, 0, opEnd)), Call{Limits: Limits{Timeout: short}}, CodeTimeout},
		"loops for ever in host calls":     {executing(forever(opCall, fnInputSize, opDrop)), Call{Limits: Limits{Timeout: short}}, CodeTimeout},
		"logs for ever":                    {executing(forever(logging(0, 65536))), Call{Limits: Limits{Timeout: short}, Log: func(slog.Level, string) {}}, CodeTimeout},
		"sleeps for a year":                {sleepy(), Call{Limits: Limits{Timeout: short}}, CodeTimeout},
		"waits for an upstream for ever":   {executing(asking(len(getDoc)), writing(0, 0)).with(0, getDoc), Call{Limits: Limits{Timeout: short, MaxIOCalls: 1}, HTTP: never}, CodeTimeout},
		"recurses without end":             {recursive, Call{}, CodeTrap},
		"traps":                            {executing(opUnreachable), Call{}, CodeTrap},
		"traps when it starts":             {atStart(code(opUnreachable)), Call{}, CodeTrap},
		"divides by zero":                  {executing(i32(1), i32(0), opDiv), Call{}, CodeTrap},
		"reads outside its memory":         {executing(i32(-1), opLoad, 0, 0), Call{}, CodeTrap},
		"writes outside its memory":        {executing(i32(-8), i32(1), opStore, 0, 0, i32(0)), Call{}, CodeTrap},
		"exits":                            {wasi("proc_exit", 1, 0, i32(0), opCall, 0, i32(0)), Call{}, CodeTrap},
		"takes memory page by page":        {executing(forever(i32(1), opMemGrow, 0, i32(-1), opNe, opBrIf, 0, opUnreachable)), Call{Limits: Limits{MemoryMB: 2}}, CodeMemory},
		"takes four gigabytes at once":     {executing(growing(65535), i32(0)), Call{}, CodeMemory},
		"starts with too much memory":      {big, Call{Limits: Limits{MemoryMB: 64}}, CodeMemory},
		"takes the host's memory by table": {tables, Call{}, CodeTrap},
		"calls too often":                  {executing(forever(asking(len(getDoc)))).with(0, getDoc), Call{Limits: Limits{MaxIOCalls: 3}, HTTP: answer(200, "text/plain", "x")}, CodeTooManyCalls},
		"calls although it may not":        {executing(asking(len(getDoc)), i32(0)).with(0, getDoc), Call{HTTP: answer(200, "text/plain", "x")}, CodeTooManyCalls},
		"calls too often, malformed":       {executing(forever(asking(3))), Call{Limits: Limits{MaxIOCalls: 3}}, CodeTooManyCalls},
		"writes no output":                 {executing(i32(0)), Call{}, CodeOutputInvalid},
		"writes an empty output":           {executing(writing(0, 0)), Call{}, CodeOutputInvalid},
		"writes half a document":           {executing(writing(0, 6)).with(0, `{"ok":true}`), Call{}, CodeOutputInvalid},
		"writes bytes that are not UTF-8":  {executing(writing(0, 3)).with(0, "\"\xff\""), Call{}, CodeOutputInvalid},
		"writes brackets without end":      {executing(writing(0, 60000)).with(0, strings.Repeat("[", 60000)), Call{}, CodeOutputInvalid},
		"writes too much output":           {executing(writing(0, 60000)), Call{Limits: Limits{MaxResponseBytes: 100}}, CodeOutputTooLarge},
		"fails":                            {executing(i32(7)), Call{}, CodeFailed},
		"brings the host to panic": {executing(asking(len(getDoc)), i32(0)).with(0, getDoc), Call{Limits: Limits{MaxIOCalls: 1}, HTTP: func(context.Context, *http.Request) (*http.Response, error) {
			panic("sentinel-4711")
		}}, CodeFailed},
		"hands over rubbish pointers": {rubbishPointers(), Call{Input: []byte("{}"), Limits: Limits{MaxIOCalls: math.MaxInt}, HTTP: answer(200, "text/plain", "x")}, ""},
	}
}

// growing is the instructions that take more memory and trap without it.
func growing(pages int32) []byte {
	return code(opBlock, void, i32(pages), opMemGrow, 0, i32(-1), opNe, opBrIf, 0, opUnreachable, opEnd)
}

// sleepy asks WASI's poll_oneoff for a sleep of a year.
func sleepy() guest {
	return guest{
		imports: []imported{{module: wasiModule, name: "poll_oneoff", params: 4, results: 1}},
		memory:  1, start: -1,
		funcs: []function{{export: "execute", results: 1, body: code(i32(0), i32(1024), i32(1), i32(2048), opCall, 0)}},
		// A subscription: user data, tag (clock), clock id, timeout in ns.
		data: []data{{0, strings.Repeat("\x00", 24) + "\x00\x00\x40\xa7\x01\x0a\x70\x00" + strings.Repeat("\x00", 16)}},
	}
}

// rubbishPointers gives every host function each bad pointer and length and
// traps unless the answer is always "invalid pointer"; then it writes {}.
func rubbishPointers() guest {
	bad := [][2]int32{{-1, -1}, {0, -1}, {-1, 1}, {65536, 1}, {65535, 2}, {1, 65536}, {math.MinInt32, math.MinInt32}, {65537, 0}}
	var body []byte
	expect := func(call ...any) {
		body = append(body, code(opBlock, void, code(call...), i32(int32(statusInvalidPointer)), opNe, opEqz, opBrIf, 0, opUnreachable, opEnd)...)
	}
	for _, b := range bad {
		ptr, size := i32(b[0]), i32(b[1])
		for _, fn := range []int{fnInputRead, fnResponseRead, fnBodyRead, fnOutputWrite} {
			expect(ptr, size, opCall, fn)
		}
		expect(i32(-5), ptr, size, opCall, fnLog)
		expect(ptr, size, i32(0), i32(0), opCall, fnHTTPRequest)
		expect(i32(0), i32(2), ptr, size, opCall, fnHTTPRequest)
	}
	return executing(body, writing(0, 2)).with(0, "{}")
}

func TestHostileGuestCostsItsOwnExecutionOnly(t *testing.T) {
	r := newRuntime(t)
	good := load(t, r, executing(writing(0, 11)).with(0, `{"ok":true}`).encode())
	for name, h := range hostileGuests() {
		t.Run(name, func(t *testing.T) {
			m := load(t, r, h.guest.encode())
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					result, err := m.Execute(context.Background(), h.call)
					var e *Error
					switch {
					case h.code == "" && (err != nil || string(result.Output) != "{}"):
						t.Errorf("got %+v, %v, want the output {}", result, err)
					case h.code != "" && (!errors.As(err, &e) || e.Code != h.code):
						t.Errorf("got error %v, want %s", err, h.code)
					case h.code != "" && result.Output != nil:
						t.Errorf("a failed execution has the output %q", result.Output)
					}
					if err != nil && (strings.Contains(err.Error(), "sentinel") || strings.Contains(err.Error(), "\n")) {
						t.Errorf("the error says too much: %v", err)
					}
					if result.IOCalls > h.call.Limits.MaxIOCalls {
						t.Errorf("%d calls were made, %d are allowed", result.IOCalls, h.call.Limits.MaxIOCalls)
					}
				})
				wg.Go(func() {
					if result, err := good.Execute(context.Background(), Call{}); err != nil || string(result.Output) != `{"ok":true}` {
						t.Errorf("an execution beside it gave %+v, %v", result, err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestMemoryLimitIsEachExecutionsOwn(t *testing.T) {
	r := newRuntime(t)
	// Grows by 4 MiB and traps where it cannot.
	m := load(t, r, executing(growing(64), writing(0, 2)).with(0, "{}").encode())
	for _, c := range []struct {
		mb int
		ok bool
	}{{0, true}, {1, false}, {4, false}, {5, true}, {100000, true}} {
		result, err := m.Execute(context.Background(), Call{Limits: Limits{MemoryMB: c.mb}})
		if (err == nil) != c.ok {
			t.Errorf("with memory_mb %d: %v", c.mb, err)
		}
		if err != nil {
			wantCode(t, err, CodeMemory)
		} else if result.MemoryBytes != 65*pageSize {
			t.Errorf("with memory_mb %d the guest is said to have held %d bytes", c.mb, result.MemoryBytes)
		}
	}
}

func TestInstanceStartsWithMemoryOfItsOwn(t *testing.T) {
	r := newRuntime(t)
	// Traps where a mark is already set, then sets it; also in grown memory.
	const at = 50000
	m := load(t, r, executing(
		i32(1), opMemGrow, 0, opDrop,
		opBlock, void, i32(at), opLoad, 0, 0, i32(at+pageSize), opLoad, 0, 0, opAdd, opEqz, opBrIf, 0, opUnreachable, opEnd,
		i32(at), i32(0x2a), opStore, 0, 0, i32(at+pageSize), i32(0x2a), opStore, 0, 0,
		writing(0, 2)).with(0, "{}").encode())
	for range 50 {
		if _, err := m.Execute(context.Background(), Call{}); err != nil {
			t.Fatalf("an execution found what another had left in memory: %v", err)
		}
	}
}

func TestCallerCanGiveUp(t *testing.T) {
	r := newRuntime(t)
	m := load(t, r, executing(logging(0, 2), forever()).encode())
	ctx, cancel := context.WithCancel(context.Background())
	_, err := m.Execute(ctx, Call{Log: func(slog.Level, string) { cancel() }})
	wantCode(t, err, CodeCancelled)
	_, err = m.Execute(ctx, Call{})
	wantCode(t, err, CodeCancelled)
	ctx, cancel = context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	_, err = m.Execute(ctx, Call{})
	wantCode(t, err, CodeTimeout)
}

func TestLogIsCapped(t *testing.T) {
	r := newRuntime(t)
	// A thousand messages of 64 KiB.
	m := load(t, r, executing(opLoop, void, logging(0, 65536), opLocalGet, 0, i32(1), opAdd, opLocalSet, 0, opLocalGet, 0, i32(1000), opNe, opBrIf, 0, opEnd, writing(0, 2)).with(0, "{}\xff").encode())
	var messages []string
	if _, err := m.Execute(context.Background(), Call{Log: func(_ slog.Level, msg string) { messages = append(messages, msg) }}); err != nil {
		t.Fatal(err)
	}
	var total int
	for _, msg := range messages {
		if len(msg) > maxLogMessage+2 || !strings.HasPrefix(msg, "{}\uFFFD") && !strings.Contains(msg, "logs too much") {
			t.Errorf("message of %d bytes: %.20q", len(msg), msg)
		}
		total += len(msg)
	}
	if total > maxLogTotal+200 || !strings.Contains(messages[len(messages)-1], "logs too much") {
		t.Errorf("%d bytes in %d messages were logged", total, len(messages))
	}
}

func TestTablesAreCapped(t *testing.T) {
	r := newRuntime(t)
	grow := func(by int32, table ...byte) error {
		g := executing(opBlock, void, 0xd0, 0x70, i32(by), 0xfc, 0x0f, 0, i32(-1), opNe, opBrIf, 0, opUnreachable, opEnd, writing(0, 2)).with(0, "{}")
		g.table = table
		_, err := load(t, r, g.encode()).Execute(context.Background(), Call{})
		return err
	}
	unlimited := []byte{1, 0x70, 0, 1}
	if err := grow(maxTableEntries-1, unlimited...); err != nil {
		t.Error(err)
	}
	wantCode(t, grow(maxTableEntries, unlimited...), CodeTrap)
	wantCode(t, grow(maxTableEntries, 1, 0x70, 1, 1, 0xff, 0xff, 0xff, 0x7f), CodeTrap)
	wantCode(t, grow(2, 1, 0x70, 1, 1, 2), CodeTrap) // a module's own limit stays
	many := executing(writing(0, 2)).with(0, "{}")
	many.table = append([]byte{maxTables + 1}, slices.Repeat([]byte{0x70, 0, 1}, maxTables+1)...)
	_, err := r.Compile(context.Background(), Digest(many.encode()), many.encode())
	wantCode(t, err, CodeInvalid)
}

func TestPrintedOutputIsCapped(t *testing.T) {
	r := newRuntime(t)
	// Prints 4 MiB: fd_write(1, …) of one vector of 64 KiB that is at address 0.
	m := load(t, r, guest{
		imports: []imported{{module: wasiModule, name: "fd_write", params: 4, results: 1}},
		memory:  1, start: -1,
		data: []data{{0, "\x08\x00\x00\x00\xf8\xff\x00\x00"}},
		funcs: []function{{export: "execute", results: 1, locals: 1, body: code(
			opLoop, void, i32(1), i32(0), i32(1), i32(4), opCall, 0, opDrop, i32(4), i32(65528), opStore, 0, 0,
			opLocalGet, 0, i32(1), opAdd, opLocalSet, 0, opLocalGet, 0, i32(64), opNe, opBrIf, 0, opEnd, i32(1))}},
	}.encode())
	var printed int
	_, err := m.Execute(context.Background(), Call{Log: func(level slog.Level, msg string) {
		if level != slog.LevelDebug || !strings.HasPrefix(msg, "stdout: ") {
			t.Errorf("%v %.20q", level, msg)
		}
		printed += len(msg)
	}})
	wantCode(t, err, CodeFailed)
	if printed != len("stdout: ")+maxStream {
		t.Errorf("%d bytes were kept", printed)
	}
}

func TestResponseOverItsLimitIsNotKept(t *testing.T) {
	r := newRuntime(t)
	// Succeeds where http_request says "too large" and nothing can be read.
	m := load(t, r, executing(
		opBlock, void, i32(0), i32(int32(len(getDoc))), i32(0), i32(0), opCall, fnHTTPRequest, i32(int32(statusTooLarge)), opNe,
		opCall, fnBodySize, opAdd, i32(0), i32(9), opCall, fnResponseRead, opAdd, opEqz, opBrIf, 0, opUnreachable, opEnd,
		writing(100, 2)).with(0, getDoc).with(100, "{}").encode())
	endless := func(context.Context, *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(zeroes{})}, nil
	}
	if _, err := m.Execute(context.Background(), Call{Limits: Limits{MaxIOCalls: 1, MaxHostResponseBytes: 1 << 20}, HTTP: endless}); err != nil {
		t.Error(err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }
