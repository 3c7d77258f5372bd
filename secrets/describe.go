package secrets

import (
	"regexp"
	"slices"
	"time"
)

// Description is what can be said about the secrets file without opening it.
type Description struct {
	File         string
	Format       string   // yaml, json, dotenv or ini
	Backend      string   // embedded or sops: what would decrypt it
	Why          string   // the reason for the backend, a clause
	Age          []string // age recipients
	Others       []string // other keys, "pgp 85D7…", as the metadata names them
	LastModified time.Time
	Version      string   // of the sops that wrote it
	OurKeys      []string // public keys in the key file; nil where it can't be read
	Opens        bool     // one of OurKeys is a recipient
}

// Describe reads file and key file, and decrypts nothing. The error is an
// *[Error].
func (s *Store) Describe() (Description, error) {
	d := Description{File: s.opts.File, Format: string(formatOf(s.opts.File))}
	data, _, err := readFile(s.opts.File)
	if err != nil {
		return d, s.unreadable(err)
	}
	backend, doc, err := s.choose(formatOf(s.opts.File), data)
	if err != nil {
		return d, err
	}
	d.Backend, d.Why = backend, "secrets.backend says so"
	switch {
	case d.Format == string(formatINI):
		d.Why = "only sops reads INI files"
		d.iniRecipients(data)
	case doc == nil:
		return d, nil
	default:
		d.about(&doc.meta, s.opts.Backend)
	}
	if ids, err := readIdentities(s.opts.KeyFile); err == nil {
		for _, id := range ids {
			d.OurKeys = append(d.OurKeys, recipientOf(id))
		}
	}
	d.Opens = slices.ContainsFunc(d.OurKeys, func(key string) bool { return slices.Contains(d.Age, key) })
	return d, nil
}

func (d *Description) about(m *metadata, wanted string) {
	if able, why := m.embedded(); wanted == BackendAuto {
		if d.Why = why; able && d.Backend == BackendSops {
			d.Why = "no sops_key_file is configured"
		}
	}
	for _, e := range m.age {
		d.Age = append(d.Age, e.recipient)
	}
	d.Others, d.LastModified, d.Version = m.others, m.lastModified, m.version
}

// The keys of an INI file are flat, as in a dotenv file, and stand in a section.
var iniKey = regexp.MustCompile(`(?m)^(\w+)__list_\d+__map_(\w+)[ \t]*=[ \t]*(\S+)`)

func (d *Description) iniRecipients(data []byte) {
	for _, m := range iniKey.FindAllStringSubmatch(string(data), -1) {
		if list, field := m[1], m[2]; list == "age" && field == "recipient" {
			d.Age = append(d.Age, m[3])
		} else if slices.ContainsFunc(keyTypes, func(t keyType) bool { return t.list == list && t.name == field }) {
			d.Others = append(d.Others, list+" "+m[3])
		}
	}
}
