package tui

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when everything happens.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// fixed is a backend whose world stands still but for what is done to it.
type fixed struct {
	mu      sync.Mutex
	down    bool // no daemon
	sample  Sample
	install Installation
	secrets []Secret
	fault   error // of the secrets
	entries []audit.Entry
	did     []string // what was asked for, with values
}

func (f *fixed) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprintf(format, args...))
}

func (f *fixed) Poll(context.Context) (Sample, error) {
	if f.down {
		return Sample{}, fmt.Errorf("%w (socket /run/latchgate/gate.sock)", gate.ErrNoDaemon)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sample
	s.Approvals = slices.Clone(s.Approvals)
	return s, nil
}

func (f *fixed) Events(ctx context.Context, _ int) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for _, e := range f.entries {
			if !yield(e, nil) {
				return
			}
		}
		<-ctx.Done()
	}
}

func (f *fixed) Decide(ctx context.Context, ticket string, approve bool) error {
	if _, ends := ctx.Deadline(); !ends {
		return errors.New("a daemon that hangs would hang the screens")
	}
	f.note("decide %s %v", ticket, approve)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.sample.Approvals {
		if a := &f.sample.Approvals[i]; a.Ticket == ticket {
			a.State = map[bool]string{true: gate.ApprovalApproved, false: gate.ApprovalDenied}[approve]
		}
	}
	return nil
}

func (f *fixed) Installation(context.Context) Installation { return f.install }

func (f *fixed) Secrets(context.Context) ([]Secret, error) { return slices.Clone(f.secrets), f.fault }

func (f *fixed) InitSecrets(context.Context) ([]string, error) {
	f.note("init")
	f.fault = nil
	return []string{"created  age key        /home/ann/.latchgate/sops-age.key", "created  secrets file   /home/ann/secrets.enc.yaml"}, nil
}

func (f *fixed) SetSecret(_ context.Context, name string, v []byte) error {
	f.note("set %s %q", name, v)
	if name == "READ_ONLY" {
		return errors.New("the file can't be written; make room")
	}
	for i := range f.secrets {
		if f.secrets[i].Name == name {
			f.secrets[i].Set = true
			return nil
		}
	}
	f.secrets = append(f.secrets, Secret{Name: name, Set: true})
	return nil
}

func (f *fixed) RemoveSecret(_ context.Context, name string) error {
	f.note("remove %s", name)
	f.secrets = slices.DeleteFunc(f.secrets, func(s Secret) bool { return s.Name == name })
	return nil
}

func (f *fixed) WhatIf(_ context.Context, action string) (Verdict, error) {
	f.note("what if %s", action)
	if action != "github_delete_repo" {
		return Verdict{}, fmt.Errorf("there is no action %q; `latchgate actions list` shows them all", action)
	}
	return Verdict{Action: action, Code: "approval", Reason: "critical risk needs approval",
		Because: [][2]string{{"decided by", "builtin:latchgate.rego:57 data.latchgate.action"}, {"with", "builtin:latchgate.rego:29 data.latchgate.verdict"}},
		Secrets: []string{"GITHUB_TOKEN"}, Hosts: []string{"api.github.com"}, Principal: "user:ann", Door: "exec", Risk: "critical", Policy: "the built-in one"}, nil
}

// newFixed is a busy day at ann's.
func newFixed() *fixed {
	git := []string{"GITHUB_TOKEN"}
	f := &fixed{
		sample: Sample{
			Status:   gate.Status{Version: "1.4.0", PID: 4242, Proxy: "127.0.0.1:8470", Metrics: "127.0.0.1:9470", Ready: true},
			Counters: &Counters{Requests: 15234, Injections: 14980, Denials: 41, CacheHits: 14960, CacheMisses: 20},
			Runs: []gate.RunStatus{
				{ID: "run-5f0c2a91be73", Principal: "user:ann", Door: "exec", Actions: []string{"github", "npm"}, Opened: noon.Add(-time.Hour), Requests: 812},
				{ID: "run-0b9d44e1c2aa", Principal: "user:ci", Door: "env", Actions: []string{"openai"}, Opened: noon.Add(-time.Minute), Expires: noon.Add(59 * time.Minute), Requests: 17, MaxRequests: 1000},
			},
			Approvals: []gate.Approval{
				{Ticket: "apr-77aa01c3d9e4", State: gate.ApprovalPending, Principal: "user:ann", Door: "run", Actions: []string{"github_delete_repo"}, Reasons: []string{"github_delete_repo: critical risk needs approval"},
					Hosts: []string{"api.github.com"}, Secrets: git, Arguments: []gate.Argument{{Name: "owner", Bytes: 5, Value: "ann"}, {Name: "repo", Bytes: 16, Value: "old \x1b[2J\u202etitle"}},
					Digest: "sha256:8482eac7a79551489aff49e05bb9a7802dda41b24305b18dc3bae9c34e1a3b55", Created: noon, Expires: noon.Add(287 * time.Second)},
				{Ticket: "apr-10b2c4f7a8d0", State: gate.ApprovalDenied, Principal: "user:ci", Door: "exec", Actions: []string{"stripe_refund"}, DecidedBy: "user:ann", Created: noon, Expires: noon},
			},
		},
		install: Installation{
			Checks: []Check{
				{"configuration", "file", "ok", "/home/ann/latchgate.toml", ""},
				{"actions", "manifest", "error", "/home/ann/manifests/deploy.yaml:7: egress: unknown key \"allowed_domain\"", "write \"allowed_domains\""},
				{"actions", "catalogue", "ok", "4 actions", ""},
				{"policy", "policy", "ok", "the built-in one compiles, and its tests pass", ""},
				{"secrets", "file", "ok", "/home/ann/secrets.enc.yaml, yaml", ""},
				{"key", "mode", "warning", "/home/ann/.latchgate/sops-age.key has mode 0640: others may use the key", "chmod 600 /home/ann/.latchgate/sops-age.key"},
				{"ca", "authority", "ok", "/home/ann/.latchgate/ca/ca.pem, valid until 2036-03-11", ""},
				{"daemon", "daemon", "ok", "process 4242, version 1.4.0, proxy at 127.0.0.1:8470, 2 runs open", ""},
			},
			Problems: []Problem{
				{Where: "/home/ann/manifests/deploy.yaml:7", Message: "egress: unknown key \"allowed_domain\"", Hint: "write \"allowed_domains\""},
				{Where: "/home/ann/manifests/npm.yaml:12", Action: "npm", Message: "fuel is accepted and not used", Hint: "timeout_seconds bounds a provider", Note: true},
			},
			Proxy: Proxy{Listen: "127.0.0.1:8470", DefaultActions: []string{"npm"}, Shell: "export HTTP_PROXY='http://127.0.0.1:8470'\nexport HTTPS_PROXY='http://127.0.0.1:8470'\n",
				Variables: [][2]string{{"HTTP_PROXY", "http://127.0.0.1:8470"}, {"HTTPS_PROXY", "http://127.0.0.1:8470"}, {"NO_PROXY", "localhost,127.0.0.1,::1"},
					{"SSL_CERT_FILE", "/home/ann/.latchgate/ca/bundle.pem"}, {"NODE_EXTRA_CA_CERTS", "/home/ann/.latchgate/ca/ca.pem"}}},
			Certificate: Certificate{Subject: "latchgate CA desk 7c947a48", File: "/home/ann/.latchgate/ca/ca.pem", Key: "/home/ann/.latchgate/ca/ca.key", Mode: "0600",
				SHA256: "7C947A4880FC280E6C5380E18CCC63541C07A812E4201B96BCB4E31632327409", Expires: noon.AddDate(10, 0, -3)},
		},
		secrets: []Secret{
			{Name: "ASANA_TOKEN", Required: true, Actions: []string{"asana"}, Hosts: []string{"app.asana.com"}},
			{Name: "GITHUB_TOKEN", Set: true, Required: true, InUse: true, Actions: []string{"github", "github_delete_repo"}, Hosts: []string{"api.github.com", "github.com"}},
			{Name: "NPM_TOKEN", InUse: true, Actions: []string{"npm"}, Hosts: []string{"registry.npmjs.org"}},
			{Name: "OLD_TOKEN", Set: true},
			{Name: "OPENAI_API_KEY", Required: true, InUse: true, Actions: []string{"openai"}, Hosts: []string{"api.openai.com"}},
		},
	}
	f.install.Actions = []gate.ActionStatus{
		{ID: "asana", RiskLevel: "medium", Hosts: []string{"app.asana.com"}, Secrets: []gate.ActionSecret{{Name: "ASANA_TOKEN", Required: true}}, File: "bundled:asana.yaml", Line: 1},
		{ID: "github", Version: "1.0.0", Description: "Everything on GitHub, for agents.", RiskLevel: "medium", Hosts: []string{"api.github.com", "github.com"}, Secrets: []gate.ActionSecret{{Name: "GITHUB_TOKEN", Required: true, Inject: []string{"bearer on api.github.com", "basic, user x-access-token on github.com"}}}, File: "/home/ann/manifests/github.yaml", Line: 1},
		{ID: "github_delete_repo", RiskLevel: "critical", Provider: "builtin:http_api", Hosts: []string{"api.github.com"}, Secrets: []gate.ActionSecret{{Name: "GITHUB_TOKEN", Required: true}}, File: "/home/ann/manifests/github.yaml", Line: 20},
		{ID: "npm", RiskLevel: "low", Hosts: []string{"registry.npmjs.org"}, Secrets: []gate.ActionSecret{{Name: "NPM_TOKEN"}}, File: "/home/ann/manifests/npm.yaml", Line: 1},
	}
	for i, e := range []audit.Event{
		{Kind: audit.Policy, Code: "allow", Principal: "user:ann", Actions: []string{"github", "npm"}, Action: "github", Reason: "medium risk is allowed"},
		{Kind: audit.RunOpened, Run: "run-5f0c2a91be73", Principal: "user:ann", Actions: []string{"github", "npm"}},
		{Kind: audit.Request, Run: "run-5f0c2a91be73", Action: "github", Method: "GET", Host: "api.github.com", Status: 200, Secrets: git, ResponseBytes: 20481, Duration: 83 * time.Millisecond},
		{Kind: audit.Request, Run: "run-5f0c2a91be73", Action: "npm", Method: "GET", Host: "registry.npmjs.org", Status: 404, Duration: 1304 * time.Millisecond},
		{Kind: audit.Denied, Run: "run-5f0c2a91be73", Method: "POST", Host: "paste.example.net", Status: 403, Code: "egress_denied", Reason: "no action of this run may reach paste.example.net", Duration: 180 * time.Microsecond},
		{Kind: audit.Tripwire, Run: "run-5f0c2a91be73", Action: "npm", Method: "POST", Host: "registry.npmjs.org", Status: 403, Code: "tripwire", Secrets: git, Duration: 95 * time.Microsecond},
		{Kind: audit.Request, Run: "run-0b9d44e1c2aa", Action: "openai", Method: "POST", Host: "api.openai.com", Status: 502, Code: "upstream_unreachable", Duration: 10 * time.Second},
		{Kind: audit.Policy, Code: "approval", Principal: "user:ann", Action: "github_delete_repo", Reason: "critical risk needs approval"},
		{Kind: audit.Approval, Code: "requested", Principal: "user:ann", Actions: []string{"github_delete_repo"}, Ticket: "apr-77aa01c3d9e4"},
	} {
		e.Time = noon.Add(time.Duration(i-9) * time.Second)
		f.entries = append(f.entries, audit.Entry{Seq: uint64(i + 1), Event: e, Hash: strings.Repeat("ab", 32)})
	}
	return f
}

// operator is somebody before the screens.
type operator struct {
	t    *testing.T
	m    *model
	b    *fixed
	quit bool
}

// sit opens the screens of a backend; a minute of samples has passed.
func sit(t *testing.T, b *fixed, width, height int) *operator {
	f := &feed{}
	for _, e := range b.entries {
		f.add(e, nil)
	}
	o := &operator{t: t, b: b, m: newModel(t.Context(), b, f, &keyboard{}, func() time.Time { return noon })}
	o.m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	o.m.drain()
	if !b.down {
		for i := range 60 {
			s, _ := b.Poll(t.Context())
			back := float64(59 - i)
			c := *s.Counters
			c.Requests -= back*12 + float64(i%7*3)
			c.Injections -= back*11 + float64(i%5*2)
			c.Denials -= back*0.5 + float64(i%2)
			c.CacheMisses -= float64((59 - i) / 10)
			s.Counters = &c
			o.m.sampled(sampleMsg{sample: s, at: noon.Add(time.Duration(i-60) * time.Second)})
		}
	}
	o.do(o.m.poll())
	o.do(o.m.lookAtDisk())
	return o
}

// do runs a command and what follows from it, as the program would.
func (o *operator) do(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			o.do(c)
		}
	case tea.QuitMsg:
		o.quit = true
	default:
		_, next := o.m.Update(msg)
		o.do(next)
	}
}

var namedKeys = map[string]tea.Key{"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift},
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight}, "backspace": {Code: tea.KeyBackspace},
	"ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+j": {Code: 'j', Mod: tea.ModCtrl}, "ctrl+u": {Code: 'u', Mod: tea.ModCtrl}}

// press presses keys: names of keys, or one character each.
func (o *operator) press(keys ...string) *operator {
	for _, k := range keys {
		key, named := namedKeys[k]
		if !named {
			r := []rune(k)
			if len(r) != 1 {
				o.t.Fatalf("no key %q", k)
			}
			key = tea.Key{Code: r[0], Text: k}
		}
		_, cmd := o.m.Update(tea.KeyPressMsg(key))
		o.do(cmd)
	}
	return o
}

// enter types text, character by character.
func (o *operator) enter(s string) *operator {
	for _, r := range s {
		o.press(string(r))
	}
	return o
}

func (o *operator) paste(s string) *operator {
	_, cmd := o.m.Update(tea.PasteMsg{Content: s})
	o.do(cmd)
	return o
}

// screen is what is seen, without colour.
func (o *operator) screen() string {
	lines := strings.Split(ansi.Strip(strings.Join(o.m.lines(), "\n")), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func (o *operator) sees(want ...string) *operator {
	o.t.Helper()
	for _, w := range want {
		if !strings.Contains(o.screen(), w) {
			o.t.Errorf("the screen does not show %q:\n%s", w, o.screen())
		}
	}
	return o
}

func (o *operator) seesNot(not ...string) *operator {
	o.t.Helper()
	for _, n := range not {
		if strings.Contains(o.screen(), n) {
			o.t.Errorf("the screen shows %q:\n%s", n, o.screen())
		}
	}
	return o
}

// did fails the test unless exactly that was asked of the backend.
func (o *operator) did(want ...string) *operator {
	o.t.Helper()
	if !slices.Equal(o.b.did, want) {
		o.t.Errorf("the backend was asked %q, want %q", o.b.did, want)
	}
	return o
}
