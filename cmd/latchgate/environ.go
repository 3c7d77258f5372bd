package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/latchgate/latchgate/gate"
)

// variables is the one list of what `exec` and `env` set. Clients read
// different ones, and some only one spelling of them. javaProxy is host:port.
func variables(run *gate.OpenedRun, javaProxy string) []variable {
	t := run.Trust
	vars := []variable{
		{"HTTP_PROXY", run.Proxy}, {"http_proxy", run.Proxy}, // curl and wget read the lower case only
		{"HTTPS_PROXY", run.Proxy}, {"https_proxy", run.Proxy},
		{"ALL_PROXY", run.Proxy}, {"all_proxy", run.Proxy},
		{"NO_PROXY", loopback}, {"no_proxy", loopback},
		{"SSL_CERT_FILE", t.Bundle},            // OpenSSL, Go, Python's ssl; it replaces the system's roots
		{"CURL_CA_BUNDLE", t.Bundle},           // curl, requests
		{"REQUESTS_CA_BUNDLE", t.Bundle},       // Python requests does not read SSL_CERT_FILE
		{"PIP_CERT", t.Bundle},                 //
		{"HTTPLIB2_CA_CERTS", t.Bundle},        //
		{"NODE_EXTRA_CA_CERTS", t.Root},        // additive: our root alone
		{"NODE_USE_ENV_PROXY", "1"},            // Node reads no proxy variable without it
		{"npm_config_cafile", t.Bundle},        //
		{"DENO_CERT", t.Bundle},                //
		{"GIT_SSL_CAINFO", t.Bundle},           // git with GnuTLS reads nothing else
		{"GIT_HTTP_PROXY_AUTHMETHOD", "basic"}, // git would wait for a 407 first
		{"CARGO_HTTP_CAINFO", t.Bundle},
		{"AWS_CA_BUNDLE", t.Bundle},
		{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", t.Bundle},
		{"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", t.Bundle},
		{"NIX_SSL_CERT_FILE", t.Bundle},
		{"PERL_LWP_SSL_CA_FILE", t.Bundle},
		{"PHP_INI_SCAN_DIR", ":" + t.PHP}, // beside PHP's own, which the empty element stands for
		{"WGETRC", t.Wgetrc},              // no variable tells wget about a CA
		{"JAVA_TOOL_OPTIONS", javaOptions(javaProxy, t)},
	}
	names := make([]string, 0, len(run.Placeholders))
	for name := range run.Placeholders {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		vars = append(vars, variable{name, run.Placeholders[name]})
	}
	return vars
}

type variable struct{ name, value string }

const loopback = "localhost,127.0.0.1,::1"

// javaOptions points a JVM at the proxy and the trust store. Basic is off for
// CONNECT by default in a JVM; the empty list switches it on for programs with
// an Authenticator.
func javaOptions(proxy string, t gate.Trust) string {
	host, port, err := net.SplitHostPort(proxy)
	if err != nil {
		return ""
	}
	store := t.Truststore
	if strings.ContainsAny(store, " \t") {
		store = `"` + store + `"`
	}
	return fmt.Sprintf("-Dhttp.proxyHost=%[1]s -Dhttp.proxyPort=%[2]s -Dhttps.proxyHost=%[1]s -Dhttps.proxyPort=%[2]s"+
		" -Dhttp.nonProxyHosts=localhost|127.*|[::1] -Djdk.http.auth.tunneling.disabledSchemes="+
		" -Djavax.net.ssl.trustStore=%[3]s -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=%[4]s",
		host, port, store, gate.TruststorePassword)
}

// nodeOptions loads the module that old versions of Node need.
func nodeOptions(t gate.Trust) string {
	return `--require "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(t.NodeProxy) + `"`
}

// hostOf is host:port of the proxy's URL.
func hostOf(proxy string) string {
	u, err := url.Parse(proxy)
	if err != nil {
		return ""
	}
	return u.Host
}

// withheld reports whether a variable of our own environment must not reach a
// child: one named like a declared secret, and SOPS' key material under any name.
func withheld(name, value string, run *gate.OpenedRun) bool {
	return slices.Contains(run.SecretNames, name) ||
		strings.HasPrefix(name, "SOPS_") && strings.Contains(name, "KEY") ||
		strings.Contains(value, "AGE-SECRET-KEY-")
}

// childEnviron is the environment of a command behind the proxy. What the user
// has in the options of Java and Node is kept; ours come after it. Our own
// settings are not in it: they lead to the control socket, and may hold a password.
func childEnviron(environ []string, run *gate.OpenedRun, javaProxy string) []string {
	set := variables(run, javaProxy)
	if run.Trust.NodeProxy != "" { // not in `env`: where the file is not mounted, no Node would start at all
		set = append(set, variable{"NODE_OPTIONS", nodeOptions(run.Trust)})
	}
	var child []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if withheld(name, value, run) || strings.HasPrefix(name, "LATCHGATE_") {
			continue
		}
		i := slices.IndexFunc(set, func(v variable) bool { return v.name == name })
		switch {
		case i < 0:
			child = append(child, entry)
		case (name == "JAVA_TOOL_OPTIONS" || name == "NODE_OPTIONS") && value != "":
			set[i].value = value + " " + set[i].value
		}
	}
	for _, v := range set {
		child = append(child, v.name+"="+v.value)
	}
	return child
}

// withheldNames are the variables of environ that a child must do without.
func withheldNames(environ []string, run *gate.OpenedRun) []string {
	var names []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, replaced := run.Placeholders[name]; withheld(name, value, run) && !replaced {
			names = append(names, name)
		}
	}
	return names
}
