package secrets

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestValueIsNeverPrinted tries every way in which a value is printed by accident.
func TestValueIsNeverPrinted(t *testing.T) {
	const secret = "hunter2-sentinel"
	v := NewValue([]byte(secret))
	type holder struct {
		V      Value
		hidden Value
		P      *Value
	}
	type named struct{ V Value }
	h := holder{v, v, &v}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%b", "%p", "%t", "%T", "%10v", "%w"} {
		for _, arg := range []any{v, &v, h, &h, []Value{v}, map[string]Value{"k": v}, [1]holder{h}, any(v)} {
			fmt.Fprintf(&out, verb+"\n", arg)
		}
	}
	fmt.Fprintln(&out, v, &v, h, v.String(), fmt.Errorf("wrapped: %v", v))
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "v", v, "p", &v, "h", h, "m", map[string]Value{"k": v}, "s", []Value{v})
	}
	for name, encode := range map[string]func() error{
		"json":   func() error { return json.NewEncoder(&out).Encode([]any{v, &v, h, map[string]Value{"k": v}}) },
		"yaml":   func() error { return yaml.NewEncoder(&out).Encode([]any{v, &v, map[string]Value{"k": v}}) },
		"xml":    func() error { return xml.NewEncoder(&out).Encode(named{v}) },
		"gob":    func() error { return gob.NewEncoder(&out).Encode(named{v}) },
		"text":   func() error { b, err := v.MarshalText(); out.Write(b); return err },
		"panics": func() error { defer func() { fmt.Fprint(&out, recover()) }(); panic(v) },
	} {
		if err := encode(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprint([]byte(secret)), fmt.Sprintf("%#v", []byte(secret))} {
		if strings.Contains(out.String(), strings.Trim(form, "[]")) {
			t.Errorf("%q was printed", form)
		}
	}
	if !strings.Contains(out.String(), Redacted) {
		t.Error("nothing was printed")
	}
}

func TestValueComparesAndCopies(t *testing.T) {
	b := []byte("abc")
	v := NewValue(b)
	b[0] = 'x'
	if !v.Equal(NewValue([]byte("abc"))) || v.Equal(NewValue([]byte("abd"))) || v.Equal(Value{}) || !(Value{}).Equal(NewValue(nil)) {
		t.Error("Equal is wrong")
	}
	if v.Len() != 3 || (Value{}).Len() != 0 || string(v.Reveal()) != "abc" {
		t.Error("the value was changed with what it was made of")
	}
}

// revealers are the functions that may look at a secret's bytes, by file. A new
// one is a security decision: say in the review what becomes of the bytes.
var revealers = map[string][]string{
	"proxy/credentials.go": {"shared"},           // what the scrubber looks for
	"proxy/stamp.go":       {"glue", "newStamp"}, // the request that is sent
}

func TestRevealIsCalledWhereItMayBe(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata") {
			return cmpErr(err, fs.SkipDir)
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, _ := filepath.Rel(root, path)
		for _, fn := range callersOfReveal(t, path) {
			found[filepath.ToSlash(rel)] = append(found[filepath.ToSlash(rel)], fn)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for file, fns := range found {
		for _, fn := range fns {
			if !slices.Contains(revealers[file], fn) {
				t.Errorf("%s: %s calls Value.Reveal and is not in the list of those who may", file, fn)
			}
		}
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// callersOfReveal returns the functions of a file that mention a method Reveal.
func callersOfReveal(t *testing.T, path string) []string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(src, []byte("Reveal")) {
		return nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
	if err != nil {
		return nil // a file that does not compile fails elsewhere
	}
	var names []string
	for _, decl := range file.Decls {
		name := "package level"
		if fn, ok := decl.(*ast.FuncDecl); ok {
			name = fn.Name.Name
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" && !slices.Contains(names, name) {
				names = append(names, name)
			}
			return true
		})
	}
	return names
}
