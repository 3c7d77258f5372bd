package provider

import (
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// A Module is a provider that has been verified and compiled. It holds no state
// between executions and is safe for concurrent use.
type Module struct {
	runtime   *Runtime
	engine    wazero.Runtime
	digest    string
	compiled  wazero.CompiledModule
	imports   []importRef
	wasi      bool   // imports WASI, so an execution needs clocks and streams
	minMemory uint64 // bytes of linear memory that it begins with
	startUp   string // the function that makes it ready; "" for none
}

// Digest is the digest that the module was compiled under.
func (m *Module) Digest() string { return m.digest }

// Imports lists what the module imports, as "module.function", sorted.
func (m *Module) Imports() []string {
	names := make([]string, len(m.imports))
	for i, imp := range m.imports {
		names[i] = imp.String()
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// CheckDeclared compares what the module imports with a manifest's
// required_imports. With no declaration everything offered may be imported;
// with one, a function of a capability that is not listed is denied, and so is
// a declaration of something that this host does not have. The error is an
// [*Error] with provider_import_denied.
func (m *Module) CheckDeclared(required []string) error {
	if len(required) == 0 {
		return nil
	}
	for _, capability := range required {
		if capability != capabilityHTTP && capability != capabilityLog {
			return &Error{Code: CodeImportDenied, Message: fmt.Sprintf("required_imports lists %s, which latchgate does not offer", capability)}
		}
	}
	for _, imp := range m.imports {
		i := slices.IndexFunc(hostFunctions, func(f hostFunction) bool { return imp.module == hostModule && f.name == imp.name })
		if i < 0 || hostFunctions[i].capability == "" {
			continue
		}
		if c := hostFunctions[i].capability; !slices.Contains(required, c) {
			return &Error{Code: CodeImportDenied, Message: fmt.Sprintf("the module imports %s, and required_imports does not list %s", imp, c)}
		}
	}
	return nil
}

// check looks at a compiled module's shape: that the functions it imports exist
// with those signatures, and that it exports what an execution needs. It notes
// what of it an execution goes by.
func (m *Module) check() error {
	for _, f := range m.compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		have, ok := m.runtime.host[module][name]
		if !ok {
			return &Error{Code: CodeImportDenied, Message: fmt.Sprintf("the module imports %s, which this version of latchgate does not offer", importRef{module, name})}
		}
		if !slices.Equal(f.ParamTypes(), have.ParamTypes()) || !slices.Equal(f.ResultTypes(), have.ResultTypes()) {
			return &Error{Code: CodeInvalid, Message: fmt.Sprintf("the module imports %s with another signature than docs/provider-abi.md gives it", importRef{module, name})}
		}
		m.wasi = m.wasi || module == wasiModule
	}
	memory := m.compiled.ExportedMemories()["memory"]
	if memory == nil {
		return &Error{Code: CodeInvalid, Message: `the module does not export its memory as "memory"`}
	}
	m.minMemory = uint64(memory.Min()) * pageSize
	exports := m.compiled.ExportedFunctions()
	execute := exports["execute"]
	if execute == nil {
		return &Error{Code: CodeInvalid, Message: `the module does not export a function "execute"`}
	}
	if len(execute.ParamTypes()) != 0 || !slices.Equal(execute.ResultTypes(), []api.ValueType{api.ValueTypeI32}) {
		return &Error{Code: CodeInvalid, Message: `"execute" must take nothing and return an i32`}
	}
	if f := exports["_initialize"]; f != nil && len(f.ParamTypes())+len(f.ResultTypes()) != 0 {
		return &Error{Code: CodeInvalid, Message: `"_initialize" must take and return nothing`}
	}
	for _, name := range []string{"_start", "_initialize"} { // a module that has both is a reactor
		if exports[name] != nil {
			m.startUp = name
		}
	}
	return nil
}
