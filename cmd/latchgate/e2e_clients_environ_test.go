package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// wantedEnviron is all that `exec` sets. PROXY, PORT, DOOR and CA stand for what
// differs from run to run.
var wantedEnviron = map[string]string{
	"HTTP_PROXY": "PROXY", "http_proxy": "PROXY", "HTTPS_PROXY": "PROXY", "https_proxy": "PROXY", "ALL_PROXY": "PROXY", "all_proxy": "PROXY",
	"NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "localhost,127.0.0.1,::1",
	"SSL_CERT_FILE": "CA/bundle.pem", "CURL_CA_BUNDLE": "CA/bundle.pem", "REQUESTS_CA_BUNDLE": "CA/bundle.pem", "PIP_CERT": "CA/bundle.pem",
	"HTTPLIB2_CA_CERTS": "CA/bundle.pem", "npm_config_cafile": "CA/bundle.pem", "DENO_CERT": "CA/bundle.pem", "GIT_SSL_CAINFO": "CA/bundle.pem",
	"CARGO_HTTP_CAINFO": "CA/bundle.pem", "AWS_CA_BUNDLE": "CA/bundle.pem", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "CA/bundle.pem",
	"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": "CA/bundle.pem", "NIX_SSL_CERT_FILE": "CA/bundle.pem", "PERL_LWP_SSL_CA_FILE": "CA/bundle.pem",
	"NODE_EXTRA_CA_CERTS": "CA/ca.pem", "NODE_USE_ENV_PROXY": "1", "NODE_OPTIONS": `--require "CA/nodeproxy.cjs"`,
	"GIT_HTTP_PROXY_AUTHMETHOD": "basic", "WGETRC": "CA/wgetrc", "PHP_INI_SCAN_DIR": ":CA/php",
	"JAVA_TOOL_OPTIONS": "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=DOOR -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=DOOR" +
		" -Dhttp.nonProxyHosts=localhost|127.*|[::1] -Djdk.http.auth.tunneling.disabledSchemes=" +
		" -Djavax.net.ssl.trustStore=CA/truststore.p12 -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=changeit",
	"API_TOKEN": "sk-RANDOM", "DB_PASSWORD": "latchgate_RANDOM",
}

// variableShapes are what becomes of a value before it is compared.
var variableShapes = []struct {
	is   *regexp.Regexp
	into string
}{
	{regexp.MustCompile(`^http://run-[0-9a-f]{12}:[0-9a-f]{48}@127\.0\.0\.1:\d+$`), "PROXY"},
	{regexp.MustCompile(`Port=\d+`), "Port=DOOR"},
	{regexp.MustCompile(`^(sk-|latchgate_)[0-9A-Za-z]{32,}$`), "${1}RANDOM"},
}

func TestExecSetsTheseVariablesAndNoOthers(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	environ := append(slices.Clone(poison), "KEPT=yes", "ALL_PROXY=socks5://127.0.0.1:1", "DB_PASSWORD="+apiSecret)
	child := h.childEnviron(environ)
	inherited := map[string]string{}
	for _, entry := range append(slices.Clone(h.environ), "KEPT=yes", "PWD="+h.dir) {
		name, value, _ := strings.Cut(entry, "=")
		inherited[name] = value
	}
	for name, value := range child {
		if was, ok := inherited[name]; ok {
			if value != was {
				t.Errorf("%s is %q, and was %q", name, value, was)
			}
			continue
		}
		value = strings.ReplaceAll(value, h.path(".latchgate/ca"), "CA")
		for _, shape := range variableShapes {
			value = shape.is.ReplaceAllString(value, shape.into)
		}
		if want, ok := wantedEnviron[name]; !ok || value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
	for name := range maps.Keys(wantedEnviron) {
		if _, ok := child[name]; !ok {
			t.Errorf("%s is not set", name)
		}
	}
	for name, value := range child {
		if path := strings.TrimLeft(value, ":"); strings.HasPrefix(path, h.path(".latchgate")) {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What a user has in the options of Java and Node is for other purposes too.
func TestOptionsOfTheUserAreKept(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	child := h.childEnviron([]string{"JAVA_TOOL_OPTIONS=-Xmx64m -Dhttps.proxyPort=1", "NODE_OPTIONS=--max-old-space-size=64"})
	if got := child["JAVA_TOOL_OPTIONS"]; !strings.HasPrefix(got, "-Xmx64m -Dhttps.proxyPort=1 -Dhttp.proxyHost=") {
		t.Errorf("JAVA_TOOL_OPTIONS is %q", got)
	}
	if got := child["NODE_OPTIONS"]; !strings.HasPrefix(got, `--max-old-space-size=64 --require "`) {
		t.Errorf("NODE_OPTIONS is %q", got)
	}
}

// childEnviron is the environment that exec gives to a command, when it has
// these variables itself.
func (h *home) childEnviron(environ []string) map[string]string {
	h.t.Helper()
	h.write("manifests/other.yaml", otherManifest+"secrets: [{name: DB_TOKEN, env: DB_PASSWORD}]\n")
	o := h.runWith("", environ, "exec", "-a", "api", "-a", "other", "--", "env", "-0")
	if o.status != 0 {
		h.t.Fatalf("status %d: %s", o.status, o.stderr)
	}
	child := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(o.stdout, "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		child[name] = value
	}
	return child
}
