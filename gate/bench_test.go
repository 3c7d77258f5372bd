//go:build unix

package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchgate/latchgate/internal/testenv"
)

const benchManifest = `
action_id: call
provider_module_digest: builtin:http_api
template: {method: GET, url_template: "https://api.localhost:PORT/{{what}}"}
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"], allowed_methods: [GET]}
secrets: [{name: TOKEN, required: true}]
io: {request_schema: {type: object, required: [what], properties: {what: {type: string}}}}
`

var benchExecution = ExecuteRequest{Principal: "bench", Action: "call", Args: map[string]any{"what": "x"}}

// BenchmarkExecute is an execution from the arguments to the result, all of it
// (schema, policy, secrets, run, provider, wire, scrubbing, record), over TLS to
// an upstream on this machine, warm; and beside it the bare request of a client
// that has the credential itself. Their difference is what an execution adds.
func BenchmarkExecute(b *testing.B) {
	w := newWorld(b, benchManifest, "[secrets]\nsops_secrets_file = \"secrets.enc.yaml\"\n[log]\nlevel = \"warn\"\n")
	w.setSecrets(map[string]string{"TOKEN": token})
	w.forget()
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(w.dir, "origin.pem"))
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		b.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, "127.0.0.1:"+w.port)
		}}
	defer transport.CloseIdleConnections()

	bare := func() error {
		r, err := http.NewRequest(http.MethodGet, "https://api.localhost:"+w.port+"/x", nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return err
	}
	execute := func() error {
		_, err := w.Execute(context.Background(), benchExecution)
		return err
	}
	for name, do := range map[string]func() error{"bare": bare, "execution": execute} {
		for _, callers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				b.ReportAllocs()
				share(b, callers, do)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "per-second")
			})
		}
	}
}

// BenchmarkRun is a run opened and closed, without a request: policy, secrets,
// record and log.
func BenchmarkRun(b *testing.B) {
	w := newCostWorld(b)
	w.forget()
	b.ReportAllocs()
	defer testenv.ReportCPU(b)()
	for b.Loop() {
		run, err := w.Open(context.Background(), OpenRequest{Principal: "bench", Door: DoorExec, Actions: []string{"call"}})
		if err != nil {
			b.Fatal(err)
		}
		w.Close(run.ID)
	}
}

// share does it b.N times, among that many callers.
func share(b *testing.B, callers int, do func() error) {
	b.Helper()
	if err := do(); err != nil { // warm
		b.Fatal(err)
	}
	b.ResetTimer()
	defer testenv.ReportCPU(b)()
	var done atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for done.Add(1) <= int64(b.N) {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
