package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/cmd/latchgate/sandbox"
)

// Clients that need a file or a port of ours have it in a sandbox too.
func TestClientsWorkInASandbox(t *testing.T) {
	t.Parallel()
	if _, err := sandbox.Check(); err != nil {
		t.Skipf("component missing: %v", err)
	}
	h := clientsHome(t)
	for _, c := range clients {
		if !slices.Contains([]string{"curl", "wget", "go", "python-requests", "node20-fetch", "node24-https", "java", "php"}, c.id) {
			continue
		}
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			h := h.in(t)
			args := slices.Concat([]string{"--config", h.path("latchgate.toml"), "exec", "--sandbox", "--action", "api", "--", c.find(t)}, absolute(t, c.command("https://"+apiHost+"/"+c.id)))
			cmd := h.command(args...)
			cmd.Env = append(cmd.Env, c.given...)
			cmd.Dir = h.path("work/" + c.id)
			if err := os.MkdirAll(cmd.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "***REDACTED***") {
				t.Errorf("%v\n%s", err, out)
			}
			h.authenticated(apiHost, "/"+c.id)
		})
	}
}
