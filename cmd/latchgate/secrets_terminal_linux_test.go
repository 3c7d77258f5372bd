package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with latchgate at its other end.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd
	done   chan struct{} // the output is read to its end

	mu     sync.Mutex
	output strings.Builder
	more   chan struct{} // closed and replaced with each piece of output
}

// onTerminal runs latchgate on a terminal of its own, as a login shell would.
func (h *home) onTerminal(environ []string, args ...string) *terminal {
	h.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		h.t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		h.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		h.t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	c := exec.Command(h.program, args...)
	c.Dir, c.Env = h.dir, append(append([]string(nil), h.environ...), environ...)
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	term := &terminal{t: h.t, master: master, slave: slave, cmd: c, more: make(chan struct{}), done: make(chan struct{})}
	go term.follow()
	h.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = slave.Close()
		<-term.done
		_ = master.Close()
	})
	return term
}

// follow reads until the last holder of the other end is gone.
func (t *terminal) follow() {
	defer close(t.done)
	buf := make([]byte, 4096)
	for {
		n, err := t.master.Read(buf)
		t.mu.Lock()
		t.output.Write(buf[:n])
		close(t.more)
		t.more = make(chan struct{})
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait returns when the output holds text.
func (t *terminal) wait(text string) {
	t.t.Helper()
	late := time.After(patience)
	for {
		t.mu.Lock()
		output, more := t.output.String(), t.more
		t.mu.Unlock()
		if strings.Contains(output, text) {
			return
		}
		select {
		case <-more:
		case <-late:
			t.t.Fatalf("the terminal never showed %q:\n%s", text, output)
		}
	}
}

func (t *terminal) enter(text string) {
	t.t.Helper()
	if _, err := t.master.WriteString(text); err != nil {
		t.t.Fatal(err)
	}
}

// echoes reports whether the terminal shows what is typed.
func (t *terminal) echoes() bool {
	t.t.Helper()
	state, err := unix.IoctlGetTermios(int(t.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// quiet waits until the terminal does not echo any more.
func (t *terminal) quiet() {
	t.t.Helper()
	for deadline := time.Now().Add(patience); t.echoes(); {
		if time.Now().After(deadline) {
			t.t.Fatal("the terminal goes on to echo")
		}
		<-time.After(time.Millisecond)
	}
}

// ended waits for the process and returns its exit status and all output.
func (t *terminal) ended() (int, string) {
	t.t.Helper()
	late := time.AfterFunc(patience, func() { _ = t.cmd.Process.Kill() })
	defer late.Stop()
	_ = t.cmd.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cmd.ProcessState.ExitCode(), t.output.String()
}

func TestPromptDoesNotShowTheValue(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	term := h.onTerminal(nil, "secrets", "set", "FROM_PROMPT")
	term.wait("Value of FROM_PROMPT: ")
	term.quiet()
	term.enter("typed-sentinel\n")
	term.wait("set FROM_PROMPT")
	status, output := term.ended()
	if status != 0 || strings.Contains(output, "typed-sentinel") {
		t.Errorf("status %d, output %q", status, output)
	}
	if !term.echoes() {
		t.Error("the terminal was left without echo")
	}
	if o := h.must("secrets", "list", "--json"); !strings.Contains(o.stdout, "FROM_PROMPT") {
		t.Errorf("it was not set: %s", o.stdout)
	}
}

// An interrupt at the prompt must not leave a terminal on which nothing shows.
func TestInterruptAtThePromptRestoresEcho(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	before := h.read("secrets.enc.yaml")
	for name, end := range map[string]func(*terminal){
		"Ctrl-C": func(term *terminal) { term.enter("half-a-sent\x03") },
		"TERM":   func(term *terminal) { _ = term.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		term := h.onTerminal(nil, "secrets", "set", "FROM_PROMPT")
		term.wait("Value of FROM_PROMPT: ")
		term.quiet()
		end(term)
		if status, output := term.ended(); status != 130 || strings.Contains(output, "half") {
			t.Errorf("%s: status %d, output %q", name, status, output)
		}
		if !term.echoes() {
			t.Errorf("%s: the terminal was left without echo", name)
		}
	}
	if h.read("secrets.enc.yaml") != before {
		t.Error("the file was changed")
	}
}

// What was typed of a value must not be the next program's.
func TestWhatWasTypedIsForgotten(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	term := h.onTerminal(nil, "version")
	term.ended() // nobody reads the terminal any more
	waiting := func() int {
		n, err := unix.IoctlGetInt(int(term.slave.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	term.enter("half\n")
	for deadline := time.Now().Add(patience); waiting() != len("half\n"); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what was typed does not arrive")
		}
	}
	if err := forgetTyped(int(term.slave.Fd())); err != nil || waiting() != 0 {
		t.Errorf("%v, %d bytes are left", err, waiting())
	}
}

// Whatever ends an edit, its text is gone.
func TestAnEditThatIsInterruptedLeavesNoText(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	before := h.read("secrets.enc.yaml")
	room := h.path("room")
	for _, c := range []struct {
		name   string
		editor string
		end    func(*terminal)
	}{
		{"Ctrl-C", "", func(term *terminal) { term.enter("\x03") }},
		{"TERM", "", func(term *terminal) { _ = term.cmd.Process.Signal(syscall.SIGTERM) }},
		{"HUP", "", func(term *terminal) { _ = term.cmd.Process.Signal(syscall.SIGHUP) }},
		{"QUIT", "", func(term *terminal) { _ = term.cmd.Process.Signal(syscall.SIGQUIT) }},
		{"an editor that does not listen", "trap '' INT TERM; ", func(term *terminal) { _ = term.cmd.Process.Signal(syscall.SIGTERM) }},
	} {
		h.write("room/.keep", "")
		h.write("editor.sh", c.editor+`sed -i 's/^API_TOKEN.*/API_TOKEN: changed/' "$1"; echo "editing $1"; cp "$1" "$1~"; while :; do sleep 1; done`)
		term := h.onTerminal([]string{"EDITOR=sh " + h.path("editor.sh")}, "secrets", "edit", "--tmpdir", room)
		term.wait("editing " + room)
		c.end(term)
		if status, output := term.ended(); status != 130 {
			t.Errorf("%s: status %d, output %q", c.name, status, output)
		}
		term.wait("nothing was changed, and the text is wiped")
		if left, _ := filepath.Glob(filepath.Join(room, "latchgate-edit-*")); len(left) != 0 {
			t.Errorf("%s: %v is left", c.name, left)
		}
	}
	if h.read("secrets.enc.yaml") != before {
		t.Error("the file was changed")
	}
}

// A killed edit can't clean up; the next one does, and leaves alone what is at work.
func TestTheNextEditRemovesWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	room := h.path("ro[om") // a name, and no pattern
	h.write("ro[om/.keep", "")
	h.write("editor.sh", `echo "editing $1"; while :; do sleep 1; done`)
	edit := func() *terminal {
		term := h.onTerminal([]string{"EDITOR=sh " + h.path("editor.sh")}, "secrets", "edit", "--tmpdir", room)
		term.wait("editing ")
		return term
	}
	killed, working := edit(), edit()
	_ = syscall.Kill(-killed.cmd.Process.Pid, syscall.SIGKILL)
	killed.ended()
	if left, _ := filepath.Glob(h.path(`ro\[om/latchgate-edit-*`)); len(left) != 2 {
		t.Fatalf("%v is there, want two folders", left)
	}
	if o := h.runWith("", []string{"EDITOR=true"}, "secrets", "edit", "--tmpdir", room); o.status != 0 {
		t.Errorf("status %d: %s", o.status, o.stderr)
	}
	left, _ := filepath.Glob(h.path(`ro\[om/latchgate-edit-*`))
	if len(left) != 1 {
		t.Fatalf("%v is left, want that of the edit at work", left)
	}
	if _, err := os.Stat(filepath.Join(left[0], "secrets.yaml")); err != nil {
		t.Error(err)
	}
	working.enter("\x03")
	working.ended()
}

func TestPlaintextGoesToMemoryOrIsRefused(t *testing.T) {
	if dir, err := memoryFolder("", "/proc", "/dev/shm"); err != nil || dir != "/dev/shm" {
		t.Errorf("%q, %v", dir, err)
	}
	if dir, err := memoryFolder("", "/proc", "/none"); err == nil || !strings.Contains(hintOf(err), "--tmpdir") {
		t.Errorf("%q, %v, %q", dir, err, hintOf(err))
	}
}
