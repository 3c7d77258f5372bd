package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// What the module that exec loads into an old Node does beside a plain GET.
func TestOldNodeBehindTheProxy(t *testing.T) {
	t.Parallel()
	node20 := (&client{name: "Node 20", program: "node20"}).find(t)
	node24 := (&client{name: "Node 24", program: "node24"}).find(t)
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "local") }))
	t.Cleanup(local.Close)
	h := clientsHome(t)
	for name, c := range map[string]struct {
		node, script string
		says         string // all that it prints; or a part of it, where the status is 1
		status       int
	}{
		"an ES module": {node20, `const {default: https} = await import('node:https');
			https.get('https://api.example.com/x', (a) => { console.log(a.statusCode); a.resume(); });`, "200\n", 0},
		"a worker": {node20, `const {Worker} = await import('node:worker_threads');
			new Worker("fetch('https://api.example.com/x').then((a) => console.log(a.status))", {eval: true});`, "200\n", 0},
		"an agent of the program": {node20, `const {default: https} = await import('node:https');
			const agent = new https.Agent({keepAlive: true, maxSockets: 1});
			const get = () => new Promise((done) => https.get('https://api.example.com/x', {agent}, (a) => { a.resume(); a.on('end', () => done(a.req.reusedSocket)); }));
			console.log(await get(), await get()); agent.destroy();`, "false true\n", 0},
		"many at once": {node20, `const all = await Promise.all(Array.from({length: 40}, () => fetch('https://api.example.com/x').then((a) => a.text().then(() => a.status))));
			console.log(all.every((status) => status === 200));`, "true\n", 0},
		"a body": {node20, `const a = await fetch('https://api.example.com/x', {method: 'POST', body: 'x'.repeat(3e6)});
			console.log(a.status, (await a.json()).headers['Content-Length'][0]);`, "200 3000000\n", 0},
		"a request that is refused": {node20, `try { await fetch('https://elsewhere.example.com/') } catch (e) { console.log(e.cause.message) }`,
			"the proxy refused elsewhere.example.com:443: 403 egress_denied\n", 0},
		"loopback": {node20, `const {default: http} = await import('node:http');
			console.log(await (await fetch('` + local.URL + `')).text());
			http.get('` + local.URL + `', (a) => a.pipe(process.stdout));`, "local\nlocal", 0},
		"one that needs no help": {node24, `process.exitCode = await fetch('https://api.example.com/x').then(() => 0, (e) => { console.log(e.cause.code); return 1; });`, "ENOTFOUND", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := h.in(t)
			args := []string{"exec", "-a", "api", "--", c.node, "--input-type=module", "-e", c.script}
			if c.status == 1 { // with what it would do itself switched off
				args = append([]string{"exec", "-a", "api", "--", "env", "-u", "NODE_USE_ENV_PROXY"}, args[4:]...)
			}
			o := h.run(args...)
			if o.status != c.status || o.stdout != c.says && !(c.status == 1 && strings.Contains(o.stdout, c.says)) {
				t.Errorf("status %d\n%s%s", o.status, o.stdout, o.stderr)
			}
		})
	}
}

func TestDoctorTellsWhatNodeNeeds(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for program, says := range map[string][]string{
		"node20": {"reads no proxy variable", "-> with `env`, set NODE_OPTIONS='--require " + h.path(".latchgate/ca/nodeproxy.cjs") + "'"},
		"node24": {"reads the proxy variables\n"},
	} {
		path := (&client{name: program, program: program}).find(t)
		o := h.runWith("", []string{"PATH=" + filepath.Dir(path)}, "doctor")
		for _, s := range says {
			if o.status != 0 || !strings.Contains(o.stdout, s) {
				t.Errorf("%s: status %d, want %q:\n%s%s", program, o.status, s, o.stdout, o.stderr)
			}
		}
	}
}
