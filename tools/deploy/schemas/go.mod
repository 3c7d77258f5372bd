// The schemas that manifests and the compose file are validated with: nothing
// is built from these modules, their files are read. After a change of
// version: go mod download MODULE, not go mod tidy.
module github.com/latchgate/latchgate/tools/deploy/schemas

go 1.26.0

require (
	github.com/compose-spec/compose-go/v2 v2.16.2
	sigs.k8s.io/kubectl-validate v0.0.4
)
