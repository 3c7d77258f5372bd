package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// write writes a file and the folders that it needs.
func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadText loads text as the file of a folder of its own.
func loadText(t testing.TB, text string, environ ...string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	return Load(Options{File: write(t, filepath.Join(dir, fileName), text), Environ: append(environ, "X=y"), WorkDir: dir})
}

// mustLoad is loadText for a configuration that is right.
func mustLoad(t testing.TB, text string, environ ...string) *Config {
	t.Helper()
	c, err := loadText(t, text, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEverythingHasADefault(t *testing.T) {
	dir := t.TempDir()
	got, err := Load(Options{Environ: []string{}, WorkDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Gate.Socket = filepath.Join(dir, ".latchgate/gate.sock")
	want.Secrets.SopsSecretsFile = filepath.Join(dir, "secrets.enc.yaml")
	want.Secrets.SopsKeyFile = filepath.Join(dir, ".latchgate/sops-age.key")
	want.CA.Dir = filepath.Join(dir, ".latchgate/ca")
	want.Audit.File = filepath.Join(dir, ".latchgate/audit.jsonl")
	want.origins = map[string]origin{}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v, want\n%+v", *got, want)
	}
	if got.File() != "" {
		t.Errorf("File is %q without a file", got.File())
	}
}

func TestExampleIsTheDefaults(t *testing.T) {
	dir := t.TempDir()
	load := func(text string) *Config {
		c, err := Load(Options{File: write(t, filepath.Join(dir, fileName), text), Environ: []string{}, WorkDir: "/"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	example, empty := load(Example()), load("")
	for _, key := range Keys() {
		if !example.Explicit(key) {
			t.Errorf("the example does not have %s", key)
		}
		if empty.Explicit(key) {
			t.Errorf("%s is explicit in an empty file", key)
		}
	}
	empty.origins = example.origins
	// An empty list and none are the same; a written one is the empty one.
	if got, want := fmt.Sprintf("%+v", *example), fmt.Sprintf("%+v", *empty); got != want {
		t.Errorf("the example gives\n%s, the defaults are\n%s", got, want)
	}
	for line := range strings.Lines(Example()) {
		if strings.Contains(line, "=") && !strings.HasPrefix(line, "#") && !strings.Contains(line, " # ") {
			t.Errorf("no comment on %q", line)
		}
	}
}

func TestKeysAreThoseOfTheContract(t *testing.T) {
	want := strings.Fields(`proxy.listen proxy.default_actions proxy.upstream_ca_file proxy.upstream_proxy proxy.allow_private
		proxy.max_request_bytes proxy.header_timeout proxy.idle_timeout proxy.drain_timeout gate.socket gate.max_runs
		metrics.listen tracing.endpoint manifests.dirs manifests.bundled policy.dirs policy.data secrets.sops_secrets_file
		secrets.sops_key_file secrets.backend secrets.decrypt_timeout ca.dir audit.file audit.on_failure log.level log.format`)
	if got := Keys(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEveryKeyIsReadFromTheFile(t *testing.T) {
	c := mustLoad(t, `
[proxy]
listen = "127.0.0.1:1"
default_actions = ["a", "b"]
upstream_ca_file = "/ca.pem"
upstream_proxy = "socks5://u:p@proxy.example:1080"
allow_private = ["10.0.0.0/8", "192.168.1.10", "fd00::1", "::ffff:192.0.2.1"]
max_request_bytes = 1_000
header_timeout = "1s"
idle_timeout = "2m"
drain_timeout = "1500ms"
[gate]
socket = "/run/g.sock"
max_runs = 7
[metrics]
listen = ""
[tracing]
endpoint = "https://collector.example:4318/otlp"
[manifests]
dirs = ["/m"]
bundled = false
[policy]
dirs = ["/p"]
[policy.data]
allow = ["x"]
"api.github.com" = {limit = 5}
[secrets]
sops_secrets_file = ""
sops_key_file = "/k"
backend = "sops"
decrypt_timeout = "3s"
[ca]
dir = "/ca"
[audit]
file = ""
on_failure = "warn"
[log]
level = "debug"
format = "json"
`)
	want := Config{
		Proxy: Proxy{
			Listen: "127.0.0.1:1", DefaultActions: []string{"a", "b"}, UpstreamCAFile: "/ca.pem", UpstreamProxy: c.Proxy.UpstreamProxy,
			AllowPrivate: []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.10/32"),
				netip.MustParsePrefix("fd00::1/128"), netip.MustParsePrefix("192.0.2.1/32"),
			},
			MaxRequestBytes: 1000, HeaderTimeout: time.Second, IdleTimeout: 2 * time.Minute, DrainTimeout: 1500 * time.Millisecond,
		},
		Gate:      Gate{Socket: "/run/g.sock", MaxRuns: 7},
		Tracing:   Tracing{Endpoint: "https://collector.example:4318/otlp"},
		Manifests: Manifests{Dirs: []string{"/m"}},
		Policy: Policy{Dirs: []string{"/p"}, Data: map[string]any{
			"allow": []any{"x"}, "api.github.com": map[string]any{"limit": int64(5)},
		}},
		Secrets: Secrets{SopsKeyFile: "/k", Backend: "sops", DecryptTimeout: 3 * time.Second},
		CA:      CA{Dir: "/ca"},
		Audit:   Audit{OnFailure: "warn"},
		Log:     Log{Level: "debug", Format: "json"},
		file:    c.file, origins: c.origins,
	}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got\n%+v, want\n%+v", *c, want)
	}
	if u := c.Proxy.UpstreamProxy.Get(); u == nil || u.String() != "socks5://u:p@proxy.example:1080" {
		t.Errorf("upstream_proxy is %v", u)
	}
	if c.Log.SlogLevel() != slog.LevelDebug {
		t.Errorf("level is %v", c.Log.SlogLevel())
	}
}

func TestFileIsLookedUpInOrder(t *testing.T) {
	dir := t.TempDir()
	place := func(name string) string { return write(t, filepath.Join(dir, name), "") }
	flag, env, xdg, home := place("flag.toml"), place("env.toml"), place("xdg/latchgate/latchgate.toml"), place("home/.config/latchgate/latchgate.toml")
	cwd := filepath.Dir(place("cwd/latchgate.toml"))
	none := t.TempDir()
	for _, c := range []struct {
		name    string
		flag    string
		environ []string
		cwd     string
		want    string
	}{
		{"the flag wins", flag, []string{"LATCHGATE_CONFIG=" + env, "XDG_CONFIG_HOME=" + dir + "/xdg"}, cwd, flag},
		{"then the variable", "", []string{"LATCHGATE_CONFIG=" + env, "XDG_CONFIG_HOME=" + dir + "/xdg"}, cwd, env},
		{"then the working directory", "", []string{"LATCHGATE_CONFIG=", "XDG_CONFIG_HOME=" + dir + "/xdg"}, cwd, filepath.Join(cwd, fileName)},
		{"then XDG_CONFIG_HOME", "", []string{"XDG_CONFIG_HOME=" + dir + "/xdg", "HOME=" + dir + "/home"}, none, xdg},
		{"then ~/.config", "", []string{"HOME=" + dir + "/home"}, none, home},
		{"a relative XDG_CONFIG_HOME is ignored", "", []string{"XDG_CONFIG_HOME=xdg", "HOME=" + dir + "/home"}, dir, home},
		{"a relative flag is the working directory's", "flag.toml", nil, dir, flag},
		{"a relative variable too", "", []string{"LATCHGATE_CONFIG=env.toml"}, dir, env},
		{"or none at all", "", []string{"HOME=" + none}, none, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Load(Options{File: c.flag, Environ: append(c.environ, "X=y"), WorkDir: c.cwd})
			if err != nil {
				t.Fatal(err)
			}
			if got.File() != c.want {
				t.Errorf("read %q, want %q", got.File(), c.want)
			}
		})
	}
}

func TestNamedFileThatDoesNotExistIsAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, fileName), "") // would be found by a search
	for by, o := range map[string]Options{
		"--config":         {File: "missing.toml", Environ: []string{}, WorkDir: dir},
		"LATCHGATE_CONFIG": {Environ: []string{"LATCHGATE_CONFIG=missing.toml"}, WorkDir: dir},
	} {
		_, err := Load(o)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), by) {
			t.Errorf("named by %s: %v", by, err)
		}
	}
	if _, err := Load(Options{File: dir, Environ: []string{}, WorkDir: dir}); err == nil {
		t.Error("a folder was read as a file")
	}
}

func TestFlagsWinOverVariablesAndVariablesOverTheFile(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, fileName), "[proxy]\nlisten = \"127.0.0.1:1\"\ndefault_actions = [\"f1\", \"f2\", \"f3\"]\nidle_timeout = \"1s\"\n[gate]\nmax_runs = 1\n")
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("listen", "127.0.0.1:9", "")
	flags.StringArray("action", []string{"default"}, "")
	flags.Duration("idle", time.Hour, "")
	flags.Int("max-runs", 99, "")
	flags.Duration("drain", time.Hour, "")
	flags.Bool("json", false, "not configuration")
	if err := flags.Parse([]string{"--listen=127.0.0.1:3", "--action=x,y", "--idle=3s", "--json"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Options{
		File: file, WorkDir: dir, Flags: flags,
		FlagKeys: map[string]string{"listen": "proxy.listen", "action": "proxy.default_actions", "idle": "proxy.idle_timeout", "max-runs": "gate.max_runs", "drain": "proxy.drain_timeout"},
		Environ:  []string{"LATCHGATE_PROXY__LISTEN=127.0.0.1:2", "LATCHGATE_GATE__MAX_RUNS=2", "LATCHGATE_PROXY__DEFAULT_ACTIONS=e1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Proxy.Listen != "127.0.0.1:3" || !slices.Equal(c.Proxy.DefaultActions, []string{"x,y"}) || c.Proxy.IdleTimeout != 3*time.Second {
		t.Errorf("the flags do not win: %+v", c.Proxy)
	}
	if c.Gate.MaxRuns != 2 {
		t.Errorf("max_runs is %d: a flag that was not given wins, or the variable does not", c.Gate.MaxRuns)
	}
	if c.Explicit("proxy.drain_timeout") || !c.Explicit("proxy.idle_timeout") {
		t.Error("Explicit does not know which flags were given")
	}
}

func TestWrongFlagIsNamed(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("idle", "", "")
	flags.String("typo", "", "")
	if err := flags.Parse([]string{"--idle=soon", "--typo=x"}); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{Environ: []string{}, WorkDir: t.TempDir(), Flags: flags,
		FlagKeys: map[string]string{"idle": "proxy.idle_timeout", "typo": "proxy.lisen"}})
	wantProblems(t, err,
		`--idle: proxy.idle_timeout: "soon" is not a duration: write a number and a unit, such as 500ms, 30s or 2m`,
		`--typo: proxy.lisen: unknown key; the nearest valid one is proxy.listen`)
}

func TestVariablesSetKeys(t *testing.T) {
	c := mustLoad(t, "[policy.data]\nallow = [\"a\"]\ndeny = [\"d\"]\n",
		"LATCHGATE_PROXY__DEFAULT_ACTIONS= a, b,,c ",
		"LATCHGATE_PROXY__ALLOW_PRIVATE=10.0.0.0/8,192.168.0.1",
		"LATCHGATE_MANIFESTS__BUNDLED=false",
		"LATCHGATE_SECRETS__SOPS_SECRETS_FILE=",
		"LATCHGATE_PROXY__MAX_REQUEST_BYTES=4096",
		`LATCHGATE_POLICY__DATA__ALLOW=["x","y"]`,
		"LATCHGATE_POLICY__DATA__PRESET=strict",
	)
	if want := []string{"a", "b", "c"}; !slices.Equal(c.Proxy.DefaultActions, want) {
		t.Errorf("default_actions are %q, want %q", c.Proxy.DefaultActions, want)
	}
	if len(c.Proxy.AllowPrivate) != 2 || c.Manifests.Bundled || c.Secrets.SopsSecretsFile != "" || c.Proxy.MaxRequestBytes != 4096 {
		t.Errorf("got %+v", c)
	}
	want := map[string]any{"allow": []any{"x", "y"}, "deny": []any{"d"}, "preset": "strict"}
	if !reflect.DeepEqual(c.Policy.Data, want) {
		t.Errorf("policy.data is %v, want %v", c.Policy.Data, want)
	}
	if !c.Explicit("secrets.sops_secrets_file") || c.Explicit("secrets.sops_key_file") {
		t.Error("Explicit does not know what a variable set")
	}
}

func TestUnknownVariables(t *testing.T) {
	_, err := loadText(t, "",
		"LATCHGATE_CONFIG=", "LATCHGATE_TEST_STRICT=1", "LATCHGATE_RUN=r1", "LATCHGATE_PORT=tcp://10.0.0.1:80", "PATH=/bin", // none of these
		"LATCHGATE_PROXY__LISEN=x", "LATCHGATE_PROXI__LISTEN=x", "LATCHGATE_PROXY_LISTEN=x", "LATCHGATE_SECRETS_SOPS_KEY_FILE=x",
		"LATCHGATE_POLICY__DATA=x", "LATCHGATE_GATE__MAX_RUNS=many", "LATCHGATE_MANIFESTS__BUNDLED=perhaps",
	)
	wantProblems(t, err,
		`LATCHGATE_PROXY__LISEN: unknown variable; the nearest valid one is LATCHGATE_PROXY__LISTEN`,
		`LATCHGATE_PROXI__LISTEN: unknown variable; the nearest valid one is LATCHGATE_PROXY__LISTEN`,
		`LATCHGATE_PROXY_LISTEN: unknown variable; two underscores descend: write LATCHGATE_PROXY__LISTEN`,
		`LATCHGATE_SECRETS_SOPS_KEY_FILE: unknown variable; two underscores descend: write LATCHGATE_SECRETS__SOPS_KEY_FILE`,
		`LATCHGATE_POLICY__DATA: policy.data: a variable sets one key of this table: write LATCHGATE_POLICY__DATA__NAME`,
		`LATCHGATE_GATE__MAX_RUNS: gate.max_runs: write a whole number`,
		`LATCHGATE_MANIFESTS__BUNDLED: manifests.bundled: write true or false`)
}

func TestRelativePathsAreRelativeToWhatNamesThem(t *testing.T) {
	etc, cwd := t.TempDir(), t.TempDir()
	file := write(t, filepath.Join(etc, fileName), `
[proxy]
upstream_ca_file = "roots.pem"
listen = "unix:run/proxy.sock"
[manifests]
dirs = ["manifests", "/abs/./m", "~/m"]
[secrets]
sops_key_file = "~/age.key"
`)
	c, err := Load(Options{File: file, WorkDir: cwd, Environ: []string{"HOME=/home/op", "LATCHGATE_AUDIT__FILE=a.jsonl", "LATCHGATE_POLICY__DIRS=p1,p2"}})
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]string{
		"the file's":             {c.Proxy.UpstreamCAFile, etc + "/roots.pem"},
		"a socket's":             {c.Proxy.Listen, "unix:" + etc + "/run/proxy.sock"},
		"a list's":               {c.Manifests.Dirs[0], etc + "/manifests"},
		"an absolute one":        {c.Manifests.Dirs[1], "/abs/m"},
		"home in a list":         {c.Manifests.Dirs[2], "/home/op/m"},
		"home":                   {c.Secrets.SopsKeyFile, "/home/op/age.key"},
		"a default with a file":  {c.CA.Dir, etc + "/.latchgate/ca"},
		"the default socket":     {c.Gate.Socket, etc + "/.latchgate/gate.sock"},
		"a variable's":           {c.Audit.File, cwd + "/a.jsonl"},
		"a list from a variable": {c.Policy.Dirs[1], cwd + "/p2"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s path is %s, want %s", what, pair[0], pair[1])
		}
	}
}

func TestGateSocketIsInTheRuntimeDirectory(t *testing.T) {
	if c := mustLoad(t, "", "XDG_RUNTIME_DIR=/run/user/1000"); c.Gate.Socket != "/run/user/1000/latchgate/gate.sock" {
		t.Errorf("socket is %s", c.Gate.Socket)
	}
	if c := mustLoad(t, "", "XDG_RUNTIME_DIR=run"); c.Gate.Socket != filepath.Join(filepath.Dir(c.File()), ".latchgate/gate.sock") {
		t.Errorf("with a relative runtime directory the socket is %s", c.Gate.Socket)
	}
}

func TestChangedAddressesNeedARestart(t *testing.T) {
	old := mustLoad(t, "", "XDG_RUNTIME_DIR=/run")
	next := mustLoad(t, "[proxy]\nlisten = \"127.0.0.1:1\"\nidle_timeout = \"1s\"\n[metrics]\nlisten = \"\"\n[tracing]\nendpoint = \"http://127.0.0.1:4318\"\n", "XDG_RUNTIME_DIR=/run")
	if got, want := old.ChangedAddresses(next), []string{"proxy.listen", "metrics.listen", "tracing.endpoint"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := old.ChangedAddresses(old); got != nil {
		t.Errorf("nothing changed, and %v did", got)
	}
}

func TestProxyPasswordIsNeverPrinted(t *testing.T) {
	const password = "hunter2hunter2"
	c := mustLoad(t, "[proxy]\nupstream_proxy = \"http://user:"+password+"@proxy.example:3128\"\n")
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c, "url", c.Proxy.UpstreamProxy)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "url", c.Proxy.UpstreamProxy)
	printed := fmt.Sprintf("%v %+v %#v %s %v %#v", *c, *c, *c, c.Proxy.UpstreamProxy, &c.Proxy, c.Proxy.UpstreamProxy) + string(out) + log.String()
	for _, bad := range []string{"ftp://u:" + password + "@h", "http://u:" + password + "@", "http://u:" + password + "@h:x%zz", "http://u:" + password + "@h/path"} {
		_, err := loadText(t, "[proxy]\nupstream_proxy = \""+bad+"\"\n", "LATCHGATE_PROXY__UPSTREAM_PROXY="+bad)
		if err == nil {
			t.Errorf("%s is accepted", bad)
			continue
		}
		printed += err.Error()
	}
	if strings.Contains(printed, password) {
		t.Errorf("the password is printed:\n%s", printed)
	}
}

// wantProblems compares the lines of a Problems error.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	ps, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("got %v, want problems", err)
	}
	if got := strings.Split(ps.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
