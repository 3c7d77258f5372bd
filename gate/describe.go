package gate

import (
	"fmt"
	"strings"

	"github.com/latchgate/latchgate/manifests"
)

// DescribeAction is what GET /v1/actions, and the commands, say of a manifest.
func DescribeAction(m *manifests.Manifest) ActionStatus {
	s := ActionStatus{ID: m.ActionID, Version: m.Version, Description: m.Description, RiskLevel: string(m.RiskLevel), Tags: m.Tags,
		Provider: m.ProviderModuleDigest, Hosts: []string{}, Methods: m.Egress.AllowedMethods, SideEffects: m.DeclaredSideEffects,
		Secrets: []ActionSecret{}, RequestSchema: m.IO.RequestSchema, ResponseSchema: m.IO.ResponseSchema, File: m.File, Line: m.Line}
	for _, h := range m.Egress.AllowedDomains {
		s.Hosts = append(s.Hosts, h.String())
	}
	for _, p := range m.Egress.AllowedPaths {
		s.Paths = append(s.Paths, p.String())
	}
	if m.Template != nil {
		s.Request = m.Template.Method + " " + m.Template.URLTemplate
	}
	for _, secret := range m.Secrets {
		a := ActionSecret{Name: secret.Name, Required: secret.Required, Env: secret.Env, Inject: []string{}}
		for i := range secret.Inject {
			a.Inject = append(a.Inject, describeBinding(&secret.Inject[i]))
		}
		s.Secrets = append(s.Secrets, a)
	}
	return s
}

// describeBinding says in words where a binding puts its secret.
func describeBinding(b *manifests.Binding) string {
	place := string(b.As)
	switch b.As {
	case manifests.Basic:
		place = "basic, user " + b.Username
	case manifests.Header:
		place = fmt.Sprintf("header %s: %s", b.Header, b.Format)
	case manifests.Query:
		place = "query " + b.Param
	case manifests.Path:
		place = "path " + b.Format
	case manifests.Placeholder:
		place = "placeholder in " + strings.Join(b.In, ", ")
	}
	hosts := make([]string, len(b.Hosts))
	for i, h := range b.Hosts {
		hosts[i] = h.String()
	}
	place += " on " + strings.Join(hosts, ", ")
	if len(b.Methods) > 0 {
		place += " for " + strings.Join(b.Methods, ", ")
	}
	if len(b.Paths) > 0 {
		place += " at " + joinPaths(b.Paths)
	}
	if len(b.ExceptPaths) > 0 {
		place += " but not at " + joinPaths(b.ExceptPaths)
	}
	return place
}

func joinPaths(paths []manifests.PathPattern) string {
	texts := make([]string, len(paths))
	for i, p := range paths {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}
