// Package configs reads latchgate.toml, the LATCHGATE_ environment and the
// command line's flags into one Config that is complete, checked and immutable.
//
// Call [Load] once at the start and again on a reload; hand the parts of the
// Config to the packages that need them. Do not read configuration variables
// or resolve configured paths anywhere else: in a loaded Config every path is
// absolute already. [SetKeys] edits a file for `latchgate secrets init`;
// [Example] is the annotated file that an operator starts from.
package configs

import (
	_ "embed"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Config is the whole configuration, as the contract's §4 lists it. The koanf
// tags are the keys of the file.
type Config struct {
	Proxy     Proxy     `koanf:"proxy"`
	Gate      Gate      `koanf:"gate"`
	Metrics   Metrics   `koanf:"metrics"`
	Tracing   Tracing   `koanf:"tracing"`
	Manifests Manifests `koanf:"manifests"`
	Policy    Policy    `koanf:"policy"`
	Secrets   Secrets   `koanf:"secrets"`
	CA        CA        `koanf:"ca"`
	Audit     Audit     `koanf:"audit"`
	Log       Log       `koanf:"log"`

	file    string
	origins map[string]origin // keys set by file, environment or flag
}

// Proxy configures the doors and the wire.
type Proxy struct {
	Listen          string         `koanf:"listen"`            // host:port, or unix:/path; see [SplitListen]
	DefaultActions  []string       `koanf:"default_actions"`   // run of a client without credentials; loopback and unix listeners only
	UpstreamCAFile  string         `koanf:"upstream_ca_file"`  // PEM roots trusted for upstreams besides the system's; "" for none
	UpstreamProxy   URL            `koanf:"upstream_proxy"`    // proxy that upstreams are reached through; empty for none
	AllowPrivate    []netip.Prefix `koanf:"allow_private"`     // networks that are dialled although they are not public
	MaxRequestBytes int64          `koanf:"max_request_bytes"` // cap on a request body in bytes; 0 for none
	HeaderTimeout   time.Duration  `koanf:"header_timeout"`    // to receive a client's request head
	IdleTimeout     time.Duration  `koanf:"idle_timeout"`      // between requests of a connection
	DrainTimeout    time.Duration  `koanf:"drain_timeout"`     // for open requests to finish at shutdown
}

// Gate configures the control socket and the runs.
type Gate struct {
	Socket  string `koanf:"socket"`   // path of the control socket
	MaxRuns int    `koanf:"max_runs"` // runs open at the same time
}

// Metrics configures the unauthenticated listener of /metrics, /healthz and
// /readyz.
type Metrics struct {
	Listen string `koanf:"listen"` // host:port; "" switches the listener off
}

// Tracing configures OpenTelemetry traces.
type Tracing struct {
	Endpoint string `koanf:"endpoint"` // base URL of an OTLP/HTTP collector; "" switches them off
}

// Manifests configures where actions come from.
type Manifests struct {
	Dirs    []string `koanf:"dirs"`    // folders of manifests; they win over bundled ones of the same id
	Bundled bool     `koanf:"bundled"` // whether the bundled catalogue is there
}

// Policy configures the decision.
type Policy struct {
	Dirs []string       `koanf:"dirs"` // folders of *.rego and data files; empty for the built-in policy
	Data map[string]any `koanf:"data"` // free form; data.latchgate of the built-in policy
}

// Secrets configures the encrypted store.
type Secrets struct {
	SopsSecretsFile string        `koanf:"sops_secrets_file"` // "" means that no file is configured
	SopsKeyFile     string        `koanf:"sops_key_file"`     // age identities; "" for none
	Backend         string        `koanf:"backend"`           // auto, embedded or sops
	DecryptTimeout  time.Duration `koanf:"decrypt_timeout"`   // of one decryption
}

// CA configures the certificate authority.
type CA struct {
	Dir string `koanf:"dir"` // folder of its key and certificate
}

// Audit configures the record.
type Audit struct {
	File      string `koanf:"file"`       // "" switches the record off
	OnFailure string `koanf:"on_failure"` // refuse or warn, while the record can't be written
}

// Log configures the daemon's log.
type Log struct {
	Level  string `koanf:"level"`  // debug, info, warn or error
	Format string `koanf:"format"` // auto, text or json
}

// SlogLevel is Level for a slog handler.
func (l Log) SlogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// URL is the address of an upstream proxy. It may hold a password, so printing
// it shows the password as xxxxx; [URL.Get] is the real one.
type URL struct{ u *url.URL }

// Get returns the URL, or nil where none is configured.
func (u URL) Get() *url.URL { return u.u }

// String returns the URL with its password masked.
func (u URL) String() string {
	if u.u == nil {
		return ""
	}
	return u.u.Redacted()
}

// UnmarshalText parses an http, https or socks5 URL with a host. Its errors do
// not repeat the text, which may hold a password.
func (u *URL) UnmarshalText(text []byte) error {
	parsed, err := parseProxyURL(string(text))
	if err != nil {
		return err
	}
	u.u = parsed
	return nil
}

// File returns the absolute path of the file that was loaded, or "" where none
// was found and the defaults are in force.
func (c *Config) File() string { return c.file }

// Explicit reports whether key, such as "secrets.sops_secrets_file", was set by
// the file, the environment or a flag rather than left at its default.
func (c *Config) Explicit(key string) bool {
	_, ok := c.origins[key]
	return ok
}

// ChangedAddresses returns the keys of the listeners and of the trace collector
// whose address differs in next. These take effect at the next start only; everything else may be
// applied to a running daemon.
func (c *Config) ChangedAddresses(next *Config) []string {
	var changed []string
	for _, a := range []struct{ key, old, new string }{
		{"proxy.listen", c.Proxy.Listen, next.Proxy.Listen},
		{"gate.socket", c.Gate.Socket, next.Gate.Socket},
		{"metrics.listen", c.Metrics.Listen, next.Metrics.Listen},
		{"tracing.endpoint", c.Tracing.Endpoint, next.Tracing.Endpoint},
	} {
		if a.old != a.new {
			changed = append(changed, a.key)
		}
	}
	return changed
}

// Defaults returns what holds where nothing is configured. Its paths are still
// relative and Gate.Socket is still empty; [Load] resolves both.
func Defaults() Config {
	return Config{
		Proxy: Proxy{
			Listen:        "127.0.0.1:8470",
			HeaderTimeout: 30 * time.Second,
			IdleTimeout:   120 * time.Second,
			DrainTimeout:  30 * time.Second,
		},
		Gate:      Gate{MaxRuns: 256},
		Metrics:   Metrics{Listen: "127.0.0.1:9470"},
		Manifests: Manifests{Bundled: true},
		Policy:    Policy{Data: map[string]any{}},
		Secrets: Secrets{
			SopsSecretsFile: "secrets.enc.yaml",
			SopsKeyFile:     ".latchgate/sops-age.key",
			Backend:         "auto",
			DecryptTimeout:  10 * time.Second,
		},
		CA:    CA{Dir: ".latchgate/ca"},
		Audit: Audit{File: ".latchgate/audit.jsonl", OnFailure: "refuse"},
		Log:   Log{Level: "info", Format: "auto"},
	}
}

// Keys returns every valid key in the order of the contract. Below
// "policy.data" any key is valid.
func Keys() []string {
	var keys []string
	for _, f := range fields() {
		keys = append(keys, f.key)
	}
	return keys
}

//go:embed latchgate.example.toml
var example string

// Example returns latchgate.example.toml: every key with its default and a
// comment.
func Example() string { return example }

// field is one key of the configuration and the Go type of its value.
type field struct {
	key string
	typ reflect.Type
}

// fields lists the keys as the Config struct declares them, so that the struct
// is the only place that does.
func fields() []field {
	var out []field
	for section := range reflect.TypeFor[Config]().Fields() {
		name := section.Tag.Get("koanf")
		if name == "" {
			continue
		}
		for f := range section.Type.Fields() {
			out = append(out, field{name + "." + f.Tag.Get("koanf"), f.Type})
		}
	}
	return out
}

// findField returns the field that key names, or ok false.
func findField(key string) (f field, ok bool) {
	all := fields()
	i := slices.IndexFunc(all, func(f field) bool { return f.key == key })
	if i < 0 {
		return field{}, false
	}
	return all[i], true
}

// sections returns the table names: proxy, gate, and so on.
func sections() []string {
	var out []string
	for _, f := range fields() {
		name, _, _ := strings.Cut(f.key, ".")
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
