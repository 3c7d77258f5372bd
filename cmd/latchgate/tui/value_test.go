package tui

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

func TestSecretsAreSetWithWhatIsTypedOrPasted(t *testing.T) {
	for _, c := range []struct {
		name string
		give func(*operator)
		want string
	}{
		{"typed, with keys that mean something elsewhere", func(o *operator) { o.enter("q?5jry/ \\ü") }, "q?5jry/ \\ü"},
		{"pasted with many lines", func(o *operator) { o.paste("-----BEGIN\r\nabc\rdef\n\n") }, "-----BEGIN\nabc\ndef\n"},
		{"pasted and typed", func(o *operator) { o.paste("one").press("ctrl+j").enter("two") }, "one\ntwo"},
		{"mended", func(o *operator) { o.enter("wrong").press("ctrl+u").enter("rightü").press("backspace") }, "right"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := sit(t, newFixed(), 80, 24).press("6", "5", "s").enter("NEW_TOKEN").press("enter")
			c.give(o)
			o.press("enter").did(fmt.Sprintf("set NEW_TOKEN %q", c.want)).sees("set NEW_TOKEN", "▸ NEW_TOKEN")
		})
	}
}

func TestNameAloneIsTheSecretUnderTheCursor(t *testing.T) {
	sit(t, newFixed(), 80, 24).press("6", "5", "j", "j", "k", "s").sees("enter alone: NPM_TOKEN").press("enter", "v", "enter").did(`set NPM_TOKEN "v"`)
}

func TestSecretsRefuseWhatCannotBe(t *testing.T) {
	o := sit(t, newFixed(), 80, 24).press("6", "5", "s").enter("1 bad").press("enter").sees("can't be a name").press("ctrl+u").enter("NEW").press("enter", "enter").sees("nothing was typed").did()
	o.press("esc").seesNot("Value of").did()
	o.press("s").enter("READ_ONLY").press("enter", "v", "enter").sees("✗ the file can't be written; make room")
}

func TestRemovalAsks(t *testing.T) {
	o := sit(t, newFixed(), 80, 24).press("6", "5", "r").sees("Remove GITHUB_TOKEN?", "github_delete_repo").press("n").did()
	o.press("r", "esc").did().press("down", "r").sees("no secret that is set").press("up", "r", "y").did("remove GITHUB_TOKEN")
	o.seesNot("GITHUB_TOKEN  ")
}

func TestInitSaysWhatItDid(t *testing.T) {
	b := newFixed()
	b.fault = fmt.Errorf("secrets file not found")
	sit(t, b, 80, 24).press("6", "5").sees("secrets file not found", "i makes a key", "GITHUB_TOKEN").press("i").did("init").sees("created  age key", "created  secrets file").press("j").seesNot("created")
}

// TestNothingTellsAValueOrItsLength draws the screen after each kind of value.
func TestNothingTellsAValueOrItsLength(t *testing.T) {
	drawn := map[string]bool{}
	for _, v := range []string{"x", "sentinel-value", strings.Repeat("long", 500), "sentinel\nsentinel"} {
		o := sit(t, newFixed(), 80, 24).press("6", "5", "s", "N", "enter").paste(v)
		drawn[strings.Join(o.m.lines(), "\n")] = true
		o.seesNot("sentinel").press("enter").seesNot("sentinel")
	}
	if len(drawn) != 1 {
		t.Errorf("%d different screens for values of different lengths", len(drawn))
	}
}

// TestValuesAreWipedHoweverTheyEnd looks at the memory that held the value.
func TestValuesAreWipedHoweverTheyEnd(t *testing.T) {
	for name, end := range map[string]func(*operator){
		"set":         func(o *operator) { o.press("enter") },
		"given up":    func(o *operator) { o.press("esc") },
		"begun again": func(o *operator) { o.press("ctrl+u") },
		"quit":        func(o *operator) { o.press("ctrl+c") },
		"killed":      func(o *operator) { o.m.wipe() },
	} {
		o := sit(t, newFixed(), 80, 24).press("6", "5", "s", "N", "enter").paste("sentinel-value")
		held := o.m.setup.secrets.early.text
		if !bytes.Contains(held, []byte("sentinel")) {
			t.Fatal("the value is held elsewhere")
		}
		if end(o); bytes.Contains(held[:cap(held)], []byte("sentinel")) {
			t.Errorf("%s: the value is still there", name)
		}
	}
}

func TestAGrowingValueLeavesNoCopy(t *testing.T) {
	var v value
	v.add([]byte("sentinel")...)
	first := v.text
	v.add(make([]byte, 10_000)...)
	if bytes.Contains(first, []byte("sentinel")) || !bytes.HasPrefix(v.text, []byte("sentinel")) {
		t.Error("the old memory still holds the value")
	}
	v.back()
	v.wipe()
	v.back() // of nothing
	v.add(make([]byte, maxValue+1)...)
	if !v.empty() {
		t.Error("a value without bound")
	}
}

func TestAPasteThatNobodyAskedForIsNoCommand(t *testing.T) {
	o := sit(t, newFixed(), 80, 24).press("6", "5")
	before := o.screen()
	for range 2 {
		_, cmd := o.m.Update(tea.PasteMsg{Content: "sryi\nq"})
		o.do(cmd)
	}
	if o.did(); o.screen() != before || o.quit {
		t.Error("pasted text did something")
	}
}

// slow is a backend whose file is locked until the test opens it.
type slow struct {
	*fixed
	began, open chan struct{}
}

func (s *slow) SetSecret(ctx context.Context, name string, v []byte) error {
	close(s.began)
	<-s.open
	return s.fixed.SetSecret(ctx, name, v)
}

func TestAChangeGoesOnWhenTheOperatorQuits(t *testing.T) {
	s := &slow{newFixed(), make(chan struct{}), make(chan struct{})}
	o := sit(t, s.fixed, 80, 24)
	o.m.backend = s
	o.press("6", "5", "s").enter("READ_ONLY").press("enter", "v")
	_, cmd := o.m.Update(tea.KeyPressMsg(namedKeys["enter"]))
	o.press("ctrl+c")
	<-s.began
	o.m.over.Store(true)
	close(s.open)
	o.m.changes.Wait()
	if late := o.m.late.Load(); late == nil || late.err == nil || !o.quit {
		t.Error("nothing is known of a change that failed after the screens")
	}
	if o.did(`set READ_ONLY "v"`); cmd == nil {
		t.Error("no command waits for it")
	}
}
