package provider

import (
	"encoding/binary"
	"slices"
)

// guest is a WebAssembly module written by hand: what no compiler would emit is
// what the hostile tests need. Bodies are raw instructions; see the constants.
type guest struct {
	imports  []imported
	funcs    []function
	memory   uint32 // pages to start with
	table    []byte // a table section's content, "" for none
	start    int    // function that the start section names, counted like funcs; -1 for none
	data     []data
	noMemory bool // do not export it
}

type imported struct {
	module, name    string
	params, results int    // all i32
	kind            []byte // an import description other than a function
}

type function struct {
	export          string
	params, results int // all i32
	locals          int // all i32
	body            []byte
}

type data struct {
	at    int
	bytes string
}

// Instructions (WebAssembly core specification 5.4).
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opBlock       = 0x02
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opReturn      = 0x0f
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLoad        = 0x28
	opLoad8       = 0x2d
	opStore       = 0x36
	opMemGrow     = 0x40
	opEqz         = 0x45
	opNe          = 0x47
	opAdd         = 0x6a
	opDiv         = 0x6d
	void          = 0x40 // block type
)

// i32 pushes a constant.
func i32(v int32) []byte {
	out := []byte{0x41}
	for n := int64(v); ; n >>= 7 {
		b := byte(n & 0x7f)
		if done := n>>7 == 0 && b&0x40 == 0 || n>>7 == -1 && b&0x40 != 0; done {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// code joins instructions: bytes, and slices of them.
func code(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, byte(p))
		case []byte:
			out = append(out, p...)
		}
	}
	return out
}

func uleb(v int) []byte { return binary.AppendUvarint(nil, uint64(v)) }

func named(s string) []byte { return append(uleb(len(s)), s...) }

// encode writes the module.
func (g guest) encode() []byte {
	var types, imports, funcs, exports, codes, datas [][]byte
	typeOf := func(params, results int) []byte {
		t := code([]byte{0x60}, uleb(params), slices.Repeat([]byte{0x7f}, params), uleb(results), slices.Repeat([]byte{0x7f}, results))
		types = append(types, t)
		return uleb(len(types) - 1)
	}
	base := 0
	for _, i := range g.imports {
		desc := i.kind
		if desc == nil {
			desc = append([]byte{0}, typeOf(i.params, i.results)...)
			base++
		}
		imports = append(imports, code(named(i.module), named(i.name), desc))
	}
	for n, f := range g.funcs {
		funcs = append(funcs, typeOf(f.params, f.results))
		if f.export != "" {
			exports = append(exports, code(named(f.export), []byte{0}, uleb(base+n)))
		}
		locals := []byte{0}
		if f.locals > 0 {
			locals = code(uleb(1), uleb(f.locals), 0x7f)
		}
		body := code(locals, f.body, opEnd)
		codes = append(codes, append(uleb(len(body)), body...))
	}
	if !g.noMemory {
		exports = append(exports, code(named("memory"), 2, 0))
	}
	for _, d := range g.data {
		datas = append(datas, code(0, i32(int32(d.at)), opEnd, named(d.bytes)))
	}

	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content []byte) {
		out = append(append(append(out, id), uleb(len(content))...), content...)
	}
	vector := func(id byte, items [][]byte) {
		if len(items) > 0 {
			section(id, append(uleb(len(items)), slices.Concat(items...)...))
		}
	}
	vector(1, types)
	vector(2, imports)
	vector(3, funcs)
	if g.table != nil {
		section(4, g.table)
	}
	section(5, code(1, 0, uleb(int(g.memory))))
	vector(7, exports)
	if g.start >= 0 {
		section(8, uleb(base+g.start))
	}
	vector(10, codes)
	vector(11, datas)
	return out
}

// Host functions, in the order in which abiImports imports them.
const (
	fnInputSize = iota
	fnInputRead
	fnHTTPRequest
	fnResponseRead
	fnBodySize
	fnBodyRead
	fnOutputWrite
	fnLog
	fnCount
)

func abiImports() []imported {
	var out []imported
	for _, f := range hostFunctions {
		out = append(out, imported{module: hostModule, name: f.name, params: f.params, results: 1})
	}
	return out
}

// executing is a guest with every host function, one page of memory and an
// execute of this body.
func executing(body ...any) guest {
	return guest{imports: abiImports(), memory: 1, start: -1, funcs: []function{{export: "execute", results: 1, locals: 4, body: code(body...)}}}
}

// with adds data to a guest's memory.
func (g guest) with(at int, bytes string) guest {
	g.data = append(g.data, data{at, bytes})
	return g
}

// writing is the instructions that write size bytes at ptr as the output and
// return zero.
func writing(ptr, size int) []byte {
	return code(i32(int32(ptr)), i32(int32(size)), opCall, fnOutputWrite, opDrop, i32(0))
}

// logging is the instructions that log size bytes at ptr.
func logging(ptr, size int) []byte {
	return code(i32(1), i32(int32(ptr)), i32(int32(size)), opCall, fnLog, opDrop)
}
