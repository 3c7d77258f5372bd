package gate

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/latchgate/latchgate/gate/provider"
	"github.com/latchgate/latchgate/manifests"
)

// actions is one immutable snapshot of the catalogue, with what executing an
// action needs prepared as it is first used. A reload makes a new one.
type actions struct {
	*manifests.Catalog
	own     map[string]*action // the operator's, and those kept from a file that is broken now
	bundled sync.Map           // of *action by id: those that were asked for
}

type action struct {
	*manifests.Manifest
	schemas sync.Once
	request *jsonschema.Schema
	result  *jsonschema.Schema
	schErr  error

	prepared func() (*provider.Template, error) // of a template without placeholders, once

	module atomic.Pointer[provider.Module] // once it is compiled
}

func newAction(m *manifests.Manifest) *action {
	return &action{Manifest: m, prepared: sync.OnceValues(func() (*provider.Template, error) {
		return providerTemplate(m.Template).Prepared()
	})}
}

func newActions(c *manifests.Catalog) *actions {
	a := &actions{Catalog: c, own: map[string]*action{}}
	for _, m := range c.Own() {
		a.own[m.ActionID] = newAction(m)
	}
	return a
}

// find returns the action, or the error that says which one was meant.
func (a *actions) find(id string) (*action, error) {
	if act, ok := a.own[id]; ok {
		return act, nil
	}
	if act, ok := a.bundled.Load(id); ok {
		return act.(*action), nil
	}
	if m, ok := a.Get(id); ok {
		act, _ := a.bundled.LoadOrStore(id, newAction(m))
		return act.(*action), nil
	}
	e := &Error{Code: CodeActionUnknown, Message: fmt.Sprintf("there is no action %q", id), Action: id, Hint: "`latchgate actions list` shows them all"}
	if near := a.Suggest(id); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q? %s", near, e.Hint)
	}
	return nil, e
}

// all returns every action that find finds, by id.
func (a *actions) all() []*manifests.Manifest {
	byID := map[string]*manifests.Manifest{}
	for _, m := range a.All() {
		byID[m.ActionID] = m
	}
	for id, act := range a.own {
		byID[id] = act.Manifest
	}
	return slices.SortedFunc(maps.Values(byID), func(x, y *manifests.Manifest) int { return strings.Compare(x.ActionID, y.ActionID) })
}

// prepareSchemas compiles the action's JSON Schemas once.
func (a *action) prepareSchemas() error {
	a.schemas.Do(func() {
		if a.IO.RequestSchema != nil {
			a.request, a.schErr = manifests.CompileSchema(a.IO.RequestSchema)
		}
		if a.IO.ResponseSchema != nil && a.schErr == nil {
			a.result, a.schErr = manifests.CompileSchema(a.IO.ResponseSchema)
		}
	})
	return a.schErr
}

// loadModule returns the action's compiled provider, which is not waited for any
// longer when the run has ended. A failed attempt is not remembered: a module
// file that appears later is found.
func (a *action) loadModule(ctx context.Context, run *OpenedRun, rt *provider.Runtime) (*provider.Module, error) {
	if m := a.module.Load(); m != nil {
		return m, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(run.run.Context(), cancel)()
	digest := a.ProviderModuleDigest
	var wasm []byte
	if digest != manifests.BuiltinHTTPAPI {
		var err error
		if wasm, err = os.ReadFile(a.ProviderSource); err != nil {
			return nil, &Error{Code: CodeProviderMissing, Action: a.ActionID, Err: err,
				Message: fmt.Sprintf("the provider module of %s can't be read", a.ActionID),
				Hint:    fmt.Sprintf("check provider_source in %s:%d", a.File, a.Line)}
		}
	}
	m, err := rt.Compile(ctx, digest, wasm)
	if err != nil {
		return nil, err
	}
	if err := m.CheckDeclared(a.RequiredImports); err != nil {
		return nil, err
	}
	a.module.Store(m)
	return m, nil
}
