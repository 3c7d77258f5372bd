package configs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchgate/latchgate/internal/testenv"
)

// asRoot stands in for sudo on a machine that has root alone.
const asRoot = `#!/bin/sh
[ "$1" = -u ] || exec "$@"
user=$2; shift 2
exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
`

// anAgent tries what it should be able to do and what not.
const anAgent = `#!/bin/sh
echo "agent's CONNECT: $(curl -s -o /dev/null -w '%{http_connect}' https://other.example.com/)"
for f in /etc/latchgate/key/age.key /run/credentials/latchgate.service/age.key /var/lib/latchgate/ca/ca.key /etc/latchgate/secrets.enc.yaml; do
	[ -r "$f" ] && echo "agent reads $f"
done
for f in "$SSL_CERT_FILE" "$NODE_EXTRA_CA_CERTS"; do [ -r "$f" ] || echo "agent can't read $f"; done
latchgate runs list > /dev/null 2>&1 && echo "agent uses the socket"
exit 0
`

// afterwards is what an operator does later.
const afterwards = `
set +e
until_ok() { for i in $(seq 200); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done; echo "never: $*"; }
sudo systemctl reload latchgate && echo "reload: ok"
until_ok sh -c 'journalctl -u latchgate -o cat | grep -q "\"msg\":\"reloaded\""'
systemctl kill --signal=KILL latchgate
until_ok sh -c '[ "$(systemctl show -P NRestarts latchgate)" = 1 ] && latchgate healthcheck'
sudo latchgate doctor --config /etc/latchgate/latchgate.toml | grep '^  error'
systemctl stop latchgate
echo "stopped: $(systemctl show -P Result latchgate)"
`

// The commands of docs/deployment.md, as they stand there, on a machine with a
// systemd of its own: this system's programs, and an /etc and a network that are
// empty.
func TestUnitRunsUnderSystemd(t *testing.T) {
	testenv.Engine(t)
	nspawn := testenv.Program(t, "systemd-nspawn")
	page, err := os.ReadFile("../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## A server with systemd\n")
	section, _, _ = strings.Cut(section, "\n## ")
	script := "set -ex\ncd /machine\n"
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok && !strings.HasPrefix(command, "systemd-analyze") && !strings.HasPrefix(command, "go test") {
			if strings.Contains(command, "secrets set") {
				command = "echo sentinel-of-the-unit | " + strings.TrimSpace(command) + " --stdin\n"
			}
			script += command
		}
	}
	if strings.Count(script, "\n") < 15 {
		t.Fatalf("the page has too few commands:\n%s", script)
	}
	machine := t.TempDir()
	buildStatic(t, filepath.Join(machine, "bin/latchgate"))
	for name, text := range map[string]string{
		"steps": script + afterwards,
		"setup": "mkdir -p /usr/local/bin /home/agent\nexport PATH=/usr/local/bin:$PATH\ncp /machine/sudo /machine/your-agent /usr/local/bin/\n" +
			"echo 'u agent - agent /home/agent' | systemd-sysusers -\nchown agent: /home/agent\nbash /machine/steps > /machine/log 2>&1\necho \"status: $?\" >> /machine/log\n",
		"sudo":       asRoot,
		"your-agent": anAgent,
		"steps.service": "[Service]\nType=oneshot\nExecStart=bash /machine/setup\n" +
			"ExecStopPost=systemctl poweroff --force --no-block\n",
		"steps.target": "[Unit]\nRequires=basic.target steps.service\nAfter=basic.target\n",
	} {
		if err := os.WriteFile(filepath.Join(machine, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(machine, "configs/systemd"), os.DirFS("systemd")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	boot := exec.CommandContext(ctx, nspawn, "--quiet", "--directory=/", "--volatile=yes", "--register=no", "--keep-unit", "--private-network",
		"--machine=latchgate-test", "--bind="+machine+":/machine", "--bind-ro=/etc/ssl", "--tmpfs=/usr/local",
		"--bind-ro="+machine+"/steps.target:/etc/systemd/system/steps.target", "--bind-ro="+machine+"/steps.service:/etc/systemd/system/steps.service",
		"--boot", "systemd.unit=steps.target", "systemd.firstboot=no", "systemd.mask=systemd-networkd-wait-online.service")
	boot.Cancel = func() error { return boot.Process.Signal(os.Interrupt) }
	boot.WaitDelay = 10 * time.Second
	console, bootErr := boot.CombinedOutput()
	raw, err := os.ReadFile(filepath.Join(machine, "log"))
	if err != nil {
		t.Logf("%v\n%s", bootErr, console)
		testenv.Missing(t, "systemd-nspawn that can boot")
	}
	log := string(raw)
	for _, want := range []string{"agent's CONNECT: 403\n", "reload: ok\n", "stopped: success\n", "status: 0\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("not said: %s", want)
		}
	}
	for line := range strings.Lines(log) {
		for _, wrong := range []string{"agent reads", "agent can't", "agent uses", "never: ", "  error "} {
			if strings.HasPrefix(line, wrong) {
				t.Error(line)
			}
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}
