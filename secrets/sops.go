package secrets

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// decryptSops has the sops program decrypt the file at path. The MAC is verified by
// it.
func (s *Store) decryptSops(ctx context.Context, path string, f format, mem *memory) (*node, error) {
	out, err := s.sops(ctx, mem, nil,
		"--decrypt", "--input-type", string(f), "--output-type", "json", path)
	if err != nil {
		return nil, err
	}
	tree, err := parseJSON(out)
	if err != nil {
		return nil, fail(SecretsUnparsable, err)
	}
	if f == formatINI {
		tree = liftDefault(tree)
	}
	return tree, nil
}

// liftDefault makes the keys that stand in an INI file before any section
// top-level; sops puts them into a section named DEFAULT.
func liftDefault(tree *node) *node {
	top := tree.take("DEFAULT")
	if top == nil || top.kind != kindMap {
		return tree
	}
	for i, key := range tree.keys {
		top.add(key, tree.kids[i])
	}
	return top
}

// sops runs the sops program and returns what it printed, in mem. An error is an
// *Error whose Detail has what it said.
func (s *Store) sops(ctx context.Context, mem *memory, stdin []byte, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.DecryptTimeout)
	defer cancel()
	c := child{args: args, stdin: stdin, env: sopsEnvironment(s.opts.KeyFile), limit: maxFileSize}
	out, stderr, err := c.run(ctx, mem)
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, errNoProgram):
		return nil, &Error{Code: SopsNotFound, Detail: "install sops 3.8 or newer, or put it on the PATH of latchgate", Err: err}
	}
	text := redactSops(stderr)
	if ctx.Err() != nil {
		err = fmt.Errorf("sops was stopped: %w", ctx.Err())
	}
	if text == "" {
		text = err.Error()
	} else if ctx.Err() != nil {
		text = err.Error() + ": " + text
	}
	return nil, &Error{Code: DecryptFailed, Detail: clip(text), Err: err}
}

// sops, and the parsers in it, quote what they can't read: a secret that somebody
// pasted into the encrypted file would reach the log. What follows is cut to the
// end of the text, since a quoted value may itself hold whatever closes a quote.
var (
	sopsQuotes  = regexp.MustCompile("(?s)(Input string |value: |invalid dotenv input line: |Could not unmarshal input data: |unknown anchor |`).*")
	sopsComment = regexp.MustCompile(`comment=[^\n]*`)
)

func redactSops(stderr []byte) string {
	text := sopsComment.ReplaceAllString(string(stderr), "comment="+Redacted)
	m := sopsQuotes.FindStringSubmatchIndex(text)
	if m != nil && !strings.HasPrefix(text[m[0]:], "value: Could not decrypt with AES_GCM") {
		text = text[:m[3]] + Redacted
	}
	return strings.TrimSpace(text)
}

// sopsVersionTimeout bounds `sops --version`, which asks nobody anything.
const sopsVersionTimeout = 5 * time.Second

var sopsVersionNumber = regexp.MustCompile(`\d+\.\d+\.\d+`)

// SopsVersion returns where the sops program is and its version, "3.13.3". The
// error is an *[Error].
func SopsVersion(ctx context.Context) (path, version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, sopsVersionTimeout)
	defer cancel()
	c := child{args: []string{"--version", "--disable-version-check"}, env: sopsEnvironment(""), limit: 4096}
	out, stderr, err := c.run(ctx, &memory{})
	if errors.Is(err, errNoProgram) {
		return "", "", &Error{Code: SopsNotFound, Err: err}
	}
	version = sopsVersionNumber.FindString(string(out))
	if version == "" {
		return c.path, "", &Error{Code: DecryptFailed, Detail: clip("sops --version printed no version: " + string(stderr)), Err: err}
	}
	return c.path, version, nil
}
