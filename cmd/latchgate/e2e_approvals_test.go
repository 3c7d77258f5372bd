package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/gate"
)

var riskyManifest = strings.Replace(strings.Replace(itemManifest, "risk_level: medium", "risk_level: critical", 1), "create_item", "delete_item", 1)

// asked is the ticket that a command named which could not go on without it.
func asked(t *testing.T, o outcome) string {
	t.Helper()
	found := regexp.MustCompile("`latchgate approvals approve (apr-[0-9a-f]{12})`").FindStringSubmatch(o.stderr)
	if o.status != 1 || found == nil {
		t.Fatalf("no ticket: %+v", o)
	}
	return found[1]
}

func TestApprovalsThroughTheDaemon(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	h := newHome(t)
	h.write("manifests/risky.yaml", riskyManifest)
	d := h.start()
	run := func(title string) outcome { return h.run("run", "delete_item", "owner=golang", "title="+title) }

	// What an approver sees can't move the cursor or hide anything.
	ticket := asked(t, run("evil \x1b[2J\u202e title"))
	shown := h.must("approvals", "show", ticket).stdout
	if !strings.Contains(shown, `"evil \x1b[2J\u202e title"`) || strings.ContainsAny(shown, "\x1b\u202e") || !strings.Contains(shown, "API_TOKEN") {
		t.Errorf("show prints %q", shown)
	}
	if o := h.must("approvals", "list"); !strings.Contains(o.stdout, ticket) || !strings.Contains(o.stdout, "count,owner,title") {
		t.Errorf("list prints %s", o.stdout)
	}
	h.must("approvals", "deny", ticket)

	// A ticket outlives the daemon; the value of an argument does not.
	ticket = asked(t, run("first"))
	d.stop()
	d = h.start()
	if o := h.must("approvals", "show", ticket); !strings.Contains(o.stdout, "5 bytes, the value is not kept any more") {
		t.Errorf("show prints %s", o.stdout)
	}
	h.must("approvals", "approve", ticket)
	if len(h.origin.at(apiHost, "")) != 0 {
		t.Error("something was sent before it was approved")
	}
	if o := run("first"); o.status != 0 || !strings.Contains(o.stdout, `"status": 200`) {
		t.Errorf("approved: %+v", o)
	}
	asked(t, run("first"))
	h.authenticatedOnce(apiHost, "/items/golang")

	// --wait: each command waits in the background until it is decided.
	for _, c := range []struct {
		decide string
		status int
		says   string
		args   []string
	}{
		{"approve", 0, "200", []string{"exec", "--wait", "-a", "delete_item", "--", "curl", "-s", "-o", "body", "-w", "%{http_code}", "-d", "{}", "https://api.example.com/items/waited"}},
		{"approve", 0, "export HTTPS_PROXY=", []string{"env", "--wait", "-a", "delete_item", "--ttl", "1m"}},
		{"deny", 1, "approval was denied: delete_item", []string{"exec", "--wait", "-a", "delete_item", "--max-requests", "1", "--", "touch", h.path("started")}},
	} {
		o := h.script(`LG=$1; shift; rm -f err; "$LG" "$@" >out 2>err & until grep -qs "approve apr-" err; do sleep 0.05; done
"$LG" approvals `+c.decide+` $(sed -n 's/.*approve \(apr-[0-9a-f]*\).*/\1/p' err) >/dev/null; wait $!; status=$?; cat out err; exit $status`,
			append([]string{h.program}, c.args...)...)
		if o.status != c.status || !strings.Contains(o.stdout, c.says) {
			t.Errorf("%s %v: %+v", c.decide, c.args, o)
		}
	}
	h.authenticatedOnce(apiHost, "/items/waited")
	if o := h.script("test ! -e started"); o.status != 0 {
		t.Error("a denied command was started")
	}
	d.stop()
	h.noSecretOnDisk()
}

func TestBudgetsOfARun(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			served := h.serving(mode.daemon)
			const get = `curl -s -o body -w '%{http_code} ' https://api.example.com/budget; `
			if o := h.must("exec", "-a", "api", "--max-requests", "2", "--", "sh", "-c", get+get+get); o.stdout != "200 200 429 " {
				t.Errorf("three requests of two: %q", o.stdout)
			}
			if o := h.must("exec", "-a", "api", "--max-bytes", "10", "--", "sh", "-c", `curl -s -o body https://api.example.com/budget; echo $?; `+get); strings.HasPrefix(o.stdout, "0\n") || !strings.HasSuffix(o.stdout, "\n429 ") {
				t.Errorf("an answer of more than ten bytes: %q", o.stdout)
			}
			if o := h.must("exec", "-a", "api", "--ttl", "1ms", "--", "sh", "-c", `curl -s -o body -w '%{http_connect} ' https://api.example.com/late; true`); o.stdout != "407 " {
				t.Errorf("after its time: %q", o.stdout)
			}
			if n := len(h.origin.at(apiHost, "/budget")); n != 3 {
				t.Errorf("%d requests arrived, want 3", n)
			}
			served()
		})
	}
}

func TestRunsAreListedRenewedAndRevoked(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.start()
	h.must("env", "-a", "api", "--ttl", "10m", "--max-requests", "5", "--max-bytes", "1000")
	var runs []gate.RunStatus
	if err := json.Unmarshal([]byte(h.must("runs", "list", "--json").stdout), &runs); err != nil || len(runs) != 1 || runs[0].MaxBytes != 1000 {
		t.Fatalf("%+v %v", runs, err)
	}
	if o := h.must("runs", "list"); !strings.Contains(o.stdout, "0 of 5") || !strings.Contains(o.stdout, "0 of 1000") || !regexp.MustCompile(` (10m0|9m\d+)s `).MatchString(o.stdout) {
		t.Errorf("list prints %s", o.stdout)
	}
	if o := h.must("runs", "renew", runs[0].ID, "--ttl", "2h"); !regexp.MustCompile("^" + runs[0].ID + ` expires in (2h0m0|1h59m\d+)s\n$`).MatchString(o.stdout) {
		t.Errorf("renew prints %q", o.stdout)
	}
	h.must("runs", "revoke", runs[0].ID)
	if o := h.run("runs", "renew", runs[0].ID); o.status != 1 || !strings.Contains(o.stderr, "there is no open run of that id\n  `latchgate runs list`") {
		t.Errorf("%+v", o)
	}
	if o := h.run("runs", "renew", runs[0].ID, "--ttl", "0s"); o.status != 2 {
		t.Errorf("%+v", o)
	}
}

// A command behind the proxy is not told where the control socket is.
func TestACommandIsNotToldWhereTheControlSocketIs(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	o := h.runWith("", []string{"LATCHGATE_CONFIG=" + h.path("latchgate.toml"), "LATCHGATE_GATE__SOCKET=" + h.path("other.sock"), "LATCHGATE_PROXY__UPSTREAM_PROXY=" + h.chain.url},
		"exec", "-a", "api", "--", "env")
	if o.status != 0 || strings.Contains(o.stdout, "LATCHGATE_") || strings.Contains(o.stdout, ".sock") {
		t.Errorf("%+v", o)
	}
}
