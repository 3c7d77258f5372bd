package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ruleset is a compiled policy with its data. It never changes.
type ruleset struct {
	compiler *ast.Compiler
	store    storage.Store
	timeout  time.Duration
	action   ast.Body // answer = data.latchgate.action
	request  ast.Body // answer = data.latchgate.request; nil where there is none
	matches  ast.Body // answer = data.latchgate.matches; nil where there is none

	actions    *decisions[string]
	requests   *decisions[requestKey]
	readsSizes bool // a rule may look at input.arg_sizes
	readsArgs  bool // a rule may look at input.args
}

// answer is the variable that a query binds.
const answer = ast.Var("answer")

// eval runs one query; watch, where it is not nil, sees its steps. Errors wrap
// ErrUndefined and ErrTimeout.
func (r *ruleset) eval(ctx context.Context, query ast.Body, input *ast.Term, watch topdown.QueryTracer) (v ast.Value, err error) {
	// A panic in a built-in function is a failed evaluation like any other: an
	// agent that finds one must not end the daemon with it.
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, fmt.Errorf("evaluate: panic: %v", p)
		}
	}()
	ctx, stop := context.WithTimeoutCause(ctx, r.timeout, ErrTimeout)
	defer stop()
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()

	txn, err := r.store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	defer r.store.Abort(ctx, txn)
	q := topdown.NewQuery(query).
		WithCompiler(r.compiler).
		WithStore(r.store).
		WithTransaction(txn).
		WithCancel(cancel).
		WithInput(input).
		// A built-in function that fails would otherwise only make its
		// expression undefined, and a rule that says `not` would go on.
		WithStrictBuiltinErrors(true)
	if watch != nil {
		q = q.WithQueryTracer(watch)
	}
	results, err := q.Run(ctx)
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, ErrTimeout) {
			return nil, fmt.Errorf("evaluate: %w: %s", ErrTimeout, r.timeout)
		}
		return nil, fmt.Errorf("evaluate: %w", cause)
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	if len(results) != 1 {
		return nil, ErrUndefined
	}
	return results[0][answer].Value, nil
}
