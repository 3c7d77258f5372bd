// Package mcp serves actions as tools of the Model Context Protocol, on a
// stream such as standard input and output.
//
// Make a [Server] with [New], call [Server.Refresh] whenever the actions may
// have changed, and [Server.Serve] once. A tool call is an execution of its
// action by the gate behind it, with everything that an execution is subject
// to; this package decides nothing.
package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/latchgate/latchgate/gate"
)

// Gate is what a server asks: the daemon's socket, or a gate in this process.
type Gate interface {
	Actions(ctx context.Context) ([]gate.ActionStatus, error)
	// Execute fails with a [*gate.Error] where the gate refuses.
	Execute(ctx context.Context, q gate.ExecuteRequest) (*gate.Executed, error)
	// WaitApproval returns the ticket once it is decided or has expired, or ctx's error.
	WaitApproval(ctx context.Context, ticket string) (*gate.Approval, error)
}

// Options of a [Server].
type Options struct {
	Gate   Gate
	Filter Filter // which actions become tools
	// Wait is how long a call that needs approval is held, in the hope that
	// somebody approves; 0: it is answered at once. Many clients give up a call
	// after a minute.
	Wait    time.Duration
	Version string       // that clients are told
	Log     *slog.Logger // required
}

// Server offers each action that has a provider as a tool of the same name.
type Server struct {
	gate   Gate
	filter Filter
	wait   time.Duration
	log    *slog.Logger
	server *sdk.Server

	mu    sync.Mutex
	tools map[string]string // name → its description as JSON, as clients know it
}

const instructions = `Each tool is an action that latchgate executes. Credentials are added on the way and taken out of answers: never ask for one, and never pass one as an argument. A result with "approval" means that nothing was done yet: a person has to approve the named ticket, and then the same call, with the same arguments, does it.`

// New makes a server without tools; [Server.Refresh] fetches them.
func New(o Options) *Server {
	return &Server{gate: o.Gate, filter: o.Filter, wait: o.Wait, log: o.Log, tools: map[string]string{},
		server: sdk.NewServer(&sdk.Implementation{Name: "latchgate", Title: "latchgate", Version: o.Version}, &sdk.ServerOptions{
			Instructions: instructions,
			Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{ListChanged: true}},
			Logger:       slog.New(slog.DiscardHandler), // it logs what clients send
		})}
}

// Refresh makes the tools what the actions are now. Connected clients are told
// where that is a change.
func (s *Server) Refresh(ctx context.Context) error {
	actions, err := s.gate.Actions(ctx)
	if err != nil {
		return fmt.Errorf("list the actions: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := maps.Clone(s.tools)
	for i := range actions {
		a := &actions[i]
		if a.Provider == "" || !s.filter.lets(a) {
			continue
		}
		tool := toolOf(a)
		text, err := json.Marshal(tool)
		if err == nil && s.tools[a.ID] != string(text) {
			err = s.add(tool)
		}
		if err != nil {
			s.log.Error("action left out of the tools", "action", a.ID, "err", err)
			continue
		}
		s.tools[a.ID] = string(text)
		delete(gone, a.ID)
	}
	s.server.RemoveTools(slices.Collect(maps.Keys(gone))...)
	for name := range gone {
		delete(s.tools, name)
	}
	return nil
}

// add puts one tool in. The library panics on schemas that it can't offer, and
// an action's schema is its author's.
func (s *Server) add(tool *sdk.Tool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it can't be a tool: %v", p)
		}
	}()
	s.server.AddTool(tool, func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return s.call(ctx, tool.Name, req), nil
	})
	return nil
}

// Tools are the names of the tools there are.
func (s *Server) Tools() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.tools))
}

// Serve talks to one client until it goes away, which is no error, or ctx is
// done. Nothing but the protocol is written to w.
func (s *Server) Serve(ctx context.Context, r io.ReadCloser, w io.WriteCloser) error {
	err := s.server.Run(ctx, &sdk.IOTransport{Reader: r, Writer: w})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
