package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/latchgate/latchgate/configs"
)

// version is set by the linker in a release.
var version = ""

// app is what every command has at hand.
type app struct {
	in         io.Reader
	out, err   io.Writer
	configFile string
	flagKeys   map[string]string // flags that set a configuration key
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "latchgate",
		Short: "Holds credentials so that agents don't",
		Long: `latchgate is an HTTP forward proxy that holds credentials so that agents don't:
a client sends a plain request through it, latchgate puts the credential on the
wire, and takes it out of the answer if the upstream sends it back.

Start with:
  latchgate demo                         see it work, offline and without an account
  latchgate secrets init                 make a key and an encrypted secrets file
  latchgate secrets set GITHUB_TOKEN     put a credential in
  latchgate exec --action github -- git clone https://github.com/you/private
  latchgate doctor                       what is wrong, and what to do about it
  latchgate tui                          watch, approve and set up, in the terminal`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "configuration file (default: ./latchgate.toml, then the user's, then /etc/latchgate)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{err, flagHint(c, err)}
	})
	root.AddCommand(a.proxyCommand(), a.execCommand(), a.sandboxedCommand(), a.envCommand(), a.runCommand(), a.actionsCommand(),
		a.secretsCommand(), a.caCommand(), a.policyCommand(), a.mcpCommand(), a.providerCommand(), a.runsCommand(), a.approvalsCommand(), a.auditCommand(), a.demoCommand(), a.doctorCommand(), a.tuiCommand(), a.healthcheckCommand(), a.manCommand(), a.versionCommand())
	addCobras(root)
	wrongUsage(root)
	a.complete(root)
	exemplify(root)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", screenOf(a.out).width)))
	return root
}

// addCobras adds the commands that cobra makes of itself, which answer a word that
// they don't know with a page of help and status 0.
func addCobras(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		case "help":
			c.Args = func(c *cobra.Command, words []string) error {
				found, rest, err := root.Find(words)
				if err == nil && len(rest) > 0 {
					err = found.Args(found, rest)
					if err == nil {
						err = fmt.Errorf("%s takes %q as an argument, and has no command of that name", found.CommandPath(), rest[0])
					}
				}
				return err
			}
		}
	}
}

// exemplify gives a command that only has subcommands the first example of each.
func exemplify(c *cobra.Command) {
	var first []string
	for _, sub := range c.Commands() {
		exemplify(sub)
		if line, _, _ := strings.Cut(sub.Example, "\n"); line != "" && !sub.Hidden {
			first = append(first, line)
		}
	}
	if c.HasParent() && c.Example == "" {
		c.Example = strings.Join(first, "\n")
	}
}

// flagHint says what to write instead of a flag that there is not.
func flagHint(c *cobra.Command, err error) string {
	hint := fmt.Sprintf("`%s --help` shows what it takes", c.CommandPath())
	unknown, found := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !found {
		return hint
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	c.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearest(unknown, names); near != "" {
		return fmt.Sprintf("did you mean --%s? %s", near, hint)
	}
	return hint
}

// wrongUsage makes an argument error of every command exit with status 2, and
// an unknown subcommand an error with the nearest one.
func wrongUsage(c *cobra.Command) {
	for _, sub := range c.Commands() {
		wrongUsage(sub)
	}
	c.SuggestionsMinimumDistance = 2
	check := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if c.HasSubCommands() && len(args) > 0 && !c.DisableFlagParsing {
			hint := fmt.Sprintf("`%s --help` shows the commands", c.CommandPath())
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf("did you mean `%s %s`?", c.CommandPath(), strings.Join(near, "` or `"+c.CommandPath()+" "))
			}
			return &usageError{fmt.Errorf("unknown command %q", args[0]), hint}
		}
		if check == nil {
			return nil
		}
		err := check(c, args)
		if _, known := errors.AsType[*usageError](err); err != nil && !known {
			return &usageError{err, fmt.Sprintf("usage: %s", c.UseLine())}
		}
		return err
	}
}

// config loads the configuration with the flags of the command over it.
func (a *app) config(c *cobra.Command) (*configs.Config, error) {
	cfg, err := configs.Load(configs.Options{File: a.configFile, Flags: c.Flags(), FlagKeys: a.flagKeys})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(fmt.Errorf("configuration: %w", err), "name a file that is there, or none: everything has a default")
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return cfg, nil
}

// logger writes to standard error as [log] says. level follows a reload.
func (a *app) logger(cfg *configs.Config) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(cfg.Log.SlogLevel())
	o := &slog.HandlerOptions{Level: level}
	if f, ok := a.err.(*os.File); cfg.Log.Format == "text" || cfg.Log.Format == "auto" && ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(a.err, o)), level
	}
	return slog.New(slog.NewJSONHandler(a.err, o)), level
}

// quietLogger is for commands whose output is not a log: what was refused or
// goes wrong, and no more, unless log.level was set on purpose. A client shows
// nothing of a refused CONNECT but its status, so the reason must come from here.
func (a *app) quietLogger(cfg *configs.Config) *slog.Logger {
	level := slog.LevelWarn
	if cfg.Explicit("log.level") {
		level = cfg.Log.SlogLevel()
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// buildVersion is the released version, or what the module system knows.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
