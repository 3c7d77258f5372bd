package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const defaultConfig = "[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n"

// serve lets the world's door answer until the test ends.
func (w *world) serve() (addr string) {
	w.t.Helper()
	ln, err := w.Listen()
	if err != nil {
		w.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.Serve(ln) }()
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.Drain(ctx)
		<-served
	})
	return ln.Addr().String()
}

const agentManifest = `
action_id: call
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: TOKEN, required: true}]
`

func TestAReloadDoesNotDisturbClientsOfTheDefaultRun(t *testing.T) {
	w := newWorld(t, agentManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	w.write("latchgate.toml", strings.Replace(worldConfig, "[proxy]\n", "[proxy]\ndefault_actions = [\"call\"]\n", 1)+defaultConfig)
	if err := w.Reload(context.Background(), w.load()); err != nil {
		t.Fatal(err)
	}
	addr := w.serve()
	roots := x509.NewCertPool()
	root, _ := os.ReadFile(w.Trust().Root)
	roots.AppendCertsFromPEM(root)
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: addr}), TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	ask := func() {
		t.Helper()
		resp, err := client.Get("https://api.localhost:" + w.port + "/x")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	ask()
	body, feed := io.Pipe()
	underWay := make(chan string, 1)
	go func() {
		resp, err := client.Post("https://api.localhost:"+w.port+"/slow", "text/plain", body)
		if err != nil {
			underWay <- err.Error()
			return
		}
		_ = resp.Body.Close()
		underWay <- resp.Status
	}()
	if _, err := io.WriteString(feed, strings.Repeat("first half ", 1000)); err != nil { // more than a client's buffer holds back
		t.Fatal(err)
	}
	for w.RunStatuses()[0].Requests < 2 {
		time.Sleep(time.Millisecond)
	}
	if err := w.Reload(context.Background(), w.load()); err != nil {
		t.Fatal(err)
	}
	ask()
	_ = feed.Close()
	if got := <-underWay; got != "200 OK" {
		t.Errorf("the request under way got %s", got)
	}
	if n := len(w.RunStatuses()); n != 2 {
		t.Errorf("%d runs are open, want the new default run and the one before for its drain time", n)
	}
}

func TestNoRunIsOpenedWhileTheGateDrains(t *testing.T) {
	w := newWorld(t, callManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := w.Open(context.Background(), OpenRequest{Principal: "p", Door: DoorExec, Actions: []string{"call"}})
	code(t, err, CodeDraining)
	if n := len(w.RunStatuses()); n != 0 {
		t.Errorf("%d runs are open after the drain", n)
	}
}

func TestWatchSeesAFolderThatWasReplaced(t *testing.T) {
	for _, missing := range []bool{false, true} {
		t.Run(fmt.Sprintf("missing at first: %v", missing), func(t *testing.T) {
			w := newWorld(t, callManifest, "")
			dir := filepath.Join(w.dir, "actions")
			if missing {
				_ = os.RemoveAll(dir)
			}
			ctx, cancel := context.WithCancel(context.Background())
			changed, ended := make(chan struct{}, 64), make(chan struct{})
			watch, err := w.Watch()
			if err != nil {
				t.Fatal(err)
			}
			go func() { watch(ctx, func() { changed <- struct{}{} }); close(ended) }()
			defer func() {
				cancel()
				<-ended
			}()
			quiet := func() {
				for {
					select {
					case <-changed:
					case <-time.After(700 * time.Millisecond):
						return
					}
				}
			}
			quiet()
			if !missing {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			quiet()
			w.write("actions/a.yaml", "action_id: again\n")
			quiet()
			w.write("actions/b.yaml", "action_id: later\n")
			select {
			case <-changed:
			case <-time.After(2 * time.Second):
				t.Error("the change was not seen")
			}
		})
	}
}

func TestAStaleUnixSocketOfTheDoorIsReplaced(t *testing.T) {
	dir, err := os.MkdirTemp("", "lg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "p.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	w := newWorld(t, callManifest, "")
	w.write("latchgate.toml", strings.Replace(worldConfig, "127.0.0.1:0", "unix:"+path, 1))
	_ = w.Reload(context.Background(), w.load())
	ln, err := w.Listen()
	if err != nil {
		t.Fatalf("a killed daemon's socket stops the next one: %v", err)
	}
	if _, err := w.Listen(); err == nil {
		t.Error("a socket that is in use was taken over")
	}
	_ = ln.Close()
}

func TestAnExecutionSeesOneSnapshot(t *testing.T) {
	w := newWorld(t, callManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	before := w.state.Load()
	w.write("actions/a.yaml", "action_id: other\n")
	if err := w.Reload(context.Background(), w.load()); err != nil {
		t.Fatal(err)
	}
	run, err := w.Open(context.Background(), OpenRequest{Principal: "p", Door: DoorRun, Actions: []string{"call"}, state: before})
	if err != nil {
		t.Fatalf("the run was opened from another snapshot than its arguments were checked by: %v", err)
	}
	w.Close(run.ID)
}

func TestATimeToLiveThatDoesNotFitIsRefused(t *testing.T) {
	w := newWorld(t, callManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	c := w.control()
	for _, seconds := range []float64{-1, 1e300} {
		err := c.call(context.Background(), http.MethodPost, "/v1/runs", runRequest{Door: DoorEnv, Actions: []string{"call"}, TTLSeconds: seconds}, nil)
		code(t, err, CodeBadRequest)
	}
	if n := len(w.RunStatuses()); n != 0 {
		t.Errorf("%d runs are open", n)
	}
}
