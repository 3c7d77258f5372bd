package main

import "fmt"

// triable is a client that `doctor --clients` tries.
type triable struct {
	name    string
	program string
	has     []string // arguments with which it succeeds where the library is there
	version []string
	command func(url string) []string
	given   []string          // variables it needs for the request; PLACEHOLDER is the run's
	files   map[string]string // in the folder that it runs in

	proxy, credentials, trust string // what to do where it fails at that; "" for the general advice
}

func script(flag, text string) func(string) []string {
	return func(url string) []string { return []string{flag, fmt.Sprintf(text, url+"/")} }
}

func arguments(before ...string) func(string) []string {
	return func(url string) []string { return append(before[:len(before):len(before)], url+"/") }
}

const nodeProxyAdvice = "`exec` helps a Node that reads no proxy variable with NODE_OPTIONS; something else sets it, or use Node 22.21, 24.5 or later"

// triables are the clients in the order of the table. Each is tried with the
// least that makes it send one request; whether it likes the answer is nothing
// to us.
var triables = []triable{
	{name: "curl", program: "curl", version: []string{"--version"}, command: arguments("-q", "-sS", "-o", "/dev/null")},
	{name: "wget", program: "wget", version: []string{"--version"}, command: arguments("-nv", "--tries=1", "-O", "/dev/null"),
		trust: "wget reads its CA from the file that WGETRC names; something else sets that variable"},
	{name: "git", program: "git", version: []string{"--version"}, given: []string{"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1"},
		command: func(url string) []string { return []string{"ls-remote", url + "/probe.git"} },
		trust:   "git config --unset http.sslCAInfo: it wins over GIT_SSL_CAINFO"},
	{name: "gh", program: "gh", version: []string{"--version"}, given: []string{"GH_ENTERPRISE_TOKEN=PLACEHOLDER", "GH_NO_UPDATE_NOTIFIER=1"},
		command: func(string) []string { return []string{"api", "--hostname", tryHost, "probe"} }},
	{name: "python urllib", program: "python3", version: []string{"--version"},
		command: script("-c", "import urllib.request as u; u.urlopen(%q, timeout=9).read()")},
	{name: "python requests", program: "python3", has: []string{"-c", "import requests"}, version: []string{"-c", "import requests; print(requests.__version__)"},
		command: script("-c", "import requests; requests.get(%q, timeout=9).raise_for_status()")},
	{name: "python httpx", program: "python3", has: []string{"-c", "import httpx"}, version: []string{"-c", "import httpx; print(httpx.__version__)"},
		command: script("-c", "import httpx; httpx.get(%q, timeout=9).raise_for_status()")},
	{name: "pip", program: "python3", has: []string{"-m", "pip", "--version"}, version: []string{"-m", "pip", "--version"}, given: []string{"PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_RETRIES=0"},
		command: func(url string) []string {
			return []string{"-m", "pip", "index", "versions", "--no-cache-dir", "--index-url", url + "/", "latchgate-probe"}
		}},
	{name: "node fetch", program: "node", has: []string{"-e", "fetch"}, version: []string{"--version"}, proxy: nodeProxyAdvice,
		command: script("-e", "fetch(%q).then(a => a.text())")},
	{name: "node https", program: "node", version: []string{"--version"}, proxy: nodeProxyAdvice,
		command: script("-e", "require('https').get(%q, a => a.resume())")},
	{name: "npm", program: "npm", version: []string{"--version"}, given: []string{"npm_config_update_notifier=false", "npm_config_fetch_retries=0"},
		command: func(url string) []string { return []string{"view", "latchgate-probe", "--registry", url + "/"} },
		trust:   "npm config delete cafile, in every npmrc: npm_config_cafile is set by `exec`"},
	{name: "deno", program: "deno", version: []string{"--version"}, command: script("eval", "await (await fetch(%q)).text()")},
	{name: "bun", program: "bun", version: []string{"--version"}, command: script("-e", "await (await fetch(%q)).text()")},
	{name: "java", program: "java", version: []string{"--version"}, files: map[string]string{"Get.java": javaGet}, command: arguments("Get.java"),
		credentials: "a JVM sends a proxy no credentials of itself; where `exec` can't add them, the program needs a java.net.Authenticator",
		trust:       "JAVA_TOOL_OPTIONS names the trust store; a later -Djavax.net.ssl.trustStore wins"},
	{name: "go", program: "go", version: []string{"version"},
		given:   []string{"GOTOOLCHAIN=local", "GOFLAGS=", "GOSUMDB=off", "GOENV=off", "GOPROXY=https://" + tryHost},
		command: func(string) []string { return []string{"list", "-m", "-versions", tryHost + "/probe"} }},
	{name: "cargo", program: "cargo", version: []string{"--version"},
		command: func(url string) []string { return []string{"search", "probe", "--index", "sparse+" + url + "/"} }},
	{name: "php", program: "php", has: []string{"-r", "exit(extension_loaded('curl') ? 0 : 1);"}, version: []string{"--version"},
		command: script("-r", "$c = curl_init(%q); curl_setopt($c, CURLOPT_RETURNTRANSFER, true); if (curl_exec($c) === false) { fwrite(STDERR, curl_error($c)); exit(1); }"),
		trust:   "PHP_INI_SCAN_DIR adds our settings; a later curl.cainfo in php.ini wins"},
	{name: "ruby", program: "ruby", version: []string{"--version"}, command: script("-e", "require 'net/http'; Net::HTTP.get_response(URI(%q))")},
	{name: "perl", program: "perl", has: []string{"-MLWP::Protocol::https", "-e", "1"}, version: []string{"-MLWP", "-e", "print $LWP::VERSION"},
		command: script("-e", "use LWP::UserAgent; my $a = LWP::UserAgent->new(env_proxy => 1)->get(%q); die $a->status_line unless $a->is_success")},
}

// javaGet is run from its source.
const javaGet = `import java.net.URI;
import java.net.http.*;

class Get {
    public static void main(String[] args) throws Exception {
        HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(args[0])).build(), HttpResponse.BodyHandlers.discarding());
    }
}
`
