package manifests

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// MaxFileBytes is the size over which [Parse] does not look into a file.
const MaxFileBytes = 1 << 20

// Parse reads the manifests of one file, a YAML document each. It returns
// those without an error, and everything that is wrong with any of them or
// worth a note, in the order of the file.
//
// The name is used in messages, and a provider_source is relative to its folder.
func Parse(file string, data []byte) ([]*Manifest, []Problem) {
	return parse(&reader{file: file}, data)
}

func parse(all *reader, data []byte) ([]*Manifest, []Problem) {
	if len(data) > MaxFileBytes {
		all.errorf(nil, "", "larger than %d bytes", MaxFileBytes)
		return nil, all.problems
	}
	var found []*Manifest
	lines := map[string]int{}
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			all.syntax(err)
			return found, all.problems
		}
		root := doc.Content[0]
		if root.ShortTag() == "!!null" {
			continue
		}
		r := &reader{file: all.file, bundled: all.bundled}
		m := r.manifest(root)
		if line, twice := lines[m.ActionID]; twice && m.ActionID != "" {
			r.errorf(root, "give one of them another action_id", "action %q is on line %d already", m.ActionID, line)
		}
		lines[m.ActionID] = m.Line
		for i := range r.problems {
			r.problems[i].ActionID = m.ActionID
		}
		all.problems = append(all.problems, r.problems...)
		if !HasErrors(r.problems) {
			found = append(found, m)
		}
	}
	if len(lines) == 0 {
		all.errorf(nil, "begin with action_id", "no action in this file")
	}
	return found, all.problems
}

var (
	actionIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	digestForm   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// imports are the host interfaces that a provider can ask for.
var imports = []string{"latchgate:io/http", "latchgate:io/log"}

// foreign are the keys that manifests of the LatchGate catalogue may have and
// that say nothing here.
var foreign = []struct{ key, instead string }{
	{"verifier_kind", "a result is checked by io.response_schema"},
	{"verification_config", "a result is checked by io.response_schema"},
	{"required_scopes", "who may run an action is for the policy to say"},
}

// restricting are the keys of that catalogue that narrow what a provider may
// do in a way that is not kept here, so that ignoring them would widen it.
var restricting = []struct{ key, instead string }{
	{"fs", "providers have no file system here"},
	{"database_config", "providers have no database here"},
}

func (r *reader) manifest(n *yaml.Node) *Manifest {
	keys := []string{
		"action_id", "version", "description", "tags", "risk_level", "provider_module_digest", "provider_source",
		"required_imports", "template", "io", "egress", "secrets", "resource_limits", "declared_side_effects", "policy_args",
	}
	var also []string
	for _, f := range slices.Concat(foreign, restricting) {
		also = append(also, f.key)
	}
	o := r.objectAlso(n, "", keys, also)
	if !o.ok {
		return &Manifest{}
	}
	m := &Manifest{
		File:                r.file,
		Line:                n.Line,
		ActionID:            r.actionID(o),
		Version:             o.text("version"),
		Description:         o.text("description"),
		Tags:                o.strings("tags"),
		RiskLevel:           RiskLevel(o.oneOf("risk_level", "medium", "low", "medium", "high", "critical")),
		DeclaredSideEffects: o.strings("declared_side_effects"),
		PolicyArgs:          o.flag("policy_args"),
	}
	for _, f := range foreign {
		if o.has(f.key) {
			r.notef(o.values[f.key], f.instead, "%s is accepted and not used", f.key)
		}
	}
	for _, f := range restricting {
		if o.has(f.key) {
			r.errorf(o.values[f.key], f.instead, "%s is not supported", f.key)
		}
	}
	r.provider(o, m)
	m.IO = r.io(o)
	m.Limits = r.limits(o)
	m.Egress = r.egress(o)
	m.Template = r.template(o, m)
	m.Secrets = r.secrets(o, &m.Egress)
	r.templatePlaceholders(o, m)
	return m
}

func (r *reader) actionID(o object) string {
	if !o.has("action_id") {
		r.errorf(o.node, "write action_id: and a name of A-Z a-z 0-9 _ -", "action_id is missing")
	}
	return o.match("action_id", actionIDForm.MatchString, "write 1 to 128 of A-Z a-z 0-9 _ -")
}

func (r *reader) provider(o object, m *Manifest) {
	digest, source := o.text("provider_module_digest"), o.text("provider_source")
	lower := strings.ToLower(digest)
	switch {
	case digest == "":
		if o.has("provider_source") {
			r.errorf(o.values["provider_source"], "write its provider_module_digest: sha256:<64 hex digits>", "provider_source has no digest to be checked against")
		}
	case digest == BuiltinHTTPAPI:
		if o.has("provider_source") {
			r.errorf(o.values["provider_source"], "remove it", "provider_source does not go with %s", BuiltinHTTPAPI)
		}
	case digestForm.MatchString(lower):
		digest = lower
		if source == "" {
			r.errorf(o.near("provider_source"), "write provider_source: and the .wasm file", "provider_source is missing")
			break
		}
		if !filepath.IsAbs(source) {
			source = filepath.Join(filepath.Dir(r.file), source)
		}
		abs, err := filepath.Abs(source)
		if err != nil {
			r.errorf(o.values["provider_source"], "write an absolute path", "provider_source: %v", err)
		}
		m.ProviderSource = abs
	default:
		r.errorf(o.values["provider_module_digest"], "write "+BuiltinHTTPAPI+" or sha256:<64 hex digits>",
			"provider_module_digest: %q is not a provider", digest)
	}
	m.ProviderModuleDigest = digest
	for _, it := range o.texts("required_imports") {
		if !slices.Contains(imports, it.text) {
			r.errorf(it.node, "providers are offered "+strings.Join(imports, " and "), "%s: %q is not offered", it.path, it.text)
		}
		m.RequiredImports = append(m.RequiredImports, it.text)
	}
}

func (r *reader) io(parent object) IO {
	o := parent.child("io", "request_schema", "response_schema", "max_request_bytes", "max_response_bytes")
	return IO{
		RequestSchema:    r.schema(o, "request_schema"),
		ResponseSchema:   r.schema(o, "response_schema"),
		MaxRequestBytes:  o.number("max_request_bytes", 64<<10, 1, 1<<30),
		MaxResponseBytes: o.number("max_response_bytes", 1<<20, 1, 1<<30),
	}
}

func (r *reader) limits(parent object) Limits {
	o := parent.child("resource_limits", "timeout_seconds", "memory_mb", "max_io_calls", "max_host_response_bytes", "fuel")
	if o.has("fuel") {
		r.notef(o.values["fuel"], "the deadline and memory_mb bound a provider", "%s is accepted and not used", o.at("fuel"))
	}
	return Limits{
		Timeout:              time.Duration(o.number("timeout_seconds", 30, 1, 3600)) * time.Second,
		MemoryMB:             int(o.number("memory_mb", 64, 1, 4096)),
		MaxIOCalls:           int(o.number("max_io_calls", 10, 0, 10000)),
		MaxHostResponseBytes: o.number("max_host_response_bytes", 10<<20, 1, 1<<30),
		Fuel:                 o.number("fuel", 0, 1, 1<<62),
	}
}

func (r *reader) egress(parent object) Egress {
	o := parent.child("egress", "profile", "allowed_domains", "allowed_methods", "allowed_paths")
	e := Egress{
		Profile: Profile(o.oneOf("profile", string(ProfileNone),
			string(ProfileNone), string(ProfileAllowlist), string(ProfilePassthrough))),
		AllowedDomains: r.hosts(o.texts("allowed_domains")),
		AllowedMethods: r.methods(o.texts("allowed_methods")),
		AllowedPaths:   r.paths(o.texts("allowed_paths")),
	}
	rules := len(e.AllowedDomains) + len(e.AllowedMethods) + len(e.AllowedPaths)
	switch {
	case e.Profile == ProfileNone && rules > 0:
		r.errorf(o.near("profile"), "write profile: proxy_allowlist", "egress: profile none reaches no host, so the rules beside it say nothing")
	case e.Profile == ProfileAllowlist && (!o.has("allowed_domains") || len(o.values["allowed_domains"].Content) == 0):
		r.notef(o.near("profile"), "write the hosts that the action needs", "egress.allowed_domains is empty: the action reaches no host")
	}
	return e
}

func (r *reader) hosts(items []item) []HostPattern {
	var hosts []HostPattern
	for _, it := range items {
		p, err := ParseHostPattern(it.text)
		if err != nil {
			r.errorf(it.node, "write a host such as api.example.com, *.example.com or api.example.com:8443", "%s: %q: %v", it.path, it.text, err)
			continue
		}
		hosts = append(hosts, p)
	}
	return hosts
}

func (r *reader) methods(items []item) []string {
	var methods []string
	for _, it := range items {
		if !isToken(it.text) {
			r.errorf(it.node, "write a method such as GET", "%s: %q is not a method", it.path, it.text)
			continue
		}
		methods = append(methods, strings.ToUpper(it.text))
	}
	return methods
}

func (r *reader) paths(items []item) []PathPattern {
	var paths []PathPattern
	for _, it := range items {
		p, err := ParsePathPattern(it.text)
		if err != nil {
			r.errorf(it.node, "write a path such as /v1/items/* or /v1/**", "%s: %q: %v", it.path, it.text, err)
			continue
		}
		paths = append(paths, p)
	}
	return paths
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}
