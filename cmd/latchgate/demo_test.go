package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/latchgate/latchgate/internal/testenv"
	"github.com/latchgate/latchgate/secrets"
)

// tokenLike finds the demo's token and its placeholder; neither is ever shown.
var tokenLike = regexp.MustCompile(`demo_[0-9A-Za-z]{9,}`)

// demoTemp gives the demo a folder for its own, with a path short enough for a
// unix socket, and checks that nothing is left in it.
func demoTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "lg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	t.Setenv("COLUMNS", "")
	return dir
}

func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// runDemo runs the command in this process.
func runDemo(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append([]string{"demo"}, args...), strings.NewReader(""), &stdout, &stderr)
	for _, text := range []string{stdout.String(), stderr.String()} {
		if found := tokenLike.FindString(text); found != "" {
			t.Errorf("the output holds %s", found)
		}
	}
	return code, stdout.String(), stderr.String()
}

func TestDemoShowsBothDoorsAndChecksItself(t *testing.T) {
	testenv.Program(t, "curl")
	dir := demoTemp(t)
	// Settings of the person who runs it are not the demo's.
	t.Setenv("LATCHGATE_CONFIG", "/nonexistent")
	t.Setenv("LATCHGATE_PROXY__LISTEN", "192.0.2.1:1")
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1")
	t.Setenv("no_proxy", "*")
	code, out, errOut := runDemo(t)
	if code != 0 {
		t.Fatalf("exit status %d: %s\n%s", code, errOut, out)
	}
	for _, part := range []string{
		"Without latchgate", " 401", "a bearer token is required",
		"HTTPS_PROXY=http://run-", "$ curl https://api.localhost:", "the agent sent →", "→ the upstream received",
		"(no Authorization)", "│ Authorization: Bearer demo_••••••••\n", "x-echo: Bearer ***REDACTED***", `"echo": "Bearer ***REDACTED***"`,
		"$ latchgate run demo_call name=world", "the provider got ←", "← the upstream answered",
		"403 Forbidden", `"code": "egress_denied"`, `"hint": "allowed: api.localhost:`,
		"latchgate_secrets_decrypt_cache_hits_total ", "latchgate_secrets_injections_total               0 → 2   +2", "latchgate_proxy_scrubbed_total                   0 → 4   +4",
		"latchgate_proxy_denied_total                     0 → 1   +1", "egress_denied  -", "✓ the client sent no credential",
		"latchgate secrets init", "latchgate secrets set GITHUB_TOKEN", "latchgate exec --action github -- git clone https://github.com/you/private",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("not shown: %s", part)
		}
	}
	// On a busy machine the demo says what it waits for.
	unexpected := slices.DeleteFunc(strings.Split(errOut, "\n"), func(l string) bool { return l == "" || strings.HasSuffix(l, " ...") })
	if strings.Contains(out, "✗") || strings.Contains(out, "\x1b") || len(unexpected) > 0 {
		t.Errorf("a check failed, colours in a file, or something on standard error: %s", errOut)
	}
	if t.Failed() {
		t.Log(out)
	}
	checkEmpty(t, dir)
}

func TestDemoFitsEveryTerminalAndSaysTheSame(t *testing.T) {
	testenv.Program(t, "curl")
	dir := demoTemp(t)
	code, out, errOut := runDemo(t, "--json")
	var facts demoFacts
	if err := json.Unmarshal([]byte(out), &facts); code != 0 || err != nil {
		t.Fatalf("exit status %d, %v: %s", code, err, errOut)
	}
	checkEmpty(t, dir)
	if len(facts.Checks) < 10 || facts.failed() != nil || len(facts.Audit) < 6 || len(facts.Series) < 10 || len(facts.Denied.Received) != 0 {
		t.Errorf("facts are missing: %+v", facts)
	}
	for _, width := range []string{"79", "80", "100", "124", "300"} {
		t.Setenv("COLUMNS", width)
		var shown bytes.Buffer
		if err := printDemo(&shown, &facts); err != nil {
			t.Fatal(err)
		}
		limit := newPage(&shown).width
		if columns := strings.Contains(shown.String(), "│"); columns != (limit >= narrowest) {
			t.Errorf("width %s: columns %t", width, columns)
		}
		for line := range strings.Lines(shown.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > limit {
				t.Errorf("width %s: %d columns: %s", width, n, line)
			}
		}
	}
}

func TestDemoWorksWithoutCurl(t *testing.T) {
	program, empty := builtProgram(t), t.TempDir()
	dir := demoTemp(t)
	cmd := exec.Command(program, "demo", "--json")
	cmd.Env = append(os.Environ(), "PATH="+empty, "HOME="+empty, "HTTP_PROXY=http://192.0.2.1:1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var facts demoFacts
	if err := json.Unmarshal(out, &facts); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(facts.Agent.Command, "latchgate demo client https://") || facts.failed() != nil {
		t.Errorf("%q: %v", facts.Agent.Command, facts.failed())
	}
	if found := tokenLike.Find(out); found != nil {
		t.Errorf("the output holds %s", found)
	}
	checkEmpty(t, dir)
}

// A client that does send a credential still gets its answer: the demo must
// notice it.
func TestDemoFailsWhenTheClientSendsACredential(t *testing.T) {
	curl, bin := testenv.Program(t, "curl"), t.TempDir()
	dir := demoTemp(t)
	script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\" -H 'Authorization: Bearer mine'\n", shellQuote(curl))
	if err := os.WriteFile(filepath.Join(bin, "curl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	code, out, errOut := runDemo(t)
	if code != exitError || !strings.Contains(errOut, `"the client sent no credential" does not hold`) || !strings.Contains(out, "✗ the client sent no credential") {
		t.Errorf("exit status %d: %s\n%s", code, errOut, out)
	}
	if !strings.Contains(out, "✓ exactly one Authorization arrived, the right one") {
		t.Errorf("the client's own credential went through:\n%s", out)
	}
	checkEmpty(t, dir)
}

func TestDemoFailsWhenTheClientGetsNoAnswer(t *testing.T) {
	bin := t.TempDir()
	dir := demoTemp(t)
	if err := os.WriteFile(filepath.Join(bin, "curl"), []byte("#!/bin/sh\necho 'curl: no luck' >&2\nexit 7\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	code, _, errOut := runDemo(t)
	if code != exitError || !strings.Contains(errOut, "curl: no luck") || !strings.Contains(errOut, "nothing arrived") {
		t.Errorf("exit status %d: %s", code, errOut)
	}
	checkEmpty(t, dir)
}

func TestDemoEndsCleanlyWhenInterrupted(t *testing.T) {
	dir := demoTemp(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	if code := run(ctx, []string{"demo"}, strings.NewReader(""), &out, &errOut); code != 130 {
		t.Errorf("exit status %d: %s%s", code, out.String(), errOut.String())
	}
	checkEmpty(t, dir)
}

func TestKeptDemoCanBePlayedWithUntilItIsInterrupted(t *testing.T) {
	program, dir := builtProgram(t), demoTemp(t)
	demo := exec.Command(program, "demo", "--keep", "--json")
	var errOut bytes.Buffer
	demo.Stderr = &errOut
	stdout, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = demo.Process.Kill() })
	var facts demoFacts
	var raw bytes.Buffer
	if err := json.NewDecoder(io.TeeReader(stdout, &raw)).Decode(&facts); err != nil {
		t.Fatalf("%v: %s", err, errOut.String())
	}
	token := demoToken(t, facts.Folder)
	play := playCommands(t, program, &facts)
	if n := strings.Count(play, secrets.Redacted); n < 3 {
		t.Errorf("%d answers are scrubbed:\n%s", n, play)
	}
	for _, part := range []string{`"hello": "you"`, "egress_denied", "ENC[AES256_GCM,", `latchgate_secrets_injections_total{action="demo",`, "run_opened", "EXPIRES IN"} {
		if !strings.Contains(play, part) {
			t.Errorf("the commands do not show %s:\n%s", part, play)
		}
	}
	if strings.Contains(raw.String()+play, token) {
		t.Error("the token was shown")
	}
	if err := demo.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(&raw, stdout)
	if err := demo.Wait(); err != nil {
		t.Errorf("%v: %s", err, errOut.String())
	}
	checkEmpty(t, dir)
}

// demoToken reads the token as its owner would.
func demoToken(t *testing.T, dir string) (token string) {
	t.Helper()
	store, err := secrets.Open(secrets.Options{File: filepath.Join(dir, "secrets.enc.yaml"), KeyFile: filepath.Join(dir, ".latchgate/sops-age.key")})
	if err != nil {
		t.Fatal(err)
	}
	err = store.Edit(t.Context(), func(d *secrets.Document) error {
		v, _ := d.Get(demoSecret)
		token = string(v.Reveal())
		return nil
	})
	if err != nil || !tokenLike.MatchString(token) {
		t.Fatalf("no token: %v", err)
	}
	return token
}

// playCommands runs the commands that the demo offers, as a person would paste
// them into a shell.
func playCommands(t *testing.T, program string, facts *demoFacts) string {
	t.Helper()
	testenv.Program(t, "curl")
	var script strings.Builder
	for _, c := range facts.Try {
		fmt.Fprintln(&script, strings.ReplaceAll(c.Command, "audit tail", "audit tail --follow=false"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-e")
	sh.Stdin = strings.NewReader(script.String())
	sh.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s\n%s", err, script.String(), out)
	}
	return string(out)
}

// soundEvidence is what a demo finds when all is well.
func soundEvidence() *demoEvidence {
	const token = "demo_0123456789abcdef0123456789abcdef"
	arrived := []received{{Status: 200, Authorizations: 1, Authorized: true}}
	echo := "HTTP/1.1 200 OK\nX-Echo: Bearer ***REDACTED***\n\n***REDACTED***"
	e := &demoEvidence{token: token,
		without:   clientRun{Sent: []string{"GET / HTTP/1.1"}, Back: []string{"HTTP/1.1 401 Unauthorized"}},
		agent:     clientRun{Sent: []string{"GET / HTTP/1.1", "Accept: */*"}, Raw: []byte(echo)},
		denied:    clientRun{Back: []string{"HTTP/1.1 403 Forbidden", "", `{"error":{"code":"egress_denied","hint":"allowed: x"}}`}},
		agentEnv:  []string{"HTTPS_PROXY=http://x"},
		provider:  []byte(`{"ok":true,"headers":{"x-echo":"***REDACTED***"},"body":"***REDACTED***"}`),
		atWithout: []received{{Status: 401}}, atAgent: arrived, atProvider: arrived,
		before: scrape{}, after: scrape{
			`latchgate_secrets_decrypt_cache_misses_total{reason="cold"}`:                1,
			`latchgate_secrets_decrypt_cache_hits_total`:                                 2,
			`latchgate_secrets_injections_total{action="demo",host="x",secret="S"}`:      1,
			`latchgate_secrets_injections_total{action="demo_call",host="x",secret="S"}`: 1,
			`latchgate_proxy_scrubbed_total{action="demo",secret="S"}`:                   2,
			`latchgate_proxy_scrubbed_total{action="demo_call",secret="S"}`:              2,
			`latchgate_proxy_requests_total{action="demo",code="200",host="x"}`:          1,
			`latchgate_proxy_requests_total{action="demo_call",code="200",host="x"}`:     1,
			`latchgate_proxy_denied_total{code="egress_denied"}`:                         1,
			`latchgate_runs_total{action="demo",outcome="closed"}`:                       1,
			`latchgate_runs_total{action="demo_call",outcome="closed"}`:                  1,
		},
	}
	return e
}

func TestDemoFailsOnEveryExpectationThatDoesNotHold(t *testing.T) {
	if f := (&demoFacts{Checks: soundEvidence().checks()}); f.failed() != nil {
		t.Fatal(f.failed())
	}
	for what, spoil := range map[string]func(*demoEvidence){
		"the client got an answer":                                         func(e *demoEvidence) { e.agent.Err = fmt.Errorf("no: %s", e.token) },
		"without latchgate the upstream answers 401":                       func(e *demoEvidence) { e.atWithout[0].Status = 200 },
		"the client sent no credential":                                    func(e *demoEvidence) { e.agent.Sent = append(e.agent.Sent, "authorization: Bearer "+e.token) },
		"the client sent no credential, nor was given one":                 func(e *demoEvidence) { e.agentEnv = append(e.agentEnv, "X="+e.token) },
		"the client sent no credential, if it sent anything":               func(e *demoEvidence) { e.agent.Sent = nil },
		"exactly one Authorization arrived, not two":                       func(e *demoEvidence) { e.atAgent[0].Authorizations = 2 },
		"exactly one Authorization arrived, the right one":                 func(e *demoEvidence) { e.atAgent[0].Authorized = false },
		"exactly one Authorization arrived, at all":                        func(e *demoEvidence) { e.atAgent = nil },
		"the token came back to the client as ***REDACTED***":              func(e *demoEvidence) { e.agent.Raw = append(e.agent.Raw, e.token...) },
		"the token came back to the client as ***REDACTED***, everywhere":  func(e *demoEvidence) { e.agent.Raw = []byte("X-Echo: ***REDACTED***") },
		"the provider's request arrived with exactly one, too":             func(e *demoEvidence) { e.atProvider = append(e.atProvider, e.atProvider[0]) },
		"the token came back to the provider as ***REDACTED***":            func(e *demoEvidence) { e.provider = append(e.provider, e.token...) },
		"a host that is not allowed is refused, and nothing arrives there": func(e *demoEvidence) { e.atElsewhere = []received{{}} },
		"a host that is not allowed is refused, with a hint":               func(e *demoEvidence) { e.denied.Back[2] = `{"error":{"code":"egress_denied"}}` },
		"the metrics moved as they should":                                 func(e *demoEvidence) { delete(e.after, "latchgate_secrets_decrypt_cache_hits_total") },
		"the metrics moved as they should, and not before":                 func(e *demoEvidence) { e.before = e.after },
		"the audit record is unbroken":                                     func(e *demoEvidence) { e.auditErr = io.ErrUnexpectedEOF },
		"the token is in no file and no metric":                            func(e *demoEvidence) { e.leakedTo = "a file" },
		"the token is in no file and no metric, none":                      func(e *demoEvidence) { e.metricsPage = []byte(e.token) },
	} {
		t.Run(what, func(t *testing.T) {
			e := soundEvidence()
			// The slices of what arrived are shared.
			e.atAgent, e.atProvider = slices.Clone(e.atAgent), slices.Clone(e.atProvider)
			spoil(e)
			err := (&demoFacts{Checks: e.checks()}).failed()
			name, _, _ := strings.Cut(what, ",")
			if err == nil || !strings.Contains(err.Error(), name) || strings.Count(err.Error(), "does not hold") != 1 {
				t.Errorf("error: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), e.token) {
				t.Error("the error holds the token")
			}
		})
	}
}

func TestTraceOfTheTunnelIsNotTheRequest(t *testing.T) {
	trace := "* Trying\r\n> CONNECT x:1 HTTP/1.1\r\n> Host: x:1\r\n>\r\n< HTTP/1.1 200 OK\r\n<\r\n> GET / HTTP/2\r\n> accept: */*\r\n> \r\n{ [5 bytes data]\n< HTTP/2 200 \r\n< a: b\r\n< \r\n"
	for mark, want := range map[string][]string{">": {"GET / HTTP/2", "accept: */*"}, "<": {"HTTP/2 200", "a: b"}, "+": nil} {
		if got := lastHead(trace, mark); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", mark, got, want)
		}
	}
}

func TestWrappedLinesLoseNothing(t *testing.T) {
	text := strings.Repeat("  some words of a line that is longer than it should be; ", 5) + strings.Repeat("x", 200)
	for width := 10; width < 130; width++ {
		lines := wrap(text, width)
		for i, l := range lines {
			if utf8.RuneCountInString(l) > width {
				t.Errorf("width %d: %q", width, l)
			}
			lines[i] = strings.ReplaceAll(l, " ", "")
		}
		if strings.Join(lines, "") != strings.ReplaceAll(text, " ", "") {
			t.Errorf("width %d: %q", width, lines)
		}
	}
}
