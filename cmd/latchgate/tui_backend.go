package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/certs"
	"github.com/latchgate/latchgate/cmd/latchgate/tui"
	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/gate"
	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/secrets"
)

// screens is what `tui` shows and changes, by the code of the other commands.
type screens struct {
	app     app
	command *cobra.Command

	mu     sync.Mutex
	client *gate.Client // nil until the daemon answers
}

// told is an error with what to do about it in its text: a screen has no second
// line for that.
func told(err error) error {
	if todo := hintOf(err); err != nil && todo != "" {
		return fmt.Errorf("%w; %s", err, todo)
	}
	return err
}

func (s *screens) dial(ctx context.Context) (*gate.Client, error) {
	cfg, err := s.app.config(s.command)
	if err != nil {
		return nil, err
	}
	return gate.Dial(ctx, cfg.Gate.Socket)
}

// Poll satisfies tui.Backend.
func (s *screens) Poll(ctx context.Context) (now tui.Sample, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		if s.client.Refresh(ctx) != nil {
			s.client = nil // perhaps another one runs by now
		}
	}
	if s.client == nil {
		if s.client, err = s.dial(ctx); err != nil {
			s.client = nil
			return now, err
		}
	}
	now.Status = s.client.Status
	if now.Runs, err = s.client.Runs(ctx); err != nil {
		return now, err
	}
	if now.Approvals, err = s.client.Approvals(ctx); err != nil {
		return now, err
	}
	now.Counters, now.MetricsFault = counters(ctx, now.Status.Metrics)
	return now, nil
}

// counters are nil where the daemon's metrics can't be had, with the reason.
func counters(ctx context.Context, address string) (*tui.Counters, string) {
	if address == "" {
		return nil, "metrics.listen is empty"
	}
	all, _, err := scrapeMetrics(ctx, address)
	if err != nil {
		return nil, err.Error()
	}
	return &tui.Counters{
		Requests:    all.sum("latchgate_proxy_requests_total"),
		Injections:  all.sum("latchgate_secrets_injections_total"),
		Denials:     all.sum("latchgate_proxy_denied_total"),
		CacheHits:   all.sum("latchgate_secrets_decrypt_cache_hits_total"),
		CacheMisses: all.sum("latchgate_secrets_decrypt_cache_misses_total"),
	}, ""
}

// Events satisfies tui.Backend.
func (s *screens) Events(ctx context.Context, recent int) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		client, err := s.dial(ctx)
		if err != nil {
			yield(audit.Entry{}, err)
			return
		}
		client.Events(ctx, gate.EventFilter{Recent: recent})(yield)
	}
}

// Decide satisfies tui.Backend.
func (s *screens) Decide(ctx context.Context, ticket string, approve bool) error {
	client, err := s.dial(ctx)
	if err != nil {
		return err
	}
	if approve {
		_, err = client.Approve(ctx, ticket)
	} else {
		_, err = client.Deny(ctx, ticket)
	}
	return told(err)
}

// Installation satisfies tui.Backend.
func (s *screens) Installation(ctx context.Context) (found tui.Installation) {
	d := &doctor{environ: os.Environ(), step: func(string) {}}
	if d.load(ctx, func() (*configs.Config, error) { return s.app.config(s.command) }) {
		d.look(ctx)
	}
	for _, c := range d.checks {
		found.Checks = append(found.Checks, tui.Check{Group: c.Group, Name: c.Name, Status: c.Status, Found: c.Found, Todo: c.Todo})
	}
	if d.cfg == nil {
		_, err := s.app.config(s.command)
		found.Fault = fmt.Sprint(told(err))
		return found
	}
	for _, m := range d.catalog.All() {
		found.Actions = append(found.Actions, gate.DescribeAction(m))
	}
	for _, p := range d.problems {
		where := p.File
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		found.Problems = append(found.Problems, tui.Problem{Where: where, Action: p.ActionID, Message: p.Message, Hint: p.Hint, Note: p.Severity == manifests.Note})
	}
	found.Proxy = s.reach(d.cfg)
	found.Certificate = certificateOf(d.cfg)
	return found
}

// reach is how a client without a run gets to the proxy.
func (s *screens) reach(cfg *configs.Config) tui.Proxy {
	p := tui.Proxy{Listen: cfg.Proxy.Listen, DefaultActions: cfg.Proxy.DefaultActions}
	run := &gate.OpenedRun{Proxy: "http://" + cfg.Proxy.Listen, Trust: gate.TrustIn(cfg.CA.Dir)}
	if strings.HasPrefix(cfg.Proxy.Listen, "unix:") || absent(run.Trust.Bundle) {
		return p
	}
	vars := variables(run, hostOf(run.Proxy))
	for _, v := range vars {
		p.Variables = append(p.Variables, [2]string{v.name, v.value})
	}
	var shell strings.Builder
	_ = printEnv(&shell, "shell", vars, nil) // a Builder takes everything
	p.Shell = shell.String()
	return p
}

// certificateOf looks at the CA, and makes none.
func certificateOf(cfg *configs.Config) tui.Certificate {
	found := tui.Certificate{File: filepath.Join(cfg.CA.Dir, "ca.pem"), Key: filepath.Join(cfg.CA.Dir, "ca.key")}
	if found.Missing = absent(found.File) && absent(found.Key); found.Missing {
		return found
	}
	ca, err := certs.Open(cfg.CA.Dir, certs.Options{})
	if err != nil {
		found.Fault = err.Error()
		return found
	}
	mode, err := ca.KeyFileMode()
	if err != nil {
		found.Fault = err.Error()
		return found
	}
	found.Subject, found.Expires, found.SHA256, found.Mode = ca.Root().Subject.CommonName, ca.Expires(), fingerprint(ca.Root()), fmt.Sprintf("%04o", mode)
	return found
}

// Secrets satisfies tui.Backend.
func (s *screens) Secrets(ctx context.Context) ([]tui.Secret, error) {
	rows, err := s.app.secretCoverage(s.command)
	all := make([]tui.Secret, len(rows))
	for i, r := range rows {
		all[i] = tui.Secret{Name: r.Name, Set: r.Set, Required: r.Required, InUse: r.InUse, Actions: r.Actions, Hosts: r.Hosts}
	}
	return all, told(err)
}

// InitSecrets satisfies tui.Backend.
func (s *screens) InitSecrets(context.Context) ([]string, error) {
	var said bytes.Buffer
	a := s.app
	a.out = &said
	if err := a.initSecrets(s.command, nil, false); err != nil {
		return nil, told(err)
	}
	return strings.Split(strings.TrimSpace(said.String()), "\n"), nil
}

// SetSecret satisfies tui.Backend.
func (s *screens) SetSecret(_ context.Context, name string, value []byte) error {
	if err := checkSecretName(name); err != nil {
		return told(err)
	}
	return told(s.app.edit(s.command, func(d *secrets.Document) error { return d.Set(name, value) }))
}

// RemoveSecret satisfies tui.Backend.
func (s *screens) RemoveSecret(_ context.Context, name string) error {
	return told(s.app.removeSecret(s.command, name))
}

// WhatIf satisfies tui.Backend.
func (s *screens) WhatIf(ctx context.Context, action string) (tui.Verdict, error) {
	cfg, err := s.app.config(s.command)
	if err != nil {
		return tui.Verdict{}, told(err)
	}
	q := question{actions: []string{action}}
	if q.engine, err = newEngine(ctx, cfg); err != nil {
		return tui.Verdict{}, told(err)
	}
	v, err := q.eval(ctx, cfg)
	if err != nil {
		return tui.Verdict{}, told(err)
	}
	d := v.Actions[0]
	found := tui.Verdict{Action: d.Action, Code: string(d.Code), Reason: d.Reason, Secrets: d.ApprovedSecrets, Hosts: d.ApprovedHosts,
		DeniedSecrets: d.DeniedSecrets, DeniedHosts: d.DeniedHosts, Principal: d.Input.Principal, Door: d.Input.Door, Risk: d.Input.RiskLevel, Policy: policyName(cfg)}
	for _, line := range because(d.Explanation) {
		found.Because = append(found.Because, [2]string{line[0], line[1]})
	}
	return found, nil
}

// policyName is the policy of the configuration in words.
func policyName(cfg *configs.Config) string {
	if len(cfg.Policy.Dirs) == 0 {
		return "the built-in one"
	}
	return strings.Join(cfg.Policy.Dirs, ", ")
}
