package policy

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	// remembered bounds the decisions of each kind that one policy remembers.
	remembered = 4096
	// rememberedSize bounds the input of one, in bytes: an agent chooses paths and
	// the names of arguments, and is not to fill the memory with them.
	rememberedSize = 2 << 10
)

// decisions are what a policy decided on inputs of one kind. A nil one remembers
// nothing: equal inputs need not mean equal decisions. It goes with the policy
// that decided.
type decisions[K comparable] struct{ cache *lru.Cache[K, Decision] }

func newDecisions[K comparable]() *decisions[K] {
	cache, _ := lru.New[K, Decision](remembered) // fails for a size below 1 alone
	return &decisions[K]{cache}
}

// of returns the decision on key, an input of so many bytes; decide makes it
// where it is not remembered. Failures are not remembered.
func (d *decisions[K]) of(key K, size int, decide func() Decision) Decision {
	if d == nil || size > rememberedSize {
		return decide()
	}
	known, ok := d.cache.Get(key)
	if !ok {
		if known = decide(); known.Code != CodeError {
			d.cache.Add(key, known)
		}
	}
	return known
}

// requestKey is a RequestInput that can be compared. Action ids hold no NUL.
type requestKey struct {
	principal, run, actions, action, scheme, host, method, path string
	port                                                        int
}

func (in *RequestInput) key() requestKey {
	return requestKey{in.Principal, in.Run, strings.Join(in.Actions, "\x00"), in.Action, in.Scheme, in.Host, in.Method, in.Path, in.Port}
}

func (k *requestKey) size() int {
	return len(k.principal) + len(k.run) + len(k.actions) + len(k.action) + len(k.scheme) + len(k.host) + len(k.method) + len(k.path)
}

// key is all of an ActionInput but the arguments' values, as text that is equal
// only for equal inputs: each part has its length before it. Without sizes it
// leaves the arguments out altogether.
func (in *ActionInput) key(sizes bool) string {
	b := make([]byte, 0, 512)
	add := func(s string) { b = append(append(strconv.AppendInt(b, int64(len(s)), 10), ':'), s...) }
	for _, s := range []string{in.Principal, in.Door, in.Action, in.Version, in.RiskLevel} {
		add(s)
	}
	for _, list := range [][]string{in.Actions, in.SideEffects, in.Secrets, in.Hosts, in.Tags} {
		b = append(strconv.AppendInt(b, int64(len(list)), 10), '[')
		for _, s := range list {
			add(s)
		}
	}
	if sizes {
		for _, name := range slices.Sorted(maps.Keys(in.ArgSizes)) {
			add(name)
			b = append(strconv.AppendInt(b, int64(in.ArgSizes[name]), 10), ';')
		}
	}
	return string(b)
}

// decideAction decides on in, or remembers. Where rules may look at the values
// of arguments nothing is remembered: they can be private, and are not kept.
func (e *Engine) decideAction(ctx context.Context, r *ruleset, in ActionInput) Decision {
	decide := func() Decision { return e.action(ctx, r, in, nil) }
	if r.actions == nil || in.Args != nil && r.readsArgs {
		return decide()
	}
	key := in.key(r.readsSizes)
	return r.actions.of(key, len(key), decide)
}

// decideRequest decides on in, or remembers.
func (e *Engine) decideRequest(ctx context.Context, r *ruleset, in RequestInput) Decision {
	key := in.key()
	return r.requests.of(key, key.size(), func() Decision { return e.request(ctx, r, in, nil) })
}

// repeatable says that equal inputs mean equal decisions: no rule calls a
// function, such as time.now_ns, whose result OPA itself would not reuse.
func repeatable(c *ast.Compiler) bool {
	fickle := make(map[string]bool)
	for _, b := range capabilities().Builtins {
		fickle[b.Name] = b.Nondeterministic
	}
	// These look at the clock too, for whether a certificate is valid now.
	fickle[ast.CryptoX509ParseAndVerifyCertificates.Name] = true
	fickle[ast.CryptoX509ParseAndVerifyCertificatesWithOptions.Name] = true
	found := false
	for _, m := range c.Modules {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			found = found || fickle[ref.String()]
			return found
		})
	}
	return !found
}

// reads says that a rule may look at input's field of that name: by the name, by
// one that is only known when it runs, or because it takes input as a whole.
func reads(c *ast.Compiler, field ast.String) bool {
	found := false
	for _, m := range c.Modules {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			if len(ref) > 0 && ref[0].Equal(ast.InputRootDocument) {
				name, constant := ast.String(""), false
				if len(ref) > 1 {
					name, constant = ref[1].Value.(ast.String)
				}
				found = found || !constant || name == field
			}
			return found
		})
	}
	return found
}
