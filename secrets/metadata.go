package secrets

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metadata is what a SOPS file says about itself under the key "sops".
type metadata struct {
	age          []ageEntry
	others       []string // entries that only the sops program can use: "kms arn:aws:…"
	groups       bool     // key groups (Shamir): no single entry opens the file
	lastModified time.Time
	mac          []byte
	macOnly      bool // the MAC covers the encrypted values only
	rules        rules
	commentRules bool // comments decide what is encrypted
	version      string
}

// ageEntry is the data key, encrypted for one age recipient.
type ageEntry struct{ recipient, enc string }

// native reports whether the embedded backend knows this kind of recipient, and
// not a plugin or an SSH key.
func (e ageEntry) native() bool {
	return strings.HasPrefix(e.recipient, "age1pq1") ||
		strings.HasPrefix(e.recipient, "age1") && strings.Count(e.recipient, "1") == 1
}

// keyType is a list of encrypted data keys other than age, and the field that names
// a key to a reader.
type keyType struct{ list, name string }

var keyTypes = []keyType{
	{"pgp", "fp"}, {"kms", "arn"}, {"gcp_kms", "resource_id"}, {"azure_kv", "vault_url"},
	{"hc_vault", "vault_address"}, {"hckms", "key_id"},
}

func parseMetadata(n *node) (metadata, error) {
	if n == nil {
		return metadata{}, ErrNotEncrypted
	}
	if n.kind != kindMap {
		return metadata{}, errors.New("sops metadata is not a map")
	}
	m := metadata{mac: []byte(n.str("mac")), version: n.str("version")}
	var err error
	if m.lastModified, err = time.Parse(time.RFC3339, n.str("lastmodified")); err != nil {
		return metadata{}, errors.New("sops metadata: lastmodified is not an RFC 3339 time")
	}
	if s := n.str("mac_only_encrypted"); s != "" {
		if m.macOnly, err = strconv.ParseBool(s); err != nil {
			return metadata{}, errors.New("sops metadata: mac_only_encrypted is not a boolean")
		}
	}
	m.entries(n)
	if groups := n.child("key_groups"); groups != nil && len(m.age)+len(m.others) == 0 {
		m.groups = len(groups.kids) > 0
		for _, g := range groups.kids {
			m.entries(g)
		}
	}
	m.commentRules = n.str("encrypted_comment_regex")+n.str("unencrypted_comment_regex") != ""
	m.rules, err = parseRules(n, m.commentRules)
	return m, err
}

func (m *metadata) entries(n *node) {
	if list := n.child("age"); list != nil {
		for _, e := range list.kids {
			m.age = append(m.age, ageEntry{e.str("recipient"), e.str("enc")})
		}
	}
	for _, t := range keyTypes {
		if list := n.child(t.list); list != nil {
			for _, e := range list.kids {
				m.others = append(m.others, strings.TrimSpace(t.list+" "+e.str(t.name)))
			}
		}
	}
}

// embedded reports whether the embedded backend can open a file like this, and
// says why.
func (m *metadata) embedded() (bool, string) {
	switch {
	case m.groups:
		return false, "the file has key groups (Shamir secret sharing)"
	case m.commentRules:
		return false, "comments decide what is encrypted in the file"
	case slices.ContainsFunc(m.age, ageEntry.native):
		return true, "the file has an age recipient"
	default:
		return false, "the file has no age recipient that an age key file can hold the key of"
	}
}

// rules decide which values of a file are encrypted. A file has one rule.
type rules struct {
	kind string // key in the metadata
	text string
	re   *regexp.Regexp
}

const (
	unencryptedSuffix = "unencrypted_suffix"
	encryptedSuffix   = "encrypted_suffix"
	unencryptedRegex  = "unencrypted_regex"
	encryptedRegex    = "encrypted_regex"
)

func parseRules(n *node, commentRules bool) (rules, error) {
	r := rules{}
	for _, kind := range []string{unencryptedSuffix, encryptedSuffix, unencryptedRegex, encryptedRegex} {
		text := n.str(kind)
		if text == "" {
			continue
		}
		if r.kind != "" || commentRules {
			return rules{}, errors.New("sops metadata has more than one rule for what is encrypted")
		}
		var err error
		if r, err = newRules(kind, text); err != nil {
			return rules{}, err
		}
	}
	if r.kind == "" && !commentRules {
		r = rules{kind: unencryptedSuffix, text: "_unencrypted"}
	}
	return r, nil
}

func newRules(kind, text string) (rules, error) {
	r := rules{kind: kind, text: text}
	if kind == unencryptedRegex || kind == encryptedRegex {
		var err error
		if r.re, err = regexp.Compile(text); err != nil {
			return rules{}, fmt.Errorf("sops metadata: %s: %w", kind, err)
		}
	}
	return r, nil
}

// encrypted reports whether the value at path is encrypted: one key on the path
// that matches is enough.
func (r rules) encrypted(path []string) bool {
	matches := func(key string) bool {
		if r.re != nil {
			return r.re.MatchString(key)
		}
		return strings.HasSuffix(key, r.text)
	}
	return slices.ContainsFunc(path, matches) == (r.kind == encryptedSuffix || r.kind == encryptedRegex)
}
