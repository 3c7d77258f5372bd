package provider

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Limits on a module as a file. They keep what wazero does not count, and what
// Limits.MemoryMB does not cover, within reason.
const (
	maxModuleBytes  = 64 << 20
	maxTables       = 8       // compilers make one
	maxTableEntries = 1 << 17 // of one table; eight bytes of the host's memory each
)

// Section ids of the binary format (WebAssembly core specification 5.5.2).
const (
	sectionImport = 2
	sectionTable  = 4
)

const (
	hostModule = "latchgate"
	wasiModule = "wasi_snapshot_preview1"
)

// An importRef names one thing that a module imports.
type importRef struct{ module, name string }

// String is how errors name an import.
func (i importRef) String() string { return i.module + "." + i.name }

// inspected is a module that passed: its imports, and its bytes with every
// table capped.
type inspected struct {
	imports []importRef
	wasm    []byte
}

// CheckImports reports the first thing that wasm imports and may not: anything
// but functions of the module "latchgate" that docs/provider-abi.md lists, and
// functions of "wasi_snapshot_preview1". The error is an [*Error] with
// provider_import_denied, or provider_invalid where wasm is not a module.
//
// [Runtime.Compile] includes this check.
func CheckImports(wasm []byte) error {
	_, err := inspect(wasm)
	return err
}

// inspect walks the sections of a module before the compiler sees it.
func inspect(wasm []byte) (*inspected, error) {
	if len(wasm) > maxModuleBytes {
		return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("the module is larger than %d MiB", maxModuleBytes>>20)}
	}
	switch {
	case bytes.HasPrefix(wasm, []byte("\x00asm\x0d\x00\x01\x00")):
		return nil, &Error{Code: CodeInvalid, Message: "this is a WebAssembly component; build a core module (see docs/provider-abi.md)"}
	case !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")):
		return nil, &Error{Code: CodeInvalid, Message: "this is not a WebAssembly module"}
	}
	out := &inspected{wasm: slices.Clone(wasm[:8])}
	r := &reader{rest: wasm[8:]}
	for len(r.rest) > 0 && r.err == nil {
		start := r.rest
		id := r.byte()
		content := r.bytes(r.u32())
		section := start[:len(start)-len(r.rest)]
		switch id {
		case sectionImport:
			imports, err := readImports(&reader{rest: content})
			if err != nil {
				return nil, err
			}
			out.imports = append(out.imports, imports...)
		case sectionTable:
			capped, err := capTables(&reader{rest: content})
			if err != nil {
				return nil, err
			}
			section = capped
		}
		out.wasm = append(out.wasm, section...)
	}
	if r.err != nil {
		return nil, malformed(r.err)
	}
	return out, nil
}

// readImports reads an import section and refuses what is not offered.
func readImports(r *reader) ([]importRef, error) {
	var imports []importRef
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		i := importRef{r.name(), r.name()}
		kind := r.byte()
		if r.err != nil {
			break
		}
		// Only a function's description is read: nothing else gets past this.
		if err := allowImport(i, kind); err != nil {
			return nil, err
		}
		r.u32()
		imports = append(imports, i)
	}
	if r.err != nil {
		return nil, malformed(r.err)
	}
	return imports, nil
}

func allowImport(i importRef, kind byte) error {
	kinds := []string{"function", "table", "memory", "global", "tag"}
	denied := &Error{Code: CodeImportDenied, Message: fmt.Sprintf("the module imports %s", i)}
	switch {
	case int(kind) >= len(kinds):
		return malformed(fmt.Errorf("import kind %d", kind))
	case kind != 0:
		denied.Message += fmt.Sprintf(", a %s; only functions may be imported", kinds[kind])
	case i.module == wasiModule:
		return nil
	case i.module != hostModule:
		denied.Message += fmt.Sprintf("; only %s and %s are offered", hostModule, wasiModule)
	case !offered(i.name):
		denied.Message += ", which this version of latchgate does not offer"
	default:
		return nil
	}
	return denied
}

// capTables rewrites a table section so that no table can be or become larger
// than maxTableEntries, and refuses one of more than maxTables. A table lives in the host's memory and wazero lets
// table.grow take as much as the module says, which is often no limit at all.
func capTables(r *reader) ([]byte, error) {
	n := r.u32()
	if n > maxTables {
		return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("the module declares %d tables; at most %d are allowed", n, maxTables)}
	}
	content := binary.AppendUvarint(nil, uint64(n))
	for ; n > 0 && r.err == nil; n-- {
		kind, flags, least, most := r.byte(), r.byte(), r.u32(), uint32(maxTableEntries)
		if flags > 1 {
			return nil, malformed(fmt.Errorf("table limits of kind %d", flags))
		}
		if flags == 1 {
			most = min(most, r.u32())
		}
		if least > maxTableEntries {
			return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("the module declares a table of %d entries; at most %d are allowed", least, maxTableEntries)}
		}
		content = append(content, kind, 1)
		content = binary.AppendUvarint(content, uint64(least))
		content = binary.AppendUvarint(content, uint64(most))
	}
	if r.err == nil && len(r.rest) > 0 {
		r.err = errors.New("trailing bytes in the table section")
	}
	if r.err != nil {
		return nil, malformed(r.err)
	}
	section := binary.AppendUvarint([]byte{sectionTable}, uint64(len(content)))
	return append(section, content...), nil
}

func malformed(err error) *Error {
	return &Error{Code: CodeInvalid, Message: "the module is malformed", Err: err}
}

// reader reads the primitives of the binary format. After its first error it
// reads nothing more.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) bytes(n uint32) []byte {
	if r.err == nil && uint64(n) > uint64(len(r.rest)) {
		r.err = errors.New("unexpected end")
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	if r.err == nil {
		r.err = errors.New("number too large")
	}
	return 0
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }
