package main

import (
	"os"
	"strings"
	"testing"
)

// doorOf puts the address at which exec serves a JVM into $door.
const doorOf = `door=$(echo "$JAVA_TOOL_OPTIONS" | sed 's/.*https.proxyPort=\([0-9]*\).*/127.0.0.1:\1/')
`

// The local door takes what has no credentials, and gives it the run's.
func TestLocalDoorAddsTheRunsCredentials(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			served := h.serving(mode.daemon)
			o := h.run("exec", "-a", "api", "--", "sh", "-c", doorOf+`set -e
curl -sSf -x "http://$door" https://api.example.com/door https://api.example.com/door
curl -sSf -x "http://wrong:credentials@$door" https://api.example.com/door
# A second plain request on a connection would have no credentials any more.
curl -sS -x "http://$door" -o /dev/null -o /dev/null -w '%{http_code} ' http://api.example.com/ http://api.example.com/
echo "$door" > tmp/door`)
			if o.status != 0 || !strings.HasSuffix(o.stdout, "403 403 ") {
				t.Fatalf("status %d\n%s%s", o.status, o.stdout, o.stderr)
			}
			if n := len(h.authenticated(apiHost, "/door")); n != 3 {
				t.Errorf("%d requests arrived", n)
			}
			if o := h.script(`curl -sS -x "http://$(cat tmp/door)" https://api.example.com/late`); o.status == 0 {
				t.Error("the door is open after the command has ended")
			}
			served()
		})
	}
}

// Another user's process can connect to a port on loopback, but does not have
// the run.
func TestLocalDoorIsShutForOtherUsers(t *testing.T) {
	t.Parallel()
	need(t, "curl", "setpriv")
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	h := newHome(t)
	o := h.run("exec", "-a", "api", "--", "sh", "-c", doorOf+`
cp "$SSL_CERT_FILE" /tmp/lg-door-$$.pem; chmod 644 /tmp/lg-door-$$.pem
trap 'rm -f /tmp/lg-door-$$.pem' EXIT
try() { echo "$1 $("$@" curl -sS -o /dev/null -w '%{http_code} %{http_connect}' --cacert /tmp/lg-door-$$.pem -x "http://$door" "https://api.example.com/$1" 2>&1)"; }
try env
try setpriv --reuid=65534 --regid=65534 --clear-groups`)
	if !strings.Contains(o.stdout, "env 200 200\n") {
		t.Errorf("the user's own request: %s%s", o.stdout, o.stderr)
	}
	if !strings.Contains(o.stdout, "000 000") || len(h.origin.at(apiHost, "/setpriv")) != 0 {
		t.Errorf("another user's request: %s%s", o.stdout, o.stderr)
	}
}
