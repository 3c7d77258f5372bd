package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProblemsOfAFileSayWhereAndWhatToWrite(t *testing.T) {
	long := "/" + strings.Repeat("long/", 30) + "s"
	for name, c := range map[string]struct {
		text string
		want []string // without the file's name
	}{
		"an unknown key": {"[proxy]\nlisten = \"127.0.0.1:1\"\n  lisen = \"x\"\n", []string{
			`:3:3: proxy.lisen: unknown key; the nearest valid one is proxy.listen`}},
		"a key without its section": {"listen = \"x\"\n", []string{
			`:1:1: listen: unknown key; the nearest valid one is proxy.listen`}},
		"a key in the wrong section": {"[gate]\nsops_key_file = \"x\"\n", []string{
			`:2:1: gate.sops_key_file: unknown key; the nearest valid one is secrets.sops_key_file`}},
		"capital letters": {"[proxy]\nListen = \"x\"\n", []string{
			`:2:1: proxy.Listen: unknown key; the nearest valid one is proxy.listen`}},
		"an unknown section": {"[proxi]\nlisten = \"x\"\n", []string{
			`:1:2: proxi: unknown section; the nearest valid one is [proxy]`}},
		"a quoted key that looks right": {"\"proxy.listen\" = \"x\"\n", []string{
			`:1:1: "proxy.listen": unknown key; the nearest valid one is proxy.listen`}},
		"a dotted key": {"proxy.lisen = 1\n", []string{
			`:1:7: proxy.lisen: unknown key; the nearest valid one is proxy.listen`}},
		"an inline table": {"proxy = {listen = \"127.0.0.1:1\", lisen = 1}\n", []string{
			`:1:34: proxy.lisen: unknown key; the nearest valid one is proxy.listen`}},
		"a section that is a value": {"proxy = 1\n", []string{
			`:1:1: proxy: this is a section: write [proxy] and its keys below`}},
		"a section twice over": {"[[proxy]]\nlisten = \"x\"\n", []string{
			`:1:3: proxy: this is a section: write [proxy] and its keys below`}},
		"a value that is a section": {"[proxy.listen]\nx = 1\n", []string{
			`:1:8: proxy.listen: write a string in quotes`}},
		"wrong types": {"[proxy]\nlisten = 1\ndefault_actions = \"a\"\nallow_private = [1]\nmax_request_bytes = \"1\"\nidle_timeout = 30\n[manifests]\nbundled = \"yes\"\n[gate]\nmax_runs = 1.5\n[policy]\ndata = 1\n", []string{
			`:2:1: proxy.listen: write a string in quotes`,
			`:3:1: proxy.default_actions: write a list of strings, such as ["a", "b"]`,
			`:4:1: proxy.allow_private: write a list of networks, such as ["10.0.0.0/8"]`,
			`:5:1: proxy.max_request_bytes: write a whole number`,
			`:6:1: proxy.idle_timeout: write a duration in quotes, such as "30s"`,
			`:8:1: manifests.bundled: write true or false`,
			`:10:1: gate.max_runs: write a whole number`,
			`:12:1: policy.data: write a table, such as [policy.data]`}},
		"durations": {"[proxy]\nheader_timeout = \"0s\"\nidle_timeout = \"-1s\"\ndrain_timeout = \"1 day\"\n[secrets]\ndecrypt_timeout = \"10\"\n", []string{
			`:2:1: proxy.header_timeout: must be greater than 0: write a duration such as "30s"`,
			`:3:1: proxy.idle_timeout: must be greater than 0: write a duration such as "30s"`,
			`:4:1: proxy.drain_timeout: "1 day" is not a duration: write a number and a unit, such as 500ms, 30s or 2m`,
			`:6:1: secrets.decrypt_timeout: "10" is not a duration: write a number and a unit, such as 500ms, 30s or 2m`}},
		"numbers": {"[proxy]\nmax_request_bytes = -1\n[gate]\nmax_runs = 0\n", []string{
			`:2:1: proxy.max_request_bytes: must not be negative: write 0 for no limit`,
			`:4:1: gate.max_runs: must be greater than 0: write the number of runs that may be open at the same time`}},
		"networks with bits behind the prefix": {"[proxy]\nallow_private = [\"10.0.0.1/8\"]\n", []string{
			`:2:1: proxy.allow_private: "10.0.0.1/8" has bits set behind its prefix: write 10.0.0.0/8`}},
		"networks that are none": {"[proxy]\nallow_private = [\"10.0.0\"]\n", []string{
			`:2:1: proxy.allow_private: "10.0.0" is not a network: write an address or CIDR, such as 192.168.1.10 or 10.0.0.0/8`}},
		"networks with a zone": {"[proxy]\nallow_private = [\"fe80::1%eth0\"]\n", []string{
			`:2:1: proxy.allow_private: "fe80::1%eth0" is not a network: write an address or CIDR, such as 192.168.1.10 or 10.0.0.0/8`}},
		"networks in the wrong family": {"[proxy]\nallow_private = [\"::ffff:10.0.0.0/104\"]\n", []string{
			`:2:1: proxy.allow_private: "::ffff:10.0.0.0/104" is an IPv4 network in IPv6 form: write it as IPv4`}},
		"upstream proxies": {"[proxy]\nupstream_proxy = \"proxy.example:3128\"\n", []string{
			`:2:1: proxy.upstream_proxy: not a URL with a host: write http://host:port, https://host:port or socks5://host:port`}},
		"enums": {"[secrets]\nbackend = \"embeded\"\n[log]\nlevel = \"warning\"\nformat = \"jsonl\"\n", []string{
			`:2:1: secrets.backend: "embeded" is not known: write one of auto, embedded, sops`,
			`:4:1: log.level: "warning" is not known: write one of debug, info, warn, error`,
			`:5:1: log.format: "jsonl" is not known: write one of auto, text, json`}},
		"addresses": {"[proxy]\nlisten = \"8470\"\n[metrics]\nlisten = \"127.0.0.1:http\"\n", []string{
			`:2:1: proxy.listen: "8470" is not an address: write host:port such as 127.0.0.1:8470, or unix:/path`,
			`:4:1: metrics.listen: "127.0.0.1:http" has no port between 0 and 65535: write host:port such as 127.0.0.1:9470, or "" for none`}},
		"the same address twice": {"[metrics]\nlisten = \"127.0.0.1:8470\"\n", []string{
			`:2:1: metrics.listen: is the same address as proxy.listen: write another port`}},
		"an empty socket": {"[proxy]\nlisten = \"unix:\"\n", []string{
			`:2:1: proxy.listen: names no socket: write unix:/path`}},
		"long sockets": {"[proxy]\nlisten = \"unix:" + long + "\"\n[gate]\nsocket = \"" + long + "\"\n", []string{
			`:2:1: proxy.listen: ` + long + ` has 152 bytes and the path of a unix socket at most 107: write a shorter path`,
			`:4:1: gate.socket: ` + long + ` has 152 bytes and the path of a unix socket at most 107: write a shorter path`}},
		"a collector without a scheme": {"[tracing]\nendpoint = \"127.0.0.1:4318\"\n", []string{
			`:2:1: tracing.endpoint: must be the base URL of a collector without credentials, query or fragment: write http://host:4318, or "" for no traces`}},
		"a collector with a password": {"[tracing]\nendpoint = \"http://u:hunter2@127.0.0.1:4318\"\n", []string{
			`:2:1: tracing.endpoint: must be the base URL of a collector without credentials, query or fragment: write http://host:4318, or "" for no traces`}},
		"a collector of another scheme": {"[tracing]\nendpoint = \"grpc://127.0.0.1:4317\"\n", []string{
			`:2:1: tracing.endpoint: must be the base URL of a collector without credentials, query or fragment: write http://host:4318, or "" for no traces`}},
		"a collector with a query": {"[tracing]\nendpoint = \"http://127.0.0.1:4318?k=hunter2\"\n", []string{
			`:2:1: tracing.endpoint: must be the base URL of a collector without credentials, query or fragment: write http://host:4318, or "" for no traces`}},
		"an empty CA": {"[ca]\ndir = \"\"\n", []string{
			`:2:1: ca.dir: must not be empty: write the folder of the certificate authority`}},
		"an empty item": {"[manifests]\ndirs = [\"\"]\n", []string{
			`:2:1: manifests.dirs: an item of the list is empty: remove it`}},
		"no TOML":            {"[proxy]\nlisten = \n", []string{":2:10: "}},
		"the same key twice": {"[proxy]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n", []string{":3:1: "}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := write(t, filepath.Join(dir, fileName), c.text)
			_, err := Load(Options{File: file, Environ: []string{"XDG_RUNTIME_DIR=/run"}, WorkDir: dir})
			if len(c.want) == 1 && strings.HasSuffix(c.want[0], ": ") { // the words are the decoder's
				if err == nil || !strings.HasPrefix(err.Error(), file+c.want[0]) {
					t.Errorf("got %v, want %s", err, c.want[0])
				}
				return
			}
			for i := range c.want {
				c.want[i] = file + c.want[i]
			}
			wantProblems(t, err, c.want...)
		})
	}
}

func TestDefaultActionsAreForThisMachineOnly(t *testing.T) {
	for listen, allowed := range map[string]bool{
		"127.0.0.1:8470": true, "127.9.9.9:1": true, "[::1]:8470": true, "localhost:8470": true, "LOCALHOST:1": true,
		"[::ffff:127.0.0.1]:1": true, "unix:/run/p.sock": true,
		"0.0.0.0:8470": false, ":8470": false, "[::]:8470": false, "192.168.1.1:8470": false, "proxy.example:8470": false,
		"127.0.0.1.example:1": false, "localhost.example:1": false,
	} {
		_, err := loadText(t, "[proxy]\nlisten = \""+listen+"\"\ndefault_actions = [\"a\"]\n")
		ps, _ := errors.AsType[Problems](err)
		switch {
		case allowed && err != nil:
			t.Errorf("%s: %v", listen, err)
		case !allowed && (len(ps) != 1 || ps[0].Key != "proxy.default_actions" || ps[0].Line != 3):
			t.Errorf("%s gives runs to everybody: %v", listen, err)
		}
		if _, err := loadText(t, "[proxy]\nlisten = \""+listen+"\"\n"); err != nil {
			t.Errorf("%s without default_actions: %v", listen, err)
		}
	}
}

func TestAllProblemsAreInOneErrorFileFirst(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, fileName), "[log]\nlevel = \"loud\"\nx = 1\n[proxy]\nlisten = \"0.0.0.0:1\"\n")
	_, err := Load(Options{File: file, WorkDir: dir, Environ: []string{
		"LATCHGATE_PROXY__DEFAULT_ACTIONS=a", "LATCHGATE_GATE__MAX_RUN=1", "XDG_RUNTIME_DIR=/run"}})
	wantProblems(t, err,
		file+`:2:1: log.level: "loud" is not known: write one of debug, info, warn, error`,
		file+`:3:1: log.x: unknown key; the nearest valid one is log.level`,
		`LATCHGATE_GATE__MAX_RUN: unknown variable; the nearest valid one is LATCHGATE_GATE__MAX_RUNS`,
		`LATCHGATE_PROXY__DEFAULT_ACTIONS: proxy.default_actions: gives a run to clients without credentials, which only a loopback or unix listener may do, `+
			`and proxy.listen is "0.0.0.0:1": listen on 127.0.0.1 or unix:/path, or write default_actions = []`)
	var p Problem
	if !errors.As(err, &p) || p.Key != "log.level" {
		t.Errorf("errors.As gives %+v", p)
	}
}

func TestDefaultSocketThatIsTooLongIsReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{Environ: []string{}, WorkDir: dir})
	if err == nil || !strings.HasPrefix(err.Error(), "gate.socket: ") {
		t.Errorf("got %v", err)
	}
}

// Whatever is in the file, Load answers, and a problem that it finds in the file
// has a place.
func FuzzLoad(f *testing.F) {
	f.Add(Example())
	f.Add("a.b.c = [{x = 1}, 2]\n[[a]]\n\"\\u0000\" = inf\n")
	f.Add("proxy = {listen = {}}\n[policy.data.\"a.b\"]\nc = 1979-05-27\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		file := write(t, filepath.Join(dir, fileName), text)
		_, err := Load(Options{File: file, Environ: []string{"XDG_RUNTIME_DIR=/run"}, WorkDir: "/"})
		ps, ok := errors.AsType[Problems](err)
		if err != nil && !ok {
			t.Fatalf("not a list of problems: %v", err)
		}
		for _, p := range ps {
			if p.Source == file && p.Line == 0 && strings.HasPrefix(p.Message, "unknown") {
				t.Errorf("no place: %v", p)
			}
		}
	})
}
