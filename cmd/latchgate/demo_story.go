package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latchgate/latchgate/audit"
)

// printDemo shows the facts to a person.
func printDemo(w io.Writer, f *demoFacts) error {
	p := newPage(w)
	p.WriteString(p.paint(bold, "latchgate demo") + ": offline, without an account\n\n")
	p.line("  folder    %s, removed at the end", f.Folder)
	p.line("  secret    %s, encrypted with an age key in secrets.enc.yaml", f.Secret)
	p.line("  upstream  %s, wants that token and echoes it", f.Upstream)
	p.line("  proxy     %s", f.Proxy)

	p.title("Without latchgate the agent would have to hold the token")
	p.command(f.Without.Command)
	p.answer(f.Without.Back)

	p.title("Door 1: an agent behind HTTP_PROXY sends a plain request")
	for _, v := range f.Agent.Environment {
		p.line("  %s", v)
	}
	p.command(f.Agent.Command)
	p.exchange("agent", f.Agent)

	p.title("Door 2: a WASM provider, run by the gate, does the same")
	p.command(f.Provider.Command)
	p.exchange("provider", f.Provider)

	p.title("Anywhere else: refused, and told why")
	p.command(f.Denied.Command)
	p.answer(f.Denied.Back)

	p.title("Metrics that moved")
	p.metrics(f.Metrics)
	p.title("Audit record: names, never values")
	p.audit(f.Audit)
	p.title(fmt.Sprintf("Checked in this run of %.1f s", f.Seconds))
	p.checks(f.Checks)

	if f.failed() == nil {
		p.title("The same with a key of your own")
		for _, c := range f.Own {
			p.command(c)
		}
	}
	if len(f.Try) > 0 {
		p.try(f)
	}
	_, err := w.Write(p.Bytes())
	return err
}

// exchange shows the client's side at the left and the upstream's at the right.
func (p *page) exchange(who string, x demoExchange) {
	sent, received, answered := x.Sent, x.Received, x.Answered
	if !carriesCredential(sent) {
		sent = append(sent[:len(sent):len(sent)], noCredential)
	}
	if len(received) == 0 {
		received, answered = []string{nothing}, nil
	}
	p.WriteByte('\n')
	p.columns("the "+who+" sent →", "→ the upstream received", sent, received)
	p.separator()
	p.columns("the "+who+" got ←", "← the upstream answered", telling(x.Back), telling(answered))
}

// telling leaves out the fields of an answer that say nothing here.
func telling(head []string) []string {
	return slices.DeleteFunc(slices.Clone(head), func(line string) bool {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		return name == "date" || name == "content-length" || name == "cache-control"
	})
}

// answer shows what is not let through: status and body.
func (p *page) answer(back []string) {
	status, body := back, []string(nil)
	if i := slices.Index(back, ""); i >= 0 {
		status, body = back[:i], back[i+1:]
	}
	if len(status) == 0 {
		status = []string{"(no answer)"}
	}
	fmt.Fprintf(p, "    %s\n", p.paint(red, strings.TrimSpace(status[0])))
	for _, line := range indentJSON([]byte(strings.Join(body, "\n"))) {
		p.line("    %s", line)
	}
}

// indentJSON gives the lines of a JSON text; one that is none, as it is.
func indentJSON(raw []byte) []string {
	var buf bytes.Buffer
	if json.Indent(&buf, raw, "", "  ") != nil {
		return strings.Split(string(raw), "\n")
	}
	return strings.Split(strings.TrimSpace(buf.String()), "\n")
}

func (p *page) metrics(all []demoMetric) {
	for _, m := range all {
		row := fmt.Sprintf("  %-46s %3v → %-3v %s", m.Name, m.Before, m.After, p.paint(bold, fmt.Sprintf("+%v", m.Delta)))
		if p.width >= 110 {
			row += "  " + p.paint(dim, m.Meaning)
		}
		fmt.Fprintln(p, row)
	}
}

func (p *page) audit(events []audit.Entry) {
	var rows [][]string
	for _, e := range events {
		if e.Kind == audit.Request || e.Kind == audit.Denied || e.Kind == audit.Execution {
			rows = append(rows, []string{"  " + string(e.Kind), e.Action, e.Host, e.Code, strings.Join(e.Secrets, ",")})
		}
	}
	_ = printTable(p, []string{"  EVENT", "ACTION", "HOST", "CODE", "SECRETS"}, rows) // a buffer takes all
}

func (p *page) checks(all []demoCheck) {
	for _, c := range all {
		if c.OK {
			fmt.Fprintf(p, "  %s %s\n", p.paint(green, "✓"), c.What)
		} else {
			fmt.Fprintf(p, "  %s %s\n", p.paint(red, "✗ "+c.What+":"), c.Found)
		}
	}
}

// demoTry is a command for another terminal.
type demoTry struct {
	Command string `json:"command"`
	What    string `json:"what"`
}

// ownCommands do the same with a credential of the reader's.
func ownCommands() []string {
	return append(commandOnPath(), "latchgate secrets init", "latchgate secrets set GITHUB_TOKEN",
		"latchgate exec --action github -- git clone https://github.com/you/private")
}

// commandOnPath makes `latchgate` this program in a shell, where it is not yet.
func commandOnPath() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	if found, err := exec.LookPath("latchgate"); err == nil && realPath(found) == realPath(self) {
		return nil
	}
	return []string{`export PATH=` + shellQuote(filepath.Dir(self)) + `:"$PATH"`}
}

func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// tryCommands are what to play with while the demo is kept.
func (h *demoHouse) tryCommands() []demoTry {
	var try []demoTry
	for _, c := range commandOnPath() {
		try = append(try, demoTry{c, "find latchgate"})
	}
	account, elsewhere := "https://"+h.upstream.api+"/v1/account", "http://"+h.upstream.elsewhere+"/"
	try = append(try,
		demoTry{"export LATCHGATE_CONFIG=" + shellQuote(h.path(demoSettings)), "use the demo's settings"},
		demoTry{"latchgate run " + demoCall + " name=you", "an action through its provider"},
		demoTry{`eval "$(latchgate env --action ` + demoAction + `)"; unset NO_PROXY no_proxy`, "become an agent; the upstream is on this machine"})
	if _, err := exec.LookPath("curl"); err == nil {
		try = append(try,
			demoTry{"curl -i " + account, "a plain request, an authenticated answer"},
			demoTry{"curl -H 'Authorization: Bearer mine' " + account, "an agent can't choose the credential"},
			demoTry{"curl " + elsewhere, "403, and why"},
			demoTry{"curl --noproxy '*' http://" + h.daemon.metricsLn.Addr().String() + "/metrics", "the metrics"})
	} else {
		try = append(try,
			demoTry{"latchgate demo client " + account, "a plain request, an authenticated answer"},
			demoTry{"latchgate demo client " + elsewhere, "403, and why"})
	}
	return append(try,
		demoTry{"cat " + shellQuote(h.path("secrets.enc.yaml")), "what the token looks like on the disk"},
		demoTry{"latchgate runs list", "the runs that are open"},
		demoTry{"latchgate audit tail", "what happens, as it happens"})
}

func (p *page) try(f *demoFacts) {
	p.title("Still running. In another terminal:")
	for _, t := range f.Try {
		p.command(t.Command)
		fmt.Fprintf(p, "      %s\n", p.paint(dim, t.What))
	}
	fmt.Fprintf(p, "\nCtrl-C ends it and removes %s\n", f.Folder)
}
