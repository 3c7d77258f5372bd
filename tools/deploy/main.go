// Command deploycheck looks at the files that an operator copies with the
// packages of the programs that will read them:
//
//	deploycheck chart DIR [KEY=VALUE...]   lint a Helm chart, then print what it renders to
//	deploycheck goreleaser FILE            decode a goreleaser configuration, unknown keys refused
//	deploycheck actions FILE...            lint GitHub Actions workflows with actionlint
//
// It is a module of its own, built by `make tools`: the packages of Helm bring
// those of Kubernetes along, and the programs themselves twice as many.
package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/rhysd/actionlint"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/strvals"
)

func main() {
	err := fmt.Errorf("usage: deploycheck chart|goreleaser|actions FILE...")
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "chart":
			err = chart(os.Args[2], os.Args[3:])
		case "goreleaser":
			_, err = config.Load(os.Args[2])
		case "actions":
			err = actions(os.Args[2:])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "deploycheck:", err)
		os.Exit(1)
	}
}

// chart fails on every remark of Helm's linter but that a chart has no icon.
func chart(dir string, set []string) error {
	values := map[string]any{}
	for _, s := range set {
		if err := strvals.ParseInto(s, values); err != nil {
			return err
		}
	}
	for _, m := range lint.AllWithKubeVersion(dir, values, "agents", nil).Messages {
		if m.Severity > support.InfoSev {
			return m.Err
		}
	}
	c, err := loader.Load(dir)
	if err != nil {
		return err
	}
	release := chartutil.ReleaseOptions{Name: "latchgate", Namespace: "agents", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" && strings.HasSuffix(name, ".yaml") {
			fmt.Printf("---\n# Source: %s\n%s\n", name, text)
		}
	}
	return nil
}

func actions(files []string) error {
	l, err := actionlint.NewLinter(os.Stdout, &actionlint.LinterOptions{Shellcheck: "", Pyflakes: "", LogWriter: io.Discard})
	if err != nil {
		return err
	}
	found, err := l.LintFiles(files, nil)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%d remarks", len(found))
	}
	return err
}
