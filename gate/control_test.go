package gate

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/proxy"
)

// control lets the world's doors answer until the test ends, and returns a
// client of the control socket.
func (w *world) control() *Client {
	w.t.Helper()
	pln, err := w.Listen()
	if err != nil {
		w.t.Fatal(err)
	}
	c := NewControl(w.Gate, "test")
	ln, err := c.Listen()
	if err != nil {
		w.t.Fatal(err)
	}
	served := make(chan error, 2)
	go func() { served <- w.Serve(pln) }()
	go func() { served <- c.Serve(ln) }()
	client, err := Dial(context.Background(), w.Config().Gate.Socket)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = w.Drain(ctx)
		if err := c.Shutdown(ctx); err != nil {
			w.t.Error(err)
		}
		for range 2 {
			if err := <-served; err != nil {
				w.t.Error(err)
			}
		}
	})
	return client
}

func TestTheControlSocket(t *testing.T) {
	w := newWorld(t, callManifest, "[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n")
	w.setSecrets(map[string]string{"TOKEN": token})
	client := w.control()
	socket := w.Config().Gate.Socket
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	if _, err := NewControl(w.Gate, "test").Listen(); !errors.Is(err, ErrRunning) {
		t.Errorf("a second daemon: %v", err)
	}
	ctx := context.Background()
	if client.Status.Proxy == "" || !client.Status.Ready {
		t.Fatalf("%+v", client.Status)
	}
	t.Run("execute", func(t *testing.T) {
		done, err := client.Execute(ctx, ExecuteRequest{Action: "call", Args: map[string]any{"id": "1"}})
		if err != nil || !strings.Contains(string(done.Result), `"ok":true`) {
			t.Fatalf("%+v %v", done, err)
		}
		_, err = client.Execute(ctx, ExecuteRequest{Action: "call"})
		if e := code(t, err, CodeArgumentsInvalid); e.Hint == "" || e.Action != "call" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("an attached run ends with its client", func(t *testing.T) {
		run, release, err := client.OpenAttached(ctx, OpenRequest{Door: DoorExec, Actions: []string{"call"}})
		if err != nil {
			t.Fatal(err)
		}
		r, ok := w.Runs().Get(run.ID)
		if !ok || run.Proxy == "" || run.Placeholders["TOKEN"] == "" {
			t.Fatalf("%+v", run)
		}
		release()
		<-r.Context().Done()
	})
	t.Run("revoke", func(t *testing.T) {
		run, err := client.Open(ctx, OpenRequest{Door: DoorEnv, Actions: []string{"call"}, TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		runs, err := client.Runs(ctx)
		if err != nil || len(runs) != 1 || runs[0].ID != run.ID || runs[0].Expires.IsZero() {
			t.Fatalf("%+v %v", runs, err)
		}
		r, _ := w.Runs().Get(run.ID)
		if err := client.Revoke(ctx, run.ID); err != nil {
			t.Fatal(err)
		}
		if cause := context.Cause(r.Context()); !errors.Is(cause, proxy.ErrRunRevoked) {
			t.Errorf("cause %v", cause)
		}
		code(t, client.Revoke(ctx, run.ID), CodeRunUnknown)
	})
	t.Run("what is wrong with a request", func(t *testing.T) {
		_, err := client.Open(ctx, OpenRequest{Door: "window", Actions: []string{"call"}, TTL: time.Minute})
		code(t, err, CodeBadRequest)
		_, err = client.Open(ctx, OpenRequest{Door: DoorEnv, Actions: []string{"nothing"}, TTL: time.Minute})
		code(t, err, CodeActionUnknown)
		_, err = client.Open(ctx, OpenRequest{Door: DoorEnv, TTL: time.Minute})
		code(t, err, CodeBadRequest)
	})
}

func TestDialWithoutADaemon(t *testing.T) {
	if _, err := Dial(context.Background(), filepath.Join(t.TempDir(), "no.sock")); !errors.Is(err, ErrNoDaemon) {
		t.Fatal(err)
	}
	stale := filepath.Join(t.TempDir(), "stale.sock")
	ln, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	if _, err := Dial(context.Background(), stale); !errors.Is(err, ErrNoDaemon) {
		t.Fatal(err)
	}
}
