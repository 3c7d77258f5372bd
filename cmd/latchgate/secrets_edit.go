package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/configs"
	"github.com/latchgate/latchgate/secrets"
)

func (a *app) secretsEditCommand() *cobra.Command {
	var tmpdir string
	c := &cobra.Command{
		Use:   "edit",
		Short: "Edit all secrets in $EDITOR",
		Long: `Edit all secrets in $VISUAL or $EDITOR, as lines "NAME: value" of YAML. What you
changed is written when the editor ends: only that, in one step, and nothing if
you changed nothing. While it is open, others may set other secrets.

The text is a file of mode 0600 in a folder of mode 0700 in memory-backed storage
($XDG_RUNTIME_DIR or /dev/shm), overwritten and removed afterwards, also after a
signal. Swap and backup files that an editor puts beside it go the same way; an
editor that keeps them elsewhere (vim's 'directory', 'backupdir', 'undofile' and
viminfo, emacs' autosaves) has to be told not to. An editor that opens a window
and returns at once needs the flag that makes it wait: EDITOR="code --wait".`,
		Example: "  latchgate secrets edit\n  EDITOR='code --wait' latchgate secrets edit",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.editSecrets(c, tmpdir) },
	}
	c.Flags().StringVar(&tmpdir, "tmpdir", "", "folder for the text instead of memory-backed storage; the plaintext touches that disk")
	return c
}

const editHeader = `# The secrets of %s, a line "NAME: value" each.
# Save and quit to apply what you changed; deleting a line removes the secret.
# Quote values with signs in them: "a: #b". These comments are not kept.

`

// What ends an edit without a change and without a fault.
var (
	errUnchanged   = errors.New("nothing was changed")
	errInterrupted = errors.New("interrupted")
)

// editSecrets is one `secrets edit`: the text is made, edited until it can be
// applied, and wiped.
func (a *app) editSecrets(c *cobra.Command, tmpdir string) (err error) {
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	s, cfg, err := a.store(c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if tmpdir == "" {
		if tmpdir, err = memoryFolder(os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"); err != nil {
			return err
		}
	}
	e := secretsEdit{app: a, store: s, cfg: cfg}
	if err := s.Read(ctx, e.begin); err != nil {
		return explainSecrets(err, cfg)
	}
	defer clear(e.text)
	room, err := newScratch(tmpdir)
	if err != nil {
		return fmt.Errorf("make a folder for the text: %w", err)
	}
	defer func() {
		if left := room.remove(); left != nil {
			err = withHint(fmt.Errorf("the text is still there, in %s: %w", room.dir, left), "remove it: shred -u "+filepath.Join(room.dir, "*"))
		}
	}()
	err = e.untilItHolds(ctx, room)
	if ctx.Err() != nil || errors.Is(err, errInterrupted) {
		fmt.Fprintln(a.err, "latchgate: interrupted; nothing was changed, and the text is wiped")
		return exitStatus(130)
	}
	if errors.Is(err, errUnchanged) {
		fmt.Fprintln(a.out, "nothing was changed")
		return nil
	}
	return err
}

// secretsEdit is what an edit knows of the file as it was when it began.
type secretsEdit struct {
	app    *app
	store  *secrets.Store
	cfg    *configs.Config
	text   []byte // for the editor
	before map[string][]byte
}

func (e *secretsEdit) begin(d *secrets.Document) (err error) {
	plain := d.Plaintext()
	defer clear(plain)
	e.text = append(fmt.Appendf(make([]byte, 0, len(editHeader)+len(e.store.File())+len(plain)), editHeader, e.store.File()), plain...)
	_, e.before, err = secrets.ParsePlaintext(e.text)
	return err
}

// untilItHolds lets the user edit until the text can be applied or is given up.
func (e *secretsEdit) untilItHolds(ctx context.Context, room *scratch) error {
	file := filepath.Join(room.dir, "secrets.yaml")
	if err := os.WriteFile(file, e.text, 0o600); err != nil {
		return err
	}
	for {
		if err := e.app.runEditor(ctx, file); err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return withHint(fmt.Errorf("the editor left no text: %w", err), "nothing was changed")
		}
		err = e.apply(ctx, text)
		clear(text)
		if err == nil || errors.Is(err, errUnchanged) || ctx.Err() != nil {
			return err
		}
		fmt.Fprintln(e.app.err, "latchgate: "+err.Error())
		if again, askErr := e.app.askYes(ctx, "Edit again? [Y/n]"); askErr != nil || !again {
			return withHint(errors.New("the text can't be applied; nothing was changed"), "run `latchgate secrets edit` again")
		}
	}
}

// apply writes the differences between the text that the editor got and the one
// it left, onto the file as it is now.
func (e *secretsEdit) apply(ctx context.Context, text []byte) error {
	if bytes.Equal(text, e.text) {
		return errUnchanged
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("the text is empty, which is taken for a slip; to remove all secrets keep one line of comment")
	}
	names, after, err := secrets.ParsePlaintext(text)
	if err != nil {
		return err
	}
	done, err := e.differences(names, after)
	if err != nil {
		return err
	}
	if len(done) == 0 {
		return errUnchanged
	}
	err = e.store.Edit(ctx, func(d *secrets.Document) error {
		for _, ch := range done {
			if err := ch.apply(d, e.before[ch.name]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return explainSecrets(err, e.cfg)
	}
	for _, ch := range done {
		fmt.Fprintf(e.app.out, "%-8s %s\n", ch.verb, ch.name)
	}
	return nil
}

// edited is one name that the user added, changed or removed.
type edited struct {
	verb, name string
	value      []byte
}

func (e *secretsEdit) differences(names []string, after map[string][]byte) ([]edited, error) {
	var all []edited
	for _, name := range names {
		was, had := e.before[name]
		now := after[name]
		switch {
		case had && bytes.Equal(was, now) && (was == nil) == (now == nil):
		case now == nil:
			return nil, fmt.Errorf(`%s has no value: write "" for an empty one, or delete the line`, name)
		case had:
			all = append(all, edited{"changed", name, now})
		default:
			all = append(all, edited{"added", name, now})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.before)) {
		if _, kept := after[name]; !kept {
			all = append(all, edited{"removed", name, nil})
		}
	}
	return all, nil
}

// apply makes the change in the file as it is now, unless somebody else changed
// the same secret meanwhile.
func (ch edited) apply(d *secrets.Document, was []byte) error {
	now, has := d.Get(ch.name)
	if has != (was != nil) || has && !now.Equal(secrets.NewValue(was)) {
		return fmt.Errorf("%s was changed by somebody else while the editor was open", ch.name)
	}
	if ch.verb == "removed" {
		return d.Remove(ch.name)
	}
	return d.Set(ch.name, ch.value)
}

// runEditor opens the file in the user's editor and waits. The value of the
// variable is a command line, as everywhere.
func (a *app) runEditor(ctx context.Context, file string) error {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		editor = "vi"
	}
	c := exec.CommandContext(ctx, "sh", "-c", "exec "+editor+` "$@"`, editor, file)
	c.Stdin, c.Stdout, c.Stderr = a.in, a.out, a.err
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 2 * time.Second
	err := c.Run()
	if c.ProcessState != nil && c.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		return errInterrupted // the editor got the terminal's signal, we may not have yet
	}
	if err != nil && ctx.Err() == nil {
		return withHint(fmt.Errorf("the editor (%s) failed, nothing was changed: %w", editor, err), "set EDITOR to an editor that is installed")
	}
	return ctx.Err()
}

// askYes asks a question that Return answers with yes. Without anybody to answer
// it is no.
func (a *app) askYes(ctx context.Context, question string) (bool, error) {
	fmt.Fprintln(a.err, question)
	answer, err := interruptible(ctx, func() (string, error) {
		var line []byte
		for b := make([]byte, 1); ; { // no further than the line: what follows is the editor's
			if _, err := io.ReadFull(a.in, b); err != nil {
				return "", err
			}
			if b[0] == '\n' {
				return strings.ToLower(strings.TrimSpace(string(line))), nil
			}
			line = append(line, b[0])
		}
	})
	return answer == "" || answer == "y" || answer == "yes", err
}

// interruptible waits for read, which blocks on the terminal, or for the end of
// ctx; a read that was given up lives until the process ends, which is next.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := read()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
