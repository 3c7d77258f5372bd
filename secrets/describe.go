package secrets

import (
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
	if doc == nil {
		if d.Format == string(formatINI) {
			d.Why = "only sops reads INI files"
		}
		return d, nil
	}
	if able, why := doc.meta.embedded(); s.opts.Backend == BackendAuto {
		if d.Why = why; able && backend == BackendSops {
			d.Why = "no sops_key_file is configured"
		}
	}
	for _, e := range doc.meta.age {
		d.Age = append(d.Age, e.recipient)
	}
	d.Others, d.LastModified, d.Version = doc.meta.others, doc.meta.lastModified, doc.meta.version
	if ids, err := readIdentities(s.opts.KeyFile); err == nil {
		for _, id := range ids {
			d.OurKeys = append(d.OurKeys, recipientOf(id))
		}
	}
	d.Opens = slices.ContainsFunc(d.OurKeys, func(key string) bool { return slices.Contains(d.Age, key) })
	return d, nil
}
