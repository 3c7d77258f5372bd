package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/latchgate/latchgate/audit"
)

// printDemo shows the facts to a person.
func printDemo(w io.Writer, f *demoFacts) error {
	p := newPage(w)
	p.line("latchgate demo: on this machine, no network, no account; all in %s", f.Folder)
	p.line("  upstream  %s wants a bearer token, and repeats it in its answer", f.Upstream)
	p.line("  secret    %s, encrypted with an age key in secrets.enc.yaml", f.Secret)
	p.line("  proxy     %s", f.Proxy)

	p.title("Without latchgate, the agent would need the token")
	p.command(f.Without.Command)
	p.line("  %s", firstLine(f.Without.Back))

	p.title("Door 1: an agent behind HTTP_PROXY sends a plain request")
	p.command("latchgate exec --action " + demoAction + " -- " + f.Agent.Command)
	p.exchange("agent", f.Agent)

	p.title("Door 2: a WASM provider, run by the gate, does the same")
	p.command(f.Provider.Command)
	p.exchange("provider", f.Provider)

	p.title("Anywhere else: refused, and told why")
	p.command("latchgate exec --action " + demoAction + " -- " + f.Denied.Command)
	p.exchange("agent", f.Denied)

	p.title("The metrics that moved (" + "GET /metrics)")
	p.metrics(f.Metrics)
	p.title("The audit record: names, never values")
	p.audit(f.Audit)
	p.title("Checked just now")
	p.checks(f.Checks)

	if f.failed() == nil {
		p.title("The same with a key of your own")
		for _, c := range []string{"latchgate secrets init", "latchgate secrets set GITHUB_TOKEN", "latchgate exec --action github -- git clone https://github.com/you/private"} {
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
	p.columns("the "+who+" sent  →", "→  the upstream received", sent, received)
	p.WriteByte('\n')
	p.columns("the "+who+" got  ←", "←  the upstream answered", x.Back, answered)
}

func firstLine(lines []string) string {
	if len(lines) == 0 {
		return "(no answer)"
	}
	return lines[0]
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
	for _, e := range events {
		if e.Kind == audit.RunOpened || e.Kind == audit.Request || e.Kind == audit.Denied || e.Kind == audit.Execution {
			p.line("  %s", eventLine(e))
		}
	}
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

// tryCommands are what to play with while the demo is kept.
func (h *demoHouse) tryCommands() []demoTry {
	return []demoTry{
		{"export LATCHGATE_CONFIG=" + shellQuote(h.path(demoSettings)), "use the demo's settings"},
		{"latchgate run " + demoCall + " name=you", "an action through its provider"},
		{`eval "$(latchgate env --action ` + demoAction + `)"; unset NO_PROXY no_proxy`, "become an agent; the upstream is on this machine"},
		{"curl -i https://" + h.upstream.api + "/v1/account", "a plain request, an authenticated answer"},
		{"curl -H 'Authorization: Bearer mine' https://" + h.upstream.api + "/v1/account", "an agent can't choose the credential"},
		{"curl http://" + h.upstream.elsewhere + "/", "403, and why"},
		{"latchgate runs list", "the runs that are open"},
		{"latchgate audit tail", "what happens, as it happens"},
		{"curl --noproxy '*' http://" + h.daemon.metricsLn.Addr().String() + "/metrics", "the metrics"},
		{"cat " + shellQuote(h.path("secrets.enc.yaml")), "what the token looks like on the disk"},
	}
}

func (p *page) try(f *demoFacts) {
	p.title("Still running. In another terminal:")
	for _, t := range f.Try {
		p.command(t.Command)
		fmt.Fprintf(p, "      %s\n", p.paint(dim, t.What))
	}
	fmt.Fprintf(p, "\n%s\n", strings.TrimSpace("Ctrl-C ends it and removes "+f.Folder))
}
