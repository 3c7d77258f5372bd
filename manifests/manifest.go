package manifests

import "time"

// Manifest declares one action. It is immutable once parsed.
type Manifest struct {
	ActionID    string // [A-Za-z0-9_-]{1,128}
	Version     string
	Description string
	Tags        []string
	RiskLevel   RiskLevel

	// ProviderModuleDigest is BuiltinHTTPAPI, "sha256:" and 64 lower-case hex
	// digits, or "" for an action that only agents use, through the proxy.
	ProviderModuleDigest string
	// ProviderSource is the absolute path of the module whose digest that is;
	// "" unless the digest is a sha256.
	ProviderSource  string
	RequiredImports []string
	Template        *Template // nil unless the provider is BuiltinHTTPAPI

	IO                  IO
	Egress              Egress
	Secrets             []Secret // in the order of declaration, which decides conflicts
	Limits              Limits
	DeclaredSideEffects []string
	// PolicyArgs lets the policy see the values of the arguments and not only
	// their names and sizes.
	PolicyArgs bool

	// File and Line say where the manifest stands, for messages. A bundled one
	// is in "bundled:<file>".
	File string
	Line int
}

// BuiltinHTTPAPI is the digest that names the provider which sends a template.
const BuiltinHTTPAPI = "builtin:http_api"

// RiskLevel is what the author thinks an action can break.
type RiskLevel string

// The risk levels, the least first. RiskMedium is the default.
const (
	RiskLow      RiskLevel = "low"
	RiskMedium   RiskLevel = "medium"
	RiskHigh     RiskLevel = "high"
	RiskCritical RiskLevel = "critical"
)

// Template is the one request that BuiltinHTTPAPI sends. Its strings hold
// {{name}} where an argument goes, and {{placeholder:NAME}} where the run's
// token for a secret goes: see WithPlaceholders.
type Template struct {
	Method       string // upper case
	URLTemplate  string
	Headers      map[string]string // by canonical name
	BodyTemplate any               // a string, or a JSON value; nil: no body

	placeholders bool // some string holds {{placeholder:NAME}}
}

// IO bounds and describes an action's arguments and result.
type IO struct {
	RequestSchema  map[string]any // nil: any arguments. It compiles: see CompileSchema.
	ResponseSchema map[string]any // nil: any result

	MaxRequestBytes  int64 // of the arguments as JSON; default 65536
	MaxResponseBytes int64 // of the result as JSON; default 1048576
}

// Profile says how far an action's egress rules reach.
type Profile string

// The egress profiles. ProfileNone is the default.
const (
	ProfileNone        Profile = "none"            // no host at all
	ProfileAllowlist   Profile = "proxy_allowlist" // the allowed domains and nothing else
	ProfilePassthrough Profile = "passthrough"     // other hosts too, by a blind tunnel, never with a credential
)

// Egress is where an action may go.
type Egress struct {
	Profile        Profile
	AllowedDomains []HostPattern // empty: no host
	AllowedMethods []string      // upper case; empty: all
	AllowedPaths   []PathPattern // empty: all
}

// Secret is a named value of the secrets file that the action uses.
type Secret struct {
	Name     string
	Required bool
	// Env is the variable that carries the placeholder to a wrapped command.
	// Default: Name.
	Env string
	// Placeholder is the shape of the worthless token that stands for the
	// secret, with at least 128 bits of {random:N}. Default: DefaultPlaceholder.
	Placeholder string
	// Inject holds the bindings in the order of declaration. Where the manifest
	// says nothing it is one bearer binding on all allowed domains. It is empty
	// where nothing may ever be stamped; then Required is false.
	Inject []Binding
}

// DefaultPlaceholder is the shape of a placeholder whose manifest gives none.
const DefaultPlaceholder = "latchgate_{random:32}"

// Kind is the place where a binding puts a secret.
type Kind string

// The kinds of binding.
const (
	Bearer      Kind = "bearer"      // Authorization: Bearer <value>
	Basic       Kind = "basic"       // Authorization: Basic base64(Username:<value>)
	Header      Kind = "header"      // Header: Format
	Query       Kind = "query"       // Param=<value>
	Path        Kind = "path"        // Format is prefixed to the path
	Placeholder Kind = "placeholder" // in place of this run's placeholder, in the parts named by In
)

// The parts of a request in which a Placeholder binding replaces, for Binding.In.
const (
	InHeader = "header"
	InQuery  = "query"
	InBody   = "body"
)

// Binding is one rule of inject: this secret goes on requests to these hosts,
// in this place. Fields that As has no use for are empty.
type Binding struct {
	As    Kind
	Hosts []HostPattern // never empty; each one is covered by an allowed domain

	Username string   // Basic: no ':' and no control characters; may be empty
	Header   string   // Header: canonical name, never one that frames or routes a message
	Format   string   // Header, Path: holds "{value}" exactly once
	Param    string   // Query
	In       []string // Placeholder: InHeader, InQuery, InBody; never empty

	Methods     []string // upper case; empty: all
	Paths       []PathPattern
	ExceptPaths []PathPattern // win over Paths

	Line int // of the file in Manifest.File
}

// Limits bound one execution of a provider.
type Limits struct {
	Timeout              time.Duration // default 30 s
	MemoryMB             int           // default 64
	MaxIOCalls           int           // default 10; 0: none
	MaxHostResponseBytes int64         // of one answer; default 10485760
	Fuel                 int64         // accepted and not used; 0: not given
}
