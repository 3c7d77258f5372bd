package secrets

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"
)

// InitOptions say where a new store goes.
type InitOptions struct {
	File       string   // the secrets file, absolute; .yaml, .json or .env
	KeyFile    string   // the age key file, absolute
	Recipients []string // age public keys that can read the file besides the key file's
	Force      bool     // begin anew: existing key and secrets file are renamed, never deleted
}

// InitResult says what Init found and made.
type InitResult struct {
	KeyFile       string
	KeyCreated    bool
	Recipient     string   // public key of KeyFile; "" where the keys are not age keys
	Recipients    []string // all age recipients of a file that was created
	File          string
	FileCreated   bool
	Config        string // the .sops.yaml that applies
	ConfigCreated bool
	Backups       []string // what Force renamed
	Notes         []string // what the operator should know, a sentence each
}

// Init makes an age key (mode 0600, in a folder of mode 0700 where it has to be
// made), a .sops.yaml, and a secrets file that holds nothing. What exists is left
// as it is, so that it can be run again. A .sops.yaml that is found from the
// file's folder upwards decides for whom the file is encrypted and what in it;
// where it names key services, the sops program makes the file and no age key is
// made.
func Init(ctx context.Context, o InitOptions) (InitResult, error) {
	r := InitResult{File: o.File}
	if formatOf(o.File) == formatINI {
		return r, errors.New("init makes YAML, JSON and dotenv files; make an INI file with sops")
	}
	for _, recipient := range o.Recipients {
		if _, err := parseRecipient(recipient); err != nil {
			return r, fmt.Errorf("recipient %q: %w", recipient, err)
		}
	}
	config, rule, err := findRule(o.File)
	if err != nil {
		return r, err
	}
	if err := os.MkdirAll(filepath.Dir(o.File), 0o700); err != nil {
		return r, err
	}
	if r.Config = config; config != "" && rule == nil {
		r.note("no rule of %s matches %s: sops will not make such a file until one does", config, filepath.Base(o.File))
	}
	if rule != nil && rule.needsSops() {
		return r, r.initSops(ctx, o)
	}
	return r, r.initAge(o, rule)
}

func (r *InitResult) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// initAge makes key, .sops.yaml and file, in this order: each is of use without
// those that follow.
func (r *InitResult) initAge(o InitOptions, rule *creationRule) error {
	old, err := r.initKey(o)
	if err != nil {
		return err
	}
	if rule == nil {
		rule = &creationRule{}
	}
	recipients, err := rule.recipients()
	if err != nil {
		return fmt.Errorf("%s: %w", r.Config, err)
	}
	if old != "" && slices.Contains(recipients, old) {
		if err := r.replaceInConfig(old, r.Recipient); err != nil {
			return err
		}
		recipients[slices.Index(recipients, old)] = r.Recipient
	}
	if len(recipients) > 0 && !slices.Contains(recipients, r.Recipient) {
		r.note("%s does not name our key: add %s to it, or the next `sops updatekeys` locks latchgate out", r.Config, r.Recipient)
	}
	for _, recipient := range append(slices.Clone(o.Recipients), r.Recipient) {
		if !slices.Contains(recipients, recipient) {
			recipients = append(recipients, recipient)
		}
	}
	if r.Config == "" {
		r.Config = filepath.Join(filepath.Dir(o.File), sopsConfigName)
		if err := createFile(r.Config, newSopsConfig(o.File, recipients), 0o644); err != nil {
			return err
		}
		r.ConfigCreated = true
	}
	return r.create(o, func() ([]byte, error) {
		r.Recipients = recipients
		return newFile(formatOf(o.File), recipients, rule)
	})
}

// initKey finds or makes the key. With Force it returns the public key of the one
// that was put aside.
func (r *InitResult) initKey(o InitOptions) (old string, err error) {
	r.KeyFile = o.KeyFile
	if o.KeyFile == "" {
		return "", errors.New("no sops_key_file is configured and .sops.yaml names no key service: there is nothing to encrypt for")
	}
	if _, err := os.Lstat(o.KeyFile); err == nil {
		ids, err := readIdentities(o.KeyFile)
		if err == nil {
			r.Recipient = recipientOf(ids[0])
		}
		if !o.Force {
			return "", err
		}
		old = r.Recipient
		if err := r.backup(o.KeyFile); err != nil {
			return "", err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(o.KeyFile), 0o700); err != nil {
		return "", err
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	data := keyFileText(time.Now(), id)
	defer wipe(data)
	if err := createFile(o.KeyFile, data, 0o600); err != nil {
		return "", err
	}
	r.Recipient, r.KeyCreated = id.Recipient().String(), true
	return old, nil
}

// keyFileText is the form of age-keygen.
func keyFileText(now time.Time, id *age.X25519Identity) []byte {
	return fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n", now.UTC().Format(time.RFC3339), id.Recipient(), id)
}

// create makes the secrets file unless it is there.
func (r *InitResult) create(o InitOptions, content func() ([]byte, error)) error {
	if _, err := os.Lstat(o.File); err == nil {
		if !o.Force {
			return nil
		}
		if err := r.backup(o.File); err != nil {
			return err
		}
	}
	data, err := content()
	if err != nil {
		return fmt.Errorf("create %s: %w", o.File, err)
	}
	if err := createFile(o.File, data, 0o600); err != nil {
		return err
	}
	r.FileCreated = true
	return nil
}

const initTimeout = 30 * time.Second // for sops to reach its key services

// initSops has the sops program make the file by the rule of its .sops.yaml.
func (r *InitResult) initSops(ctx context.Context, o InitOptions) error {
	r.note("the keys come from %s: no age key is needed", r.Config)
	return r.create(o, func() ([]byte, error) {
		f := string(formatOf(o.File))
		empty := "{}\n"
		if f == string(formatDotenv) {
			empty = "\n"
		}
		s := Store{opts: Options{KeyFile: o.KeyFile, DecryptTimeout: initTimeout}}
		out, err := s.sops(ctx, &memory{}, []byte(empty), "--config", r.Config, "--encrypt",
			"--input-type", f, "--output-type", f, "--filename-override", o.File, "/dev/stdin")
		if e, ok := errors.AsType[*Error](err); ok && e.Code == DecryptFailed {
			err = fmt.Errorf("sops can't encrypt by %s: %s", r.Config, e.Detail)
		}
		return out, err
	})
}

// backup renames path to a name that is free.
func (r *InitResult) backup(path string) error {
	name, err := backupFile(path, os.Rename)
	if err == nil {
		r.Backups = append(r.Backups, name)
	}
	return err
}

func backupFile(path string, move func(from, to string) error) (name string, err error) {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	for i := 0; ; i++ {
		name = fmt.Sprintf("%s.%s.bak", path, stamp)
		if i > 0 {
			name = fmt.Sprintf("%s.%s-%d.bak", path, stamp, i)
		}
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, move(path, name)
		}
	}
}

// replaceInConfig puts one recipient in the place of another.
func (r *InitResult) replaceInConfig(old, recipient string) error {
	name, err := backupFile(r.Config, copyFile)
	if err != nil {
		return err
	}
	r.Backups = append(r.Backups, name)
	return replaceRecipient(r.Config, old, recipient)
}

func replaceRecipient(config, old, recipient string) error {
	data, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	return replaceFile(config, bytes.ReplaceAll(data, []byte(old), []byte(recipient)))
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	return createFile(to, data, st.Mode().Perm())
}

// formatVersion is the version of sops whose format is written.
const formatVersion = "3.8.0"

// newFile returns an encrypted file that holds nothing.
func newFile(f format, recipients []string, rule *creationRule) ([]byte, error) {
	kind, text, err := rule.rule()
	if err != nil {
		return nil, err
	}
	if _, err := newRules(kind, text); err != nil {
		return nil, err
	}
	key := make([]byte, dataKeySize)
	defer wipe(key)
	_, _ = rand.Read(key) // never fails
	c, err := newCrypter(key, &memory{})
	if err != nil {
		return nil, err
	}
	entries, err := ageEntries(key, recipients)
	if err != nil {
		return nil, err
	}
	src := newSource(f)
	src.setMeta("age", entries)
	src.setMeta("lastmodified", stringNode(time.Now().UTC().Format(time.RFC3339)))
	src.setMeta("mac", stringNode(""))
	src.setMeta(kind, stringNode(text))
	if rule.MACOnlyEncrypted {
		src.setMeta("mac_only_encrypted", &node{kind: kindBool, text: []byte("True")})
	}
	src.setMeta("version", stringNode(formatVersion))
	return c.sign(f, src)
}

// ageEntries encrypts the data key for each recipient.
func ageEntries(key []byte, recipients []string) (*node, error) {
	list := &node{kind: kindList}
	for _, recipient := range recipients {
		enc, err := sealDataKey(key, recipient)
		if err != nil {
			return nil, err
		}
		e := &node{kind: kindMap}
		e.add("recipient", stringNode(recipient))
		e.add("enc", stringNode(enc))
		list.kids = append(list.kids, e)
	}
	return list, nil
}
