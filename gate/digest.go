package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy"
)

// seal sets the digest. encoding/json sorts the arguments' names.
func (a *Approval) seal(args map[string]any, grants []proxy.Grant) error {
	var granted []string
	for i := range grants {
		granted = append(granted, inFull(&grants[i]))
	}
	raw, err := json.Marshal([]any{a.Principal, a.Door, a.Actions, args, granted, a.TTLSeconds, a.MaxRequests, a.MaxBytes})
	if err != nil {
		return &Error{Code: CodeArgumentsInvalid, Message: "the arguments are not JSON", Err: err}
	}
	sum := sha256.Sum256(raw)
	a.Digest = "sha256:" + hex.EncodeToString(sum[:])
	return nil
}

// inFull is a grant as text that is equal only where the same may be done: a
// manifest that a reload changed needs another approval. It is in Go's syntax,
// which has the patterns' own fields and sorts maps.
func inFull(gr *proxy.Grant) string {
	m := *gr.Manifest
	m.File, m.Line, m.Template = "", 0, nil
	m.Secrets = slices.Clone(m.Secrets)
	for i := range m.Secrets {
		m.Secrets[i].Inject = slices.Clone(m.Secrets[i].Inject)
		for j := range m.Secrets[i].Inject {
			m.Secrets[i].Inject[j].Line = 0
		}
	}
	var template manifests.Template // apart: a pointer is printed as its address
	if gr.Manifest.Template != nil {
		template = *gr.Manifest.Template
	}
	return fmt.Sprintf("%#v %#v %#v %#v", m, template, gr.Secrets, gr.Hosts)
}
