package gate

import (
	"crypto/rand"
	"regexp"
	"strconv"

	"github.com/latchgate/latchgate/manifests"
	"github.com/latchgate/latchgate/proxy"
)

// placeholders makes a fresh worthless token for each variable that the run's
// actions declare. Two actions that declare the same variable share the first.
func placeholders(grants []proxy.Grant) map[string]string {
	vars := map[string]string{}
	for _, gr := range grants {
		for _, s := range gr.Manifest.Secrets {
			if _, ok := vars[s.Env]; !ok {
				vars[s.Env] = newPlaceholder(s.Placeholder)
			}
		}
	}
	return vars
}

var randomPart = regexp.MustCompile(`\{random:([0-9]+)\}`)

// newPlaceholder fills a manifest's shape: each {random:N} becomes N characters
// of base62.
func newPlaceholder(shape string) string {
	if shape == "" {
		shape = manifests.DefaultPlaceholder
	}
	return randomPart.ReplaceAllStringFunc(shape, func(part string) string {
		n, _ := strconv.Atoi(randomPart.FindStringSubmatch(part)[1])
		return randomBase62(n)
	})
}

func randomBase62(n int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out, b := make([]byte, 0, n), make([]byte, n+n/4+8)
	for len(out) < n {
		_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
		for _, c := range b {
			// 248 is the largest multiple of 62 in a byte: no digit is likelier than another.
			if c < 248 && len(out) < n {
				out = append(out, digits[c%62])
			}
		}
	}
	return string(out)
}
