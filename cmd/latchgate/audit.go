package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchgate/latchgate/audit"
	"github.com/latchgate/latchgate/cmd/latchgate/tui"
)

func (a *app) auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Read and verify the record of what was decided and done", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var (
		asJSON, follow, verifyJSON bool
		lines                      int
	)
	tail := &cobra.Command{Use: "tail", Short: "Print the last events, and new ones as they come", Args: cobra.NoArgs,
		Example: "  latchgate audit tail\n  latchgate audit tail --lines 100 --follow=false --json",
		RunE:    func(c *cobra.Command, _ []string) error { return a.tailAudit(c, lines, follow, asJSON) }}
	tail.Flags().BoolVar(&asJSON, "json", false, "print the lines of the record as they are")
	tail.Flags().BoolVarP(&follow, "follow", "f", true, "wait for new events")
	tail.Flags().IntVarP(&lines, "lines", "n", 20, "events of the past to print")
	verify := &cobra.Command{Use: "verify", Short: "Check that no line was changed or removed", Args: cobra.NoArgs,
		Example: "  latchgate audit verify\n  latchgate audit verify --json",
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := a.auditFile(c)
			if err != nil {
				return err
			}
			n := 0
			err = a.during("reading "+file, func() (err error) { n, err = audit.Verify(file); return err })
			incomplete := errors.Is(err, audit.ErrHistoryMissing)
			if err != nil && !incomplete {
				return withHint(err, "keep the file and find out who wrote to it; what follows that line proves nothing")
			}
			if verifyJSON {
				return printJSON(a.out, struct {
					File       string `json:"file"`
					Events     int    `json:"events"`
					Incomplete bool   `json:"older_files_missing"`
				}{file, n, incomplete})
			}
			more := ""
			if incomplete {
				more = "; older files were archived or removed"
			}
			fmt.Fprintf(a.out, "%d events, unbroken%s\n", n, more)
			return nil
		}}
	verify.Flags().BoolVar(&verifyJSON, "json", false, "print JSON")
	c.AddCommand(tail, verify)
	return c
}

// auditFile is where the record is. One that nobody has written yet is an error:
// it is neither whole nor empty.
func (a *app) auditFile(c *cobra.Command) (string, error) {
	cfg, err := a.config(c)
	if err != nil {
		return "", err
	}
	if cfg.Audit.File == "" {
		return "", withHint(errors.New("audit.file is empty: nothing is recorded"), "set audit.file in latchgate.toml")
	}
	if _, err := os.Stat(cfg.Audit.File); errors.Is(err, fs.ErrNotExist) {
		return "", withHint(fmt.Errorf("%s: nothing is recorded yet", cfg.Audit.File), "audit.file in latchgate.toml says where the record is")
	}
	return cfg.Audit.File, nil
}

func (a *app) tailAudit(c *cobra.Command, lines int, follow, asJSON bool) error {
	if lines < 0 {
		return &usageError{errors.New("--lines can't be less than nothing"), "for example --lines 100"}
	}
	file, err := a.auditFile(c)
	if err != nil {
		return err
	}
	show := func(e audit.Entry) error { return a.showEvent(e, asJSON) }
	if follow {
		for e, err := range audit.Follow(c.Context(), file, lines) {
			if err != nil {
				return err
			}
			if err := show(e); err != nil {
				return err
			}
		}
		return nil
	}
	var last []audit.Entry
	for e, err := range audit.Read(file) {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if last = append(last, e); len(last) > lines {
			last = last[1:]
		}
	}
	for _, e := range last {
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) showEvent(e audit.Entry, asJSON bool) error {
	line := tui.Clean(eventLine(e))
	if asJSON {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		line = visible(string(raw))
	}
	_, err := fmt.Fprintln(a.out, line)
	return err
}

// eventLine is an event for people: what is set, in the order of reading.
func eventLine(e audit.Entry) string {
	parts := []string{e.Time.Local().Format("15:04:05.000"), string(e.Kind)}
	add := func(label, v string) {
		if v != "" {
			parts = append(parts, label+v)
		}
	}
	add("", e.Run)
	add("", e.Principal)
	add("", strings.Join(e.Actions, ","))
	add("", e.Action)
	add("", e.Method)
	add("", e.Host)
	if e.Status != 0 {
		add("", fmt.Sprint(e.Status))
	}
	add("", e.Code)
	add("", e.Ticket)
	add("secrets=", strings.Join(e.Secrets, ","))
	add("- ", e.Reason)
	return strings.Join(parts, "  ")
}
