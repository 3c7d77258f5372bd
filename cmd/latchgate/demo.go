package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate"
)

func (a *app) demoCommand() *cobra.Command {
	var keep, asJSON bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work, offline and without an account",
		Long: `See it work, offline and without an account: an age key, an encrypted secret, a
TLS upstream that wants the secret and a real proxy, all in a temporary folder
that is removed at the end. A client sends a plain request through HTTP_PROXY,
and a WASM provider through the gate; what each sent is shown beside what
arrived. The demo checks what it shows: the exit status is 1 if any of it does
not hold.`,
		Example: "  latchgate demo\n  latchgate demo --keep\n  latchgate demo --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), keep, asJSON) },
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave it running for playing, until Ctrl-C")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(a.demoClientCommand())
	return c
}

// demo is the story, told when all of it has happened.
func (a *app) demo(ctx context.Context, keep, asJSON bool) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // a closed terminal ends it too
	defer stop()
	step, done := a.progress()
	defer done()
	h, err := a.openDemoHouse(ctx, step, demoHost)
	if err != nil {
		return demoInterrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, h.close()) }()
	told, err := h.tell(ctx, step)
	done()
	if err != nil {
		return demoInterrupted(ctx, err)
	}
	if keep && told.failed() == nil {
		told.Try = h.tryCommands()
	}
	if asJSON {
		err = printJSON(a.out, told)
	} else {
		err = printDemo(a.out, told)
	}
	if err = errors.Join(err, told.failed()); err != nil || !keep {
		return err
	}
	<-ctx.Done()
	return nil
}

// demoInterrupted: who pressed Ctrl-C knows why it ended.
func demoInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return exitStatus(128 + int(syscall.SIGINT))
	}
	return fmt.Errorf("the demo broke off: %w", err)
}

// demoFacts is what happened, ready to be shown: no token is in it.
type demoFacts struct {
	Folder   string             `json:"folder"`
	Upstream string             `json:"upstream"`
	Proxy    string             `json:"proxy"`
	Secret   string             `json:"secret"`
	Without  demoExchange       `json:"without_latchgate"`
	Agent    demoExchange       `json:"agent"`
	Provider demoExchange       `json:"provider"`
	Denied   demoExchange       `json:"denied"`
	Metrics  []demoMetric       `json:"metrics"`
	Series   map[string]float64 `json:"series_moved"`
	Audit    []audit.Entry      `json:"audit"`
	Checks   []demoCheck        `json:"checks"`
	Seconds  float64            `json:"seconds"`
	Own      []string           `json:"with_your_own_key"`
	Try      []demoTry          `json:"try,omitempty"` // with --keep
}

// demoExchange is a request and its answer, on the client's side of latchgate
// and on the upstream's.
type demoExchange struct {
	Command     string   `json:"command"`
	Environment []string `json:"environment,omitempty"` // what of it matters
	Sent        []string `json:"sent"`
	Received    []string `json:"received"` // by the upstream
	Answered    []string `json:"answered"` // by the upstream
	Back        []string `json:"came_back"`
}

// demoEvidence is what the checks look at: the same facts, unmasked.
type demoEvidence struct {
	token                   string
	without, agent, denied  clientRun
	agentEnv                []string
	provider                []byte // its result
	atWithout, atAgent      []received
	atProvider, atElsewhere []received
	before, after           scrape
	metricsPage             []byte
	auditErr                error
	leakedTo                string // a file in the folder that holds the token
}

// tell lets everything happen, and checks it.
func (h *demoHouse) tell(ctx context.Context, step func(string)) (*demoFacts, error) {
	started := time.Now()
	told := &demoFacts{Folder: h.dir, Upstream: "https://" + h.upstream.api, Proxy: "http://" + h.daemon.proxyLn.Addr().String(), Secret: demoSecret}
	e := &demoEvidence{token: h.token}
	client, err := findDemoClient(h.upstream.api, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	metrics := h.daemon.metricsLn.Addr().String()
	if e.before, _, err = scrapeMetrics(ctx, metrics); err != nil {
		return nil, err
	}
	step("asking the upstream without latchgate")
	e.without = client.run(ctx, told.Upstream+"/v1/account", h.plainEnviron())
	e.atWithout = h.upstream.take()
	told.Without = h.exchange(e.without, e.atWithout)

	step("asking through HTTP_PROXY")
	if err := h.throughProxy(ctx, client, told, e); err != nil {
		return nil, err
	}
	step("compiling and running the WASM provider")
	done, err := h.client.Execute(ctx, gate.ExecuteRequest{Action: demoCall, Args: map[string]any{"name": "world"}})
	if err != nil {
		return nil, fmt.Errorf("run the provider: %w", err)
	}
	e.provider, e.atProvider = done.Result, h.upstream.take()
	told.Provider = h.exchange(providerRun(done, h.upstream.api), e.atProvider)

	step("reading the metrics and the audit record")
	// The record first: what is in it is in the metrics already.
	if told.Audit, e.auditErr = h.auditRecord(ctx); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if e.after, e.metricsPage, err = scrapeMetrics(ctx, metrics); err != nil {
		return nil, err
	}
	told.Metrics, told.Series = movedCounters(e.before, e.after)
	if e.leakedTo, err = h.fileWithToken(); err != nil {
		return nil, err
	}
	told.Checks = e.checks()
	told.Own = ownCommands()
	told.Seconds = time.Since(started).Seconds()
	return told, nil
}

// throughProxy does what `latchgate exec --action demo -- CLIENT URL` does,
// but for NO_PROXY: the upstream is on this machine.
func (h *demoHouse) throughProxy(ctx context.Context, client demoClient, told *demoFacts, e *demoEvidence) error {
	run, release, err := h.client.OpenAttached(ctx, gate.OpenRequest{Door: gate.DoorExec, Actions: []string{demoAction}})
	if err != nil {
		return fmt.Errorf("open a run: %w", err)
	}
	defer release()
	e.agentEnv = slices.DeleteFunc(childEnviron(os.Environ(), run, hostOf(run.Proxy)), func(v string) bool {
		return strings.HasPrefix(strings.ToUpper(v), "NO_PROXY=")
	})
	e.agent = client.run(ctx, told.Upstream+"/v1/account", e.agentEnv)
	e.atAgent = h.upstream.take()
	told.Agent = h.exchange(e.agent, e.atAgent)
	told.Agent.Environment = []string{
		fmt.Sprintf("HTTPS_PROXY=http://%s:...@%s", run.ID, h.daemon.proxyLn.Addr()),
		demoSecret + "=(a placeholder, worth nothing)",
	}
	e.denied = client.run(ctx, "http://"+h.upstream.elsewhere+"/collect", e.agentEnv)
	e.atElsewhere = h.upstream.take()
	told.Denied = h.exchange(e.denied, e.atElsewhere)
	return ctx.Err()
}

// plainEnviron is the environment of a client that does not know latchgate:
// it trusts the upstream's own authority and uses no proxy.
func (h *demoHouse) plainEnviron() []string {
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasSuffix(strings.ToUpper(name), "_PROXY")
	})
	root := h.upstream.ca.RootFile()
	return append(environ, "CURL_CA_BUNDLE="+root, "SSL_CERT_FILE="+root)
}

func (h *demoHouse) exchange(c clientRun, seen []received) demoExchange {
	x := demoExchange{Command: c.Command, Sent: h.mask(c.Sent), Received: []string{}, Answered: []string{}, Back: h.mask(c.Back)}
	if c.Err != nil {
		x.Back = append(x.Back, h.mask([]string{c.Err.Error()})...)
	}
	for i, line := range x.Sent {
		if name, _, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Proxy-Authorization") {
			x.Sent[i] = name + ": (this run's)" // it is worth nothing once the run is closed
		}
	}
	for _, r := range seen {
		x.Received = append(x.Received, h.mask(r.Request)...)
		x.Answered = append(x.Answered, h.mask(r.Answer)...)
	}
	return x
}

// providerRun puts an execution into the words of a client: the module's
// request is what the manifest's template says, its result is the answer.
func providerRun(done *gate.Executed, api string) clientRun {
	c := clientRun{Command: "latchgate run " + demoCall + " name=world", Raw: done.Result}
	c.Sent = []string{http.MethodGet + " /v1/hello/world", "Host: " + api, "Accept: application/json"}
	var result struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
	if err := json.Unmarshal(done.Result, &result); err != nil {
		c.Err = fmt.Errorf("read the provider's result: %w", err)
		return c
	}
	c.Back = []string{fmt.Sprintf("%d %s", result.Status, http.StatusText(result.Status))}
	for _, name := range slices.Sorted(maps.Keys(result.Headers)) {
		c.Back = append(c.Back, name+": "+result.Headers[name])
	}
	c.Back = append(append(c.Back, ""), indentJSON(result.Body)...)
	return c
}
