package gate

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchgate/latchgate/audit"
)

// riskyManifest is callManifest with a risk that the built-in policy asks about.
var riskyManifest = strings.Replace(callManifest, "action_id: call\n", "action_id: call\nrisk_level: high\n", 1)

const alice = "user:alice"

// risky is a world with one action that needs approval.
func risky(t *testing.T, config string) *world {
	t.Helper()
	w := newWorld(t, riskyManifest, defaultConfig+config)
	w.setSecrets(map[string]string{"TOKEN": token})
	return w
}

func (w *world) call(principal, id string) error {
	_, err := w.Execute(context.Background(), ExecuteRequest{Principal: principal, Action: "call", Args: map[string]any{"id": id}})
	return err
}

// asks makes a call that needs approval, and returns its ticket.
func (w *world) asks(principal, id string) string {
	w.t.Helper()
	e := code(w.t, w.call(principal, id), CodeApprovalRequired)
	if !strings.HasPrefix(e.Ticket, "apr-") || !strings.Contains(e.Hint, "latchgate approvals approve "+e.Ticket) {
		w.t.Fatalf("no ticket: %+v", e)
	}
	return e.Ticket
}

func (w *world) approves(ticket string) {
	w.t.Helper()
	if a, err := w.Approvals().Approve(ticket, "user:boss"); err != nil || a.State != ApprovalApproved || a.DecidedBy != "user:boss" {
		w.t.Fatalf("%+v %v", a, err)
	}
}

func TestAnApprovalIsForOneRequestOnce(t *testing.T) {
	w := risky(t, "")
	ticket := w.asks(alice, "1")
	if again := w.asks(alice, "1"); again != ticket {
		t.Errorf("the same request gets %s and then %s", ticket, again)
	}
	for name, other := range map[string]string{"argument": w.asks(alice, "2"), "principal": w.asks("user:mallory", "1")} {
		if other == ticket {
			t.Errorf("a changed %s keeps the ticket", name)
		}
	}
	w.approves(ticket)
	w.asks(alice, "2")
	w.asks("user:mallory", "1")
	if n := len(w.requests()); n != 0 {
		t.Fatalf("%d requests arrived", n)
	}
	if err := w.call(alice, "1"); err != nil {
		t.Fatalf("approved: %v", err)
	}
	if n := len(w.requests()); n != 1 {
		t.Errorf("%d requests arrived", n)
	}
	if next := w.asks(alice, "1"); next == ticket {
		t.Error("a used ticket is given again")
	}
	_, err := w.Approvals().Approve(ticket, "user:boss")
	code(t, err, CodeApprovalEnded)
	_, err = w.Approvals().Approve("apr-000000000000", "user:boss")
	code(t, err, CodeApprovalUnknown)
}

// What was approved is the door, the budget and the hosts too.
func TestAnApprovalIsBoundToAllThatTheApproverSaw(t *testing.T) {
	w := risky(t, "")
	open := func(change func(*OpenRequest)) string {
		t.Helper()
		q := OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"call"}, TTL: time.Minute, MaxRequests: 1, MaxBytes: 1}
		change(&q)
		_, err := w.Open(context.Background(), q)
		return code(t, err, CodeApprovalRequired).Ticket
	}
	seen := []string{open(func(*OpenRequest) {})}
	for name, change := range map[string]func(*OpenRequest){
		"door": func(q *OpenRequest) { q.Door = DoorExec }, "time": func(q *OpenRequest) { q.TTL = time.Hour },
		"requests": func(q *OpenRequest) { q.MaxRequests = 0 }, "bytes": func(q *OpenRequest) { q.MaxBytes = 2 },
		"arguments": func(q *OpenRequest) { q.Args = map[string]any{"id": "1"} },
	} {
		ticket := open(change)
		if slices.Contains(seen, ticket) {
			t.Errorf("another %s has the same ticket", name)
		}
		seen = append(seen, ticket)
	}
	w.write("actions/a.yaml", strings.ReplaceAll(strings.Replace(riskyManifest, `allowed_domains: ["api.localhost:PORT"]`, `allowed_domains: ["api.localhost:PORT", other.example.com]`, 1), "PORT", w.port))
	if err := w.Reload(context.Background(), w.load()); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(seen, open(func(*OpenRequest) {})) {
		t.Error("more hosts have the same ticket")
	}
}

// A manifest that does something else under the same name, to the same host and
// with the same secret, is not what was approved.
func TestAnApprovalIsBoundToWhatTheManifestDoes(t *testing.T) {
	for name, change := range map[string][2]string{
		"template": {"/items/{{id}}", "/accounts/{{id}}"},
		"method":   {"allowed_methods: [POST]", "allowed_methods: [POST, DELETE]"},
		"path":     {"allowed_methods: [POST]", `allowed_methods: [POST], allowed_paths: ["/items/*"]`},
		"binding":  {"{name: TOKEN, required: true}", "{name: TOKEN, required: true, inject: [{as: header, header: X-Token}]}"},
	} {
		t.Run(name, func(t *testing.T) {
			w := risky(t, "")
			ticket := w.asks(alice, "1")
			w.approves(ticket)
			reload := func(manifest string) {
				t.Helper()
				w.write("actions/a.yaml", strings.ReplaceAll(manifest, "PORT", w.port))
				if err := w.Reload(context.Background(), w.load()); err != nil {
					t.Fatal(err)
				}
			}
			changed := strings.Replace(riskyManifest, change[0], change[1], 1)
			if changed == riskyManifest {
				t.Fatal("nothing is changed")
			}
			reload(changed)
			if other := w.asks(alice, "1"); other == ticket {
				t.Error("it has the same ticket")
			}
			reload("\n" + riskyManifest) // as it was, elsewhere in the file
			if err := w.call(alice, "1"); err != nil {
				t.Errorf("as it was approved: %v", err)
			}
		})
	}
}

// Values of arguments can be private: they go with their ticket, whether or not
// anybody lists the tickets.
func TestTheValuesOfAnEndedTicketAreForgotten(t *testing.T) {
	w := risky(t, "")
	w.approves(w.asks(alice, "1"))
	if err := w.call(alice, "1"); err != nil {
		t.Fatal(err)
	}
	as := w.Approvals()
	as.mu.Lock()
	defer as.mu.Unlock()
	if len(as.values) != 0 {
		t.Errorf("%d are kept", len(as.values))
	}
}

func TestAnApprovedTicketOpensOneRunHoweverManyAsk(t *testing.T) {
	w := risky(t, "")
	w.approves(w.asks(alice, "1"))
	var ran atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if w.call(alice, "1") == nil {
				ran.Add(1)
			}
		})
	}
	wg.Wait()
	if n := len(w.requests()); ran.Load() != 1 || n != 1 {
		t.Errorf("%d ran, %d requests arrived", ran.Load(), n)
	}
}

func TestADeniedRequestStaysDenied(t *testing.T) {
	w := risky(t, "")
	ticket := w.asks(alice, "1")
	w.approves(ticket)
	if a, err := w.Approvals().Deny(ticket, "user:boss"); err != nil || a.State != ApprovalDenied {
		t.Fatalf("an approval can't be taken back: %+v %v", a, err)
	}
	if e := code(t, w.call(alice, "1"), CodeApprovalDenied); e.Ticket != ticket {
		t.Errorf("ticket %s", e.Ticket)
	}
	_, err := w.Approvals().Approve(ticket, "user:boss")
	code(t, err, CodeApprovalEnded)
}

func TestATicketIsValidFor300Seconds(t *testing.T) {
	w := risky(t, "")
	now := time.Now()
	w.Approvals().now = func() time.Time { return now }
	ticket := w.asks(alice, "1")
	a, err := w.Approvals().Get(ticket)
	if err != nil || a.Expires.Sub(a.Created) != 300*time.Second {
		t.Fatalf("%+v %v", a, err)
	}
	w.approves(ticket)
	denied := w.asks(alice, "2")
	if _, err := w.Approvals().Deny(denied, "user:boss"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(300*time.Second - 1)
	if a, _ := w.Approvals().Get(ticket); a.State != ApprovalApproved {
		t.Errorf("in its last moment it is %s", a.State)
	}
	now = now.Add(1)
	if a, _ := w.Approvals().Get(ticket); a.State != ApprovalExpired {
		t.Errorf("after its time it is %s", a.State)
	}
	if next := w.asks(alice, "1"); next == ticket {
		t.Error("an expired ticket is given again")
	}
	w.asks(alice, "2") // denied is not for ever
	_, err = w.Approvals().Approve(ticket, "user:boss")
	code(t, err, CodeApprovalEnded)
	now = now.Add(2 * time.Hour)
	w.asks(alice, "3")
	if all, err := w.Approvals().List(); err != nil || len(all) != 1 {
		t.Errorf("%d tickets are kept: %v", len(all), err)
	}
}

// A ticket outlives a restart; the arguments' values never leave the memory.
func TestTicketsOutliveARestart(t *testing.T) {
	w := risky(t, "")
	const value = "a-value-that-may-be-private"
	ticket := w.asks(alice, value)
	a, err := w.Approvals().Get(ticket)
	if err != nil || len(a.Arguments) != 2 || a.Arguments[0].Name != "id" || a.Arguments[0].Value != value || a.Arguments[0].Bytes != len(value) {
		t.Fatalf("an approver sees %+v %v", a, err)
	}
	w.approves(ticket)
	if err := w.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(w.dir, ".latchgate", "approvals.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), value) {
			t.Errorf("the value is in %s", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if a, err := w.Approvals().Get(ticket); err != nil || a.State != ApprovalApproved || a.Arguments[0].Value != nil {
		t.Errorf("%+v %v", a, err)
	}
	if err := w.call(alice, value); err != nil {
		t.Errorf("an approval from before the restart: %v", err)
	}
	code(t, w.call(alice, value), CodeApprovalRequired)
}

// A use that can't be kept is none: after a crash it could be repeated.
func TestAnApprovalThatCannotBeKeptRunsNothing(t *testing.T) {
	w := risky(t, "")
	ticket := w.asks(alice, "1")
	w.approves(ticket)
	file := w.Approvals().file.path
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"damaged": string(good[:len(good)/2]), "another": "{}"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if e := code(t, w.call(alice, "1"), CodeInternal); strings.Contains(e.Message+e.Hint, w.dir) {
			t.Errorf("%s: the caller sees a path: %+v", name, e)
		}
	}
	if !strings.Contains(w.log.String(), file) {
		t.Error("the log does not say which file")
	}
	if n := len(w.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestAnApprovalIsGivenBackWhenNoRunCouldBeOpened(t *testing.T) {
	w := risky(t, "")
	w.write("latchgate.toml", strings.Replace(worldConfig, "[gate]\n", "[gate]\nmax_runs = 1\n", 1)+defaultConfig+"[policy.data]\nallow = [\"free\"]\n")
	w.write("actions/free.yaml", "action_id: free\n")
	w.restart()
	w.approves(w.asks(alice, "1"))
	run, err := w.Open(context.Background(), OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"free"}})
	if err != nil {
		t.Fatal(err)
	}
	code(t, w.call(alice, "1"), CodeOverloaded)
	w.Close(run.ID)
	if err := w.call(alice, "1"); err != nil {
		t.Errorf("the approval is gone: %v", err)
	}
}

// A denial by the policy comes before anybody is asked, and clients without
// credentials can't ask at all.
func TestNobodyIsAskedInVain(t *testing.T) {
	w := newWorld(t, riskyManifest+"---\naction_id: never\n", defaultConfig+"[policy.data]\ndeny = [\"never\"]\n")
	_, err := w.Open(context.Background(), OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"call", "never"}})
	code(t, err, CodePolicyDenied)
	_, err = w.Open(context.Background(), OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"call", "nothing"}})
	code(t, err, CodeActionUnknown)
	_, err = w.Open(context.Background(), OpenRequest{Principal: "default", Door: DoorDefault, Actions: []string{"call"}})
	if e := code(t, err, CodeApprovalRequired); e.Ticket != "" || !strings.Contains(e.Hint, "allow list") {
		t.Errorf("%+v", e)
	}
	if all, err := w.Approvals().List(); err != nil || len(all) != 0 {
		t.Errorf("%d tickets: %v", len(all), err)
	}
}

func TestTicketsThatWaitAreBounded(t *testing.T) {
	w := risky(t, "")
	as := w.Approvals()
	for i := range maxApprovals {
		if _, err := as.ask(Approval{Digest: strings.Repeat("x", i+1), Arguments: []Argument{{Name: "n", Value: "private"}}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if raw, err := os.ReadFile(as.file.path); err != nil || strings.Contains(string(raw), "private") {
		t.Errorf("a value is on disk: %v", err)
	}
	code(t, w.call(alice, "1"), CodeOverloaded)
}

func TestAWaitEndsWithTheDecision(t *testing.T) {
	w := risky(t, "")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ticket := w.asks(alice, "1")
	if a, err := w.Approvals().Wait(ctx, ticket, time.Millisecond); err != nil || a.State != ApprovalPending {
		t.Errorf("nobody decided: %+v %v", a, err)
	}
	// Another process decides: here, another view of the same file.
	elsewhere := OpenApprovals(w.Config(), nil)
	go func() { _, _ = elsewhere.Approve(ticket, "user:boss") }()
	if a, err := w.Approvals().Wait(ctx, ticket, time.Hour); err != nil || a.State != ApprovalApproved {
		t.Errorf("%+v %v", a, err)
	}
	gone, leave := context.WithCancel(ctx)
	leave()
	if a, err := w.Approvals().Wait(gone, w.asks(alice, "2"), time.Hour); err != nil || a.State != ApprovalPending {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := w.Approvals().Wait(ctx, "apr-0", time.Hour); err == nil {
		t.Error("a wait for a ticket that is not there")
	}
}

func TestARunThatWasApprovedSaysSo(t *testing.T) {
	w := risky(t, "")
	q := OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"call"}, TTL: time.Hour}
	_, err := w.Open(context.Background(), q)
	ticket := code(t, err, CodeApprovalRequired).Ticket
	w.approves(ticket)
	run, err := w.Open(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if s := w.RunStatuses(); len(s) != 1 || s[0].Ticket != ticket {
		t.Errorf("%+v", s)
	}
	// What was approved is its time too, even where nobody would be asked now.
	w.write("latchgate.toml", worldConfig+defaultConfig+"[policy.data]\nallow = [\"call\"]\n")
	if err := w.Reload(context.Background(), w.load()); err != nil {
		t.Fatal(err)
	}
	code(t, w.Renew(context.Background(), run.ID, 2*time.Hour), CodeApprovalRequired)
	if err := w.audit.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for e, err := range audit.Read(w.auditFile) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Ticket == ticket {
			kinds = append(kinds, string(e.Kind)+" "+e.Code+" "+e.Principal)
		}
	}
	want := []string{"approval requested " + alice, "run_refused approval_required " + alice, "approval approved user:boss", "run_opened  " + alice}
	if !slices.Equal(kinds, want) {
		t.Errorf("the record says %q, want %q", kinds, want)
	}
}

func TestRenew(t *testing.T) {
	w := newWorld(t, agentManifest, defaultConfig)
	w.setSecrets(map[string]string{"TOKEN": token})
	ctx := context.Background()
	open := func(ttl time.Duration) *OpenedRun {
		run, err := w.Open(ctx, OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"call"}, TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	// A run that is renewed in time does not end at its first deadline.
	short, kept := open(300*time.Millisecond), open(300*time.Millisecond)
	if err := w.Renew(ctx, kept.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	<-short.run.Context().Done()
	if kept.run.Context().Err() != nil || time.Until(kept.run.Deadline()) < 59*time.Minute {
		t.Errorf("deadline %v, %v", kept.run.Deadline(), context.Cause(kept.run.Context()))
	}
	before := kept.run.Deadline()
	if err := w.Renew(ctx, kept.ID, time.Minute); err != nil || !kept.run.Deadline().Equal(before) {
		t.Errorf("a renewal made the life shorter: %v", err)
	}
	code(t, w.Renew(ctx, short.ID, time.Hour), CodeRunUnknown)
	code(t, w.Renew(ctx, kept.ID, 0), CodeBadRequest)
	code(t, w.Renew(ctx, open(0).ID, time.Hour), CodeRunEndless)
	// The policy is asked again.
	w.write("latchgate.toml", worldConfig+defaultConfig+"[policy.data]\ndeny = [\"call\"]\n")
	if err := w.Reload(ctx, w.load()); err != nil {
		t.Fatal(err)
	}
	code(t, w.Renew(ctx, kept.ID, 2*time.Hour), CodePolicyDenied)
	if errors.Is(kept.run.Context().Err(), context.Canceled) {
		t.Error("a refused renewal ended the run")
	}
}

// Another process decides on a ticket, or removes it, and this one is not told.
func TestTheValuesOfATicketThatAnotherProcessEndedAreForgotten(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, other *Approvals, ticket string){
		"denied":  func(t *testing.T, other *Approvals, ticket string) { _ = errOf(other.Deny(ticket, "user:boss")) },
		"removed": func(t *testing.T, other *Approvals, _ string) { _ = os.Remove(other.file.path) },
	} {
		t.Run(name, func(t *testing.T) {
			w := risky(t, "")
			ticket := w.asks(alice, "private")
			as := w.Approvals()
			end(t, OpenApprovals(w.Config(), nil), ticket)
			if len(as.held()) != 1 {
				t.Fatal("nothing was held")
			}
			if _, err := as.List(); err != nil || len(as.held()) != 0 {
				t.Errorf("after a list: %v are held, %v", as.held(), err)
			}
		})
	}
}

func TestTheValuesOfATicketAreHeldUntilItExpiresAtMost(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		as := &Approvals{file: ticketFile{filepath.Join(dir, "approvals.json")}, now: time.Now, values: map[string]map[string]any{}, changed: make(chan struct{})}
		if _, err := as.ask(Approval{Digest: "d"}, map[string]any{"id": "private"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ApprovalTTL - time.Second)
		synctest.Wait()
		if len(as.held()) != 1 {
			t.Error("forgotten before the ticket has ended")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(as.held()) != 0 {
			t.Error("held although the ticket has ended, and nobody asks")
		}
	})
}

// A run keeps what it was opened with, so it is not renewed once that is not
// what it would be given.
func TestARenewalDoesNotOutliveWhatWasWithdrawn(t *testing.T) {
	const wide = `
action_id: call
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT", other.example.com], allowed_methods: [GET, POST]}
secrets: [{name: TOKEN}]
`
	config := worldConfig + defaultConfig
	for name, c := range map[string]struct{ manifest, config string }{
		"host":                {strings.Replace(wide, ", other.example.com", "", 1), config},
		"method":              {strings.Replace(wide, "GET, POST", "GET", 1), config},
		"secret":              {strings.Replace(wide, "secrets: [{name: TOKEN}]", "", 1), config},
		"host by the policy":  {wide, config + "[policy.data]\ndeny_hosts = [\"other.example.com\"]\n"},
		"the manifest itself": {strings.Replace(wide, "action_id: call", "action_id: another", 1), config},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wide, defaultConfig)
			w.setSecrets(map[string]string{"TOKEN": token})
			run, err := w.Open(t.Context(), OpenRequest{Principal: alice, Door: DoorEnv, Actions: []string{"call"}, TTL: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			reload := func(manifest, config string) {
				t.Helper()
				w.write("actions/a.yaml", strings.ReplaceAll(manifest, "PORT", w.port))
				w.write("latchgate.toml", config)
				if err := w.Reload(t.Context(), w.load()); err != nil {
					t.Fatal(err)
				}
			}
			reload(c.manifest, c.config)
			want := CodeRunOutdated
			if name == "the manifest itself" {
				want = CodeActionUnknown
			}
			code(t, w.Renew(t.Context(), run.ID, time.Hour), want)
			if run.run.Context().Err() != nil {
				t.Error("the run ended before its time")
			}
			reload("\n"+wide, config) // as it was, elsewhere in the file
			if err := w.Renew(t.Context(), run.ID, time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
}
