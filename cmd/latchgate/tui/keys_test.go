package tui

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

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

// Where the ticket under the cursor goes away, the next key must not decide on
// the one that comes to its place.
func TestTheCursorIsOnNoOtherTicketWhereItsOwnGoesAway(t *testing.T) {
	for _, keys := range [][]string{{"3"}, {"3", "enter"}} {
		b := newFixed()
		second := b.sample.Approvals[0]
		second.Ticket = "apr-ffffffffffff"
		both := append(slices.Clone(b.sample.Approvals[:1]), second)
		b.sample.Approvals = both
		o := sit(t, b, 80, 24).press(keys...)
		b.sample.Approvals = both[1:]
		o.do(o.m.poll())
		o.press("a").sees("is not there any more").press("y").did().seesNot("▸")
		b.down = true
		o.do(o.m.poll())
		b.down, b.sample.Approvals = false, both
		o.do(o.m.poll())
		o.sees("▸ apr-77aa01c3d9e4").press("down").sees("▸ apr-ffffffffffff")
		b.sample.Approvals = both[:1]
		o.do(o.m.poll())
		o.press("down", "d", "y").did("decide apr-77aa01c3d9e4 false")
	}
}

func TestAnEmptyListGivesTheCursorToTheNextTicket(t *testing.T) {
	b := newFixed()
	all := b.sample.Approvals
	o := sit(t, b, 80, 24).press("3")
	b.sample.Approvals = nil
	o.do(o.m.poll())
	b.sample.Approvals = all[1:]
	o.do(o.m.poll())
	o.sees("▸ apr-10b2c4f7a8d0")
	b.sample.Approvals = all
	o.do(o.m.poll())
	o.press("/").enter("delete").sees("▸ apr-77aa01c3d9e4") // it is the operator who takes the other one away
}

func TestAllOfATicketCanBeReadBeforeTheAnswer(t *testing.T) {
	b := newFixed()
	for i := range 20 {
		b.sample.Approvals[0].Arguments = append(b.sample.Approvals[0].Arguments, gate.Argument{Name: fmt.Sprint("n", i), Value: "v"})
	}
	b.sample.Approvals[0].Digest = "the-last-line"
	sit(t, b, 80, 24).press("3", "a").seesNot("the-last-line").press("G").sees("the-last-line", "y yes").did()
}

func TestDetailsStayThoseOfTheirEvent(t *testing.T) {
	b := newFixed()
	o := sit(t, b, 80, 24).press("2", "enter").sees("number 9 of the record")
	for seq := uint64(10); seq < maxEntries+8; seq++ {
		o.m.feed.add(audit.Entry{Seq: seq, Event: audit.Event{Time: noon, Kind: audit.Denied}}, nil)
	}
	o.m.Update(tickMsg(noon))
	o.sees("number 9 of the record")
	o.m.feed.add(audit.Entry{Seq: 5000, Event: audit.Event{Time: noon, Kind: audit.Denied}}, nil)
	o.m.feed.add(audit.Entry{Seq: 5001, Event: audit.Event{Time: noon, Kind: audit.Denied}}, nil)
	o.m.Update(tickMsg(noon))
	o.seesNot("of the record").sees("of 1000") // it is forgotten, and no other one takes its place
}

// What the daemon said last is not shown as what it says now.
func TestADaemonThatHangsIsNotLive(t *testing.T) {
	o := sit(t, newFixed(), 80, 24)
	o.m.now = func() time.Time { return noon.Add(staleAfter + time.Second) }
	o.sees("has not answered since 12:00:00", "Requests a second            –").press("2").sees("Not live").press("3").sees("apr-77aa01c3d9e4")
}

func TestAnEventStreamThatFailsIsNotLive(t *testing.T) {
	o := sit(t, newFixed(), 80, 24).press("2")
	o.m.feed.add(audit.Entry{}, fmt.Errorf("%w any more", gate.ErrNoDaemon)) // which the next look finds out, or not
	o.m.Update(tickMsg(noon))
	o.sees("  Live")
	o.m.feed.add(audit.Entry{}, errors.New("the record is off"))
	o.m.Update(tickMsg(noon))
	o.sees("Not live: the record is off", "tripwire")
}

func TestTheNewestEventsAreKept(t *testing.T) {
	s := &shared{feed: &feed{}}
	for seq := uint64(1); seq <= 2*maxEntries+1; seq++ {
		s.feed.add(audit.Entry{Seq: seq, Event: audit.Event{Time: noon}}, nil)
		if seq == 3 || seq == maxEntries+2 || seq == 2*maxEntries+1 {
			s.drain()
		}
	}
	if len(s.entries) != maxEntries || s.entries[0].Seq != 2*maxEntries+1 || s.entries[maxEntries-1].Seq != maxEntries+2 {
		t.Errorf("%d, from %d to %d", len(s.entries), s.entries[0].Seq, s.entries[len(s.entries)-1].Seq)
	}
}

func TestANarrowTerminalSeesWhereItIs(t *testing.T) {
	sit(t, newFixed(), minWidth, minHeight).press("6", "5").sees("[6 Setup]", "[5 Secrets]")
}

func TestACommandIsNotBrokenInsideAnOption(t *testing.T) {
	if got := wrap("security add-trusted-cert -r trustRoot", 27); !slices.Equal(got, []string{"security add-trusted-cert", "-r trustRoot"}) {
		t.Errorf("%q", got)
	}
}

func TestNumbersThatAreNoneAreDrawn(t *testing.T) {
	if got := sparkline([]float64{math.NaN(), math.Inf(1), -3, 1}, 4, 0); len([]rune(got)) != 4 {
		t.Error(got)
	}
	if got := sparkline([]float64{math.NaN(), -3}, 4, 100); got != "▁▁" {
		t.Error(got)
	}
}

func TestEveryNoColorIsNoColor(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    int
	}{{[]string{"TERM=xterm"}, 1}, {[]string{"NO_COLOR="}, 1}, {[]string{"NO_COLOR=yes"}, 2}, {[]string{"NO_COLOR=0"}, 2}} {
		got := anyNoColor(c.environ)
		if len(got) != c.want || c.want == 2 && got[1] != "NO_COLOR=1" {
			t.Errorf("%q: %q", c.environ, got)
		}
	}
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
