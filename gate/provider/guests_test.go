package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
)

// example is the example of a language.
func example(language string) Example {
	i := slices.IndexFunc(Examples(), func(e Example) bool { return e.Language == language })
	return Examples()[i]
}

// build builds a provider in a folder of its own, as an author would.
func build(t *testing.T, e Example) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range e.Project("project") {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	switch e.Language {
	case "go":
		testenv.Program(t, "go")
	case "rust":
		if os.Getenv("RUSTC") == "" {
			t.Setenv("RUSTC", rustc(t))
		}
	case "c":
		testenv.Program(t, "clang")
		if _, err := os.Stat("/usr/include/wasm32-wasi"); err != nil {
			testenv.Program(t, "wasi-libc") // says so
		}
	case "assemblyscript":
		testenv.Program(t, "node")
		if err := os.Symlink(testenv.NodeModule(t, "assemblyscript"), filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
	}
	run(t, e.Command(t.Context(), dir))
	return read(t, filepath.Join(dir, "provider.wasm"))
}

// rustc is the compiler that the committed guests come from: Debian's, or what
// RUSTC names.
func rustc(t *testing.T) string {
	t.Helper()
	path := os.Getenv("RUSTC")
	if path == "" {
		path = testenv.Program(t, "/usr/bin/rustc")
	}
	version, _ := exec.Command(path, "--version").Output()
	libs, _ := exec.Command(path, "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
	_, err := os.Stat(strings.TrimSpace(string(libs)))
	if !strings.HasPrefix(string(version), "rustc 1.63.0") || err != nil {
		testenv.Program(t, "rustc 1.63.0 with target wasm32-unknown-unknown") // says so
	}
	return path
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBundledGuestIsBuiltFromItsSource(t *testing.T) {
	out := t.TempDir()
	cmd := exec.Command("guests/build.sh", out)
	cmd.Env = append(os.Environ(), "RUSTC="+rustc(t))
	run(t, cmd)
	if committed, _ := Builtin("http_api"); !bytes.Equal(committed, read(t, filepath.Join(out, "http_api.wasm"))) {
		t.Error("guests/http_api.wasm is not what guests/build.sh makes of guests/http_api; run it and commit the result")
	}
}

func TestGuestInGoMakesSeveralRequests(t *testing.T) {
	pages := example("go")
	pages.Source = read(t, "testdata/pages/main.go")
	m := load(t, newRuntime(t), build(t, pages))
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page := r.URL.Query().Get("page"); page < "3" {
			fmt.Fprintf(w, `[{"page":%s},{"page":%s}]`, page, page)
		} else {
			fmt.Fprint(w, `[]`)
		}
	}))
	defer origin.Close()
	call := Call{Limits: Limits{MaxIOCalls: 10}, HTTP: door(origin.Client())}
	call.Input = buildInput(t, map[string]any{"url": origin.URL, "pages": 9})
	result, err := m.Execute(context.Background(), call)
	if err != nil || string(result.Output) != `{"items":[{"page":1},{"page":1},{"page":2},{"page":2}],"ok":true}` || result.IOCalls != 3 {
		t.Errorf("got %+v, %v", result, err)
	}
	call.HTTP = answer(404, "text/plain", "no")
	_, err = m.Execute(context.Background(), call)
	if e := wantCode(t, err, CodeFailed); e.Message != "page 1: status 404" {
		t.Errorf("got %v", e)
	}
	call.Input = []byte(`{"args":{"pages":"x"}}`)
	_, err = m.Execute(context.Background(), call)
	wantCode(t, err, CodeFailed)
}

func TestExampleInEachLanguageWorks(t *testing.T) {
	for _, e := range Examples() {
		t.Run(e.Language, func(t *testing.T) {
			m := load(t, newRuntime(t), build(t, e))
			if err := m.CheckDeclared([]string{capabilityHTTP, capabilityLog}); err != nil {
				t.Error(err)
			}
			var logged strings.Builder
			call := Call{Limits: Limits{MaxIOCalls: 1}, HTTP: answer(200, "text/plain", "one two\nthree\n"), Log: func(_ slog.Level, msg string) { logged.WriteString(msg) }}
			call.Input = buildInput(t, map[string]any{"url": "https://example.com/text?a=1&b=2"})
			result, err := m.Execute(context.Background(), call)
			if err != nil || string(result.Output) != `{"ok":true,"lines":2,"words":3,"bytes":14}` || logged.String() != "the text is there" {
				t.Errorf("got %+v, %v, logged %q", result, err, logged.String())
			}
			call.HTTP = answer(500, "text/plain", "")
			_, err = m.Execute(context.Background(), call)
			if failure := wantCode(t, err, CodeFailed); !strings.Contains(string(failure.Detail), `"count_failed"`) {
				t.Errorf("%s", failure.Detail)
			}
			call.HTTP = nil
			_, err = m.Execute(context.Background(), call)
			wantCode(t, err, CodeFailed)
		})
	}
}

func buildInput(t *testing.T, args any) []byte {
	t.Helper()
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	e.SetEscapeHTML(false)
	if err := e.Encode(args); err != nil {
		t.Fatal(err)
	}
	input, err := BuildInput("example", raw.Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return input
}

// door sends a guest's requests as they are.
func door(c *http.Client) func(context.Context, *http.Request) (*http.Response, error) {
	return func(_ context.Context, r *http.Request) (*http.Response, error) { return c.Transport.RoundTrip(r) }
}

func TestGuestThatLooksEverywhereFindsNoSecret(t *testing.T) {
	const sentinel = "sentinel-7f3a9c51e2d84b60"
	t.Setenv("SENTINEL", sentinel)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(sentinel), 0o600); err != nil {
		t.Fatal(err)
	}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		fmt.Fprintf(w, "you sent %s", r.Header)
	}))
	defer origin.Close()
	// What the wire does: it stamps a request of its own and scrubs the answer.
	stamped := 0
	wire := func(_ context.Context, guests *http.Request) (*http.Response, error) {
		req := guests.Clone(guests.Context())
		req.Header.Set("Authorization", "Bearer "+sentinel)
		resp, err := origin.Client().Transport.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Contains(body, []byte(sentinel)) {
			t.Errorf("the origin saw no secret: %q, %v", body, err)
		}
		stamped++
		resp.Header.Set("X-Echo", "***REDACTED***")
		resp.Body = io.NopCloser(bytes.NewReader(bytes.ReplaceAll(body, []byte(sentinel), []byte("***REDACTED***"))))
		return resp, nil
	}

	snoop := example("go")
	snoop.Source = read(t, "testdata/snoop/main.go")
	m := load(t, newRuntime(t), build(t, snoop))
	mask := []byte(sentinel)
	for i := range mask {
		mask[i] ^= 0x5a
	}
	wd, _ := os.Getwd()
	paths := []string{secret, "/proc/self/environ", "/proc/self/mem", "/etc/passwd", "/", ".", "..", wd, "/dev/fd/0", ""}
	var logs strings.Builder
	call := Call{
		Input:  buildInput(t, map[string]any{"mask": mask, "paths": paths, "request": fmt.Sprintf(`{"method":"GET","url":%q}`, origin.URL)}),
		Limits: Limits{MaxIOCalls: 1},
		HTTP:   wire,
		Log:    func(_ slog.Level, msg string) { logs.WriteString(msg + "\n") },
	}
	before := time.Now()
	random := map[string]bool{}
	for range 2 { // the second finds nothing that the first left either
		result, err := m.Execute(context.Background(), call)
		if err != nil {
			t.Fatalf("%v\n%s", err, logs.String())
		}
		var saw struct {
			Found, Env, Args, Opened []string
			Stdin, Memory            int
			Dialled                  bool
			Random                   string
			Now                      int64
			Slept                    int64 `json:"slept_ms"`
			Reply                    string
		}
		if err := json.Unmarshal(result.Output, &saw); err != nil {
			t.Fatal(err)
		}
		if len(saw.Found)+len(saw.Env)+len(saw.Args)+len(saw.Opened)+saw.Stdin > 0 || saw.Dialled {
			t.Errorf("the guest saw %+v", saw)
		}
		if strings.Contains(string(result.Output)+logs.String(), sentinel) {
			t.Errorf("the secret came out: %s\n%s", result.Output, logs.String())
		}
		if uint64(saw.Memory) != result.MemoryBytes || saw.Memory < 1<<20 {
			t.Errorf("the guest searched %d bytes of %d", saw.Memory, result.MemoryBytes)
		}
		if !strings.Contains(saw.Reply, "***REDACTED***") || !strings.Contains(logs.String(), "snoop prints") || !strings.Contains(logs.String(), "snoop complains") {
			t.Errorf("the guest did not look: %+v\n%s", saw, logs.String())
		}
		if now := time.UnixMilli(saw.Now); now.Before(before.Add(-time.Second)) || now.After(time.Now()) || saw.Slept < 5 || saw.Random == "" || random[saw.Random] {
			t.Errorf("the clock, sleep or randomness of the guest is wrong: %+v", saw)
		}
		random[saw.Random] = true
	}
	if stamped != 2 {
		t.Errorf("%d requests were stamped", stamped)
	}

	// The same guest does find a secret that is handed to it: the test can fail.
	call.HTTP = answer(200, "text/plain", "your key is "+sentinel)
	result, err := m.Execute(context.Background(), call)
	if err != nil {
		t.Fatal(err)
	}
	var saw struct{ Found []string }
	if err := json.Unmarshal(result.Output, &saw); err != nil || !slices.Contains(saw.Found, "body") || !slices.Contains(saw.Found, "memory") {
		t.Errorf("the guest overlooks secrets: %+v, %v", saw, err)
	}
}

func TestDocumentNamesEverythingThatAuthorsMeet(t *testing.T) {
	doc := string(read(t, "../../docs/provider-abi.md"))
	var words []string
	for _, f := range hostFunctions {
		words = append(words, "`"+f.name+"`", f.capability)
	}
	for s := statusInvalidPointer; s >= statusDenied; s-- {
		words = append(words, fmt.Sprintf("| %d |", s))
	}
	for _, c := range []Code{CodeDigestMismatch, CodeImportDenied, CodeInvalid, CodeTrap, CodeTimeout, CodeMemory, CodeTooManyCalls, CodeOutputInvalid, CodeOutputTooLarge, CodeCancelled, CodeFailed} {
		words = append(words, "`"+string(c)+"`")
	}
	for _, e := range Examples() {
		words = append(words, strings.Join(e.Env, " "), e.Build[0]+" "+e.Build[1])
	}
	for _, w := range words {
		if !strings.Contains(doc, w) {
			t.Errorf("docs/provider-abi.md does not mention %s", w)
		}
	}
}

func TestGuideNamesEveryLanguageAndFile(t *testing.T) {
	guide := string(read(t, "../../docs/provider-guide.md"))
	words := []string{CasesFile, "`args`", "`responses`", "`requests`", "`result`", "`error`"}
	for _, e := range Examples() {
		words = append(words, e.Language, e.File)
		if !strings.Contains(string(e.Project("x")["x.yaml"]), NoDigest) {
			t.Errorf("%s: the manifest has a digest before there is a module", e.Language)
		}
	}
	for _, w := range words {
		if !strings.Contains(guide, w) {
			t.Errorf("docs/provider-guide.md does not mention %s", w)
		}
	}
}

// The table of hostile guests in the document is that of the tests, which run
// each of them.
func TestDocumentHasTheHostileGuests(t *testing.T) {
	guests := hostileGuests()
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(guests)) {
		outcome := "nothing: the host says -1 each time"
		if code := guests[name].code; code != "" {
			outcome = "`" + string(code) + "`"
		}
		fmt.Fprintf(&table, "| %s | %s |\n", name, outcome)
	}
	if doc := string(read(t, "../../docs/provider-abi.md")); !strings.Contains(doc, table.String()) {
		t.Errorf("docs/provider-abi.md has another table of hostile guests; put this there:\n%s", table.String())
	}
}
