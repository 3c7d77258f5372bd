package tui

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/gate"
)

func TestKeysLeadToTheScreens(t *testing.T) {
	o := sit(t, newFixed(), 80, 24)
	for _, c := range []struct {
		keys []string
		see  string
	}{
		{[]string{"2"}, "[2 Activity]"}, {[]string{"tab"}, "[3 Approvals]"}, {[]string{"left"}, "[2 Activity]"}, {[]string{"shift+tab", "shift+tab"}, "[6 Setup]"},
		{[]string{"5"}, "[5 Secrets]"}, {[]string{"tab"}, "[1 Overview]"}, {[]string{"right", "right"}, "[3 Certificates]"}, {[]string{"6"}, "[3 Certificates]"},
		{[]string{"esc"}, "[1 Dashboard]"}, {[]string{"4", "6", "esc"}, "[4 Actions]"}, {[]string{"?"}, "Keys here"}, {[]string{"esc"}, "3 ready"}, {[]string{"?", "5"}, "Decisions"},
	} {
		o.press(c.keys...).sees(c.see)
	}
	if o.press("q"); !o.quit {
		t.Error("q does not quit")
	}
}

func TestEveryScreenHasHelp(t *testing.T) {
	for _, keys := range [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6", "1"}, {"6", "2"}, {"6", "3"}, {"6", "4"}, {"6", "5"}} {
		o := sit(t, newFixed(), 80, 24).press(keys...)
		before := o.screen()
		o.press("?").sees("Keys here", "Everywhere", "quit")
		if o.press("?"); o.screen() != before {
			t.Errorf("%v: after the help the screen is another one:\n%s", keys, o.screen())
		}
	}
}

func TestControlCQuitsWhereverItIsPressed(t *testing.T) {
	for _, keys := range [][]string{nil, {"2", "/"}, {"3", "a"}, {"5", "w"}, {"?"}, {"6", "5", "s"}, {"6", "5", "s", "A", "enter", "v"}, {"6", "5", "r"}} {
		if o := sit(t, newFixed(), 80, 24).press(keys...).press("ctrl+c"); !o.quit {
			t.Errorf("not after %v", keys)
		}
	}
}

func TestApprovalsAskBeforeTheyDecide(t *testing.T) {
	b := newFixed()
	o := sit(t, b, 80, 24).press("3", "a").sees("Approve apr-77aa01c3d9e4: github_delete_repo", `"old \x1b[2J\u202etitle"`)
	o.press("n").did().press("a", "x", "q", "enter").did()
	o.press("y").did("decide apr-77aa01c3d9e4 true").sees("approved apr-77aa01c3d9e4")
	o.press("a").seesNot("y yes").sees("nothing is left to decide")
	o.press("d", "y").did("decide apr-77aa01c3d9e4 true", "decide apr-77aa01c3d9e4 false")
}

// A ticket that comes in while the operator's hand is on the key must not be the
// one that is decided on.
func TestTheCursorStaysOnItsTicket(t *testing.T) {
	b := newFixed()
	o := sit(t, b, 80, 24).press("3")
	late := b.sample.Approvals[0]
	late.Ticket = "apr-ffffffffffff"
	b.sample.Approvals = append([]gate.Approval{late}, b.sample.Approvals...)
	o.do(o.m.poll())
	o.sees("2 to decide on").press("a", "y").did("decide apr-77aa01c3d9e4 true")
}

func TestActivityFiltersAndFollows(t *testing.T) {
	b := newFixed()
	o := sit(t, b, 80, 24).press("2", "/").enter("TRIPwire").sees("1 of 1").seesNot("egress_denied").press("enter").sees("/TRIPwire")
	o.press("esc").sees("1 of 9").press("/").enter("qqq").sees("nothing fits").press("esc").sees("1 of 9")
	o.press("down").sees("2 of 9")
	o.m.feed.add(audit.Entry{Seq: 10, Event: audit.Event{Time: noon, Kind: audit.Denied, Code: "late_one"}}, nil)
	o.m.Update(tickMsg(noon))
	o.sees("3 of 10", "late_one").press("g").sees("1 of 10")
	o.m.feed.add(audit.Entry{Seq: 11, Event: audit.Event{Time: noon, Kind: audit.Denied, Code: "later"}}, nil)
	o.m.Update(tickMsg(noon))
	o.sees("1 of 11").press("enter").sees("number 11 of the record")
}

func TestWhatAgentsWriteCannotMoveTheCursor(t *testing.T) {
	evil := "a\x1b[2J\x1b]0;x\x07\u202eb\r\nc\x9b1m"
	b := newFixed()
	b.entries = append(b.entries, audit.Entry{Seq: 10, Event: audit.Event{Time: noon, Kind: audit.Denied, Code: evil, Host: evil, Action: evil, Reason: evil, Method: evil}})
	b.sample.Approvals[0].Principal, b.sample.Approvals[0].Arguments[0].Name = evil, evil
	b.sample.Approvals[0].Arguments[0].Value = []any{evil}
	for _, keys := range [][]string{nil, {"2"}, {"2", "enter"}, {"3"}, {"3", "enter"}, {"3", "a"}, {"5"}} {
		o := sit(t, b, 160, 50).press(keys...)
		raw := strings.Join(o.m.lines(), "\n")
		for _, not := range []string{"\x1b[2J", "\x1b]0", "\x07", "\u202e", "\r", "\x9b"} {
			if strings.Contains(raw, not) {
				t.Errorf("%v: %q reaches the terminal", keys, not)
			}
		}
	}
}

func TestWhatIfAsksForAnAction(t *testing.T) {
	o := sit(t, newFixed(), 80, 24).press("5", "w").sees("github_delete_repo").enter("q1?").sees("q1?").press("ctrl+u").enter("github_d").press("tab", "enter")
	o.did("what if github_delete_repo").sees("critical risk needs approval", "latchgate.rego:57")
	o.press("esc").sees("Decisions").press("w").enter("nope").press("enter").sees(`there is no action "nope"`)
}

func TestWithoutADaemonTheRestWorks(t *testing.T) {
	b := newFixed()
	b.down = true
	o := sit(t, b, 80, 24).sees("no daemon", "latchgate proxy")
	for _, keys := range [][]string{{"2"}, {"3"}, {"5"}} {
		o.press(keys...).sees("no daemon")
	}
	o.press("4").sees("3 ready").press("6", "5").sees("GITHUB_TOKEN").press("i").did("init")
	b.down = false
	o.do(o.m.poll())
	o.press("esc", "1").sees("daemon 1.4.0", "run-5f0c2a91be73")
	b.down = true
	o.do(o.m.poll())
	o.sees("no daemon").seesNot("user:ci")
}

func TestMetricsThatAreOffAreNamed(t *testing.T) {
	b := newFixed()
	o := sit(t, b, 80, 24)
	b.sample.Counters, b.sample.MetricsFault = nil, "metrics.listen is empty"
	o.do(o.m.poll())
	o.sees("no numbers: metrics.listen is empty", "Runs open")
}

func TestAConfigurationThatCannotBeReadIsShown(t *testing.T) {
	b := newFixed()
	b.install = Installation{Checks: []Check{{"configuration", "file", "error", "latchgate.toml:3: unknown key", "mend it"}}, Fault: "latchgate.toml:3: unknown key \"lisen\""}
	o := sit(t, b, 80, 24).press("4").sees("lisen").press("6").sees("1 error")
	for _, tab := range []string{"2", "3", "4"} {
		o.press(tab).sees("lisen", "ctrl+r")
	}
}

// TestFeedFollowsADaemonThatComesAndGoes reads a stream that ends and begins
// anew with what is known.
func TestFeedFollowsADaemonThatComesAndGoes(t *testing.T) {
	f := &feed{}
	e := func(seq uint64) audit.Entry { return audit.Entry{Seq: seq, Event: audit.Event{Time: noon}} }
	for _, seq := range []uint64{1, 2} {
		f.add(e(seq), nil)
	}
	f.add(audit.Entry{}, errors.New("gone"))
	if got, err := f.take(); len(got) != 2 || err == nil {
		t.Fatalf("took %d, %v", len(got), err)
	}
	for _, seq := range []uint64{1, 2, 3} {
		f.add(e(seq), nil)
	}
	if got, err := f.take(); len(got) != 1 || got[0].Seq != 3 || err != nil {
		t.Fatalf("took %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.follow(ctx, newFixed()) }()
	cancel()
	<-done // and goleak sees that nothing else goes on
}
