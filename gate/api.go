package gate

import "time"

// The bodies of the control API, as docs/openapi.yaml has them. [Approval],
// [Executed], [OpenedRun], [Error] and audit.Entry are the others.

// Status is what GET /v1/status answers.
type Status struct {
	Version   string `json:"version"`
	PID       int    `json:"pid"`
	Proxy     string `json:"proxy"`             // address of the agents' door
	Metrics   string `json:"metrics,omitempty"` // "" where it is off
	Config    string `json:"config,omitempty"`  // file that is in force; "" for the defaults
	Runs      int    `json:"runs"`
	Actions   int    `json:"actions"`
	Approvals int    `json:"approvals"` // tickets that wait for a decision
	Ready     bool   `json:"ready"`
	Fault     string `json:"fault,omitempty"` // why it is not ready
	Trust     Trust  `json:"trust"`
}

// RunStatus is one open run in GET /v1/runs.
type RunStatus struct {
	ID          string    `json:"run"`
	Principal   string    `json:"principal"`
	Door        string    `json:"door"`
	Actions     []string  `json:"actions"`
	Opened      time.Time `json:"opened"`
	Expires     time.Time `json:"expires,omitzero"` // zero: when it is closed
	Requests    int64     `json:"requests"`
	MaxRequests int64     `json:"max_requests,omitempty"` // 0: no bound
	Bytes       int64     `json:"bytes"`                  // of bodies, of requests and answers together
	MaxBytes    int64     `json:"max_bytes,omitempty"`    // 0: no bound
	Ticket      string    `json:"ticket,omitempty"`       // the approval that it was opened with
}

// runRequest is the body of POST /v1/runs.
type runRequest struct {
	Door    string   `json:"door"`
	Actions []string `json:"actions"`
	// TTLSeconds is the life of the run; 0: until it is closed.
	TTLSeconds  float64 `json:"ttl_seconds,omitempty"`
	MaxRequests int64   `json:"max_requests,omitempty"`
	MaxBytes    int64   `json:"max_bytes,omitempty"`
	// Attached ties the run to this request: the answer stays open, and the run
	// is closed when the client goes away, however it goes.
	Attached bool `json:"attached,omitempty"`
}

// renewRequest is the body of POST /v1/runs/{id}/renew.
type renewRequest struct {
	TTLSeconds float64 `json:"ttl_seconds"`
}

// executeRequest is the body of POST /v1/actions/{id}/execute.
type executeRequest struct {
	Args        map[string]any `json:"args,omitempty"`
	Door        string         `json:"door,omitempty"`
	TTLSeconds  float64        `json:"ttl_seconds,omitempty"`
	MaxRequests int64          `json:"max_requests,omitempty"`
	MaxBytes    int64          `json:"max_bytes,omitempty"`
}

type errorAnswer struct {
	Error *Error `json:"error"`
}

// ActionStatus is one action in GET /v1/actions: what its manifest declares.
type ActionStatus struct {
	ID             string         `json:"action_id"`
	Version        string         `json:"version,omitempty"`
	Description    string         `json:"description,omitempty"`
	RiskLevel      string         `json:"risk_level"`
	Tags           []string       `json:"tags,omitempty"`
	Provider       string         `json:"provider,omitempty"` // "": for agents only, through the proxy
	Hosts          []string       `json:"hosts"`
	Methods        []string       `json:"methods,omitempty"` // none: all
	Paths          []string       `json:"paths,omitempty"`   // none: all
	Request        string         `json:"request,omitempty"` // method and URL of the template
	SideEffects    []string       `json:"side_effects,omitempty"`
	Secrets        []ActionSecret `json:"secrets"`
	RequestSchema  map[string]any `json:"request_schema,omitempty"`
	ResponseSchema map[string]any `json:"response_schema,omitempty"`
	File           string         `json:"file"`
	Line           int            `json:"line"`
}

// ActionSecret is a secret that an action declares.
type ActionSecret struct {
	Name     string   `json:"name"`
	Required bool     `json:"required"`
	Env      string   `json:"env"`    // variable that carries the placeholder
	Inject   []string `json:"inject"` // where it is put, in words
}
