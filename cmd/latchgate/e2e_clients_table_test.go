package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// client is a real program that gets a URL and prints the answer, or that
// works on what is below that URL.
type client struct {
	id      string // what it asks for at the origin, where path is empty
	path    string
	name    string   // its row in docs/clients.md
	program string   // see program
	has     []string // arguments with which it succeeds where a library is there
	version []string // arguments with which it tells a version
	command func(url string) []string
	proxy   []string // the variables by which it finds the proxy,
	trust   []string // and those by which it trusts us: they are enough
	given   []string // what the test itself has to set
	action  string   // api, where it is empty
	host    string   // apiHost, where it is empty; another one has what the client needs
	silent  bool     // prints nothing of the answer
	several bool     // makes more than one request
	keyed   bool     // does nothing without a key, and sends the placeholder
}

// with gives arguments to the program, and the URL after them.
func with(args ...string) func(string) []string {
	return func(url string) []string { return append(slices.Clone(args), url) }
}

// clients are all rows.
var clients = slices.Concat([]client{
	{id: "curl", name: "curl, HTTP/2", program: "curl", version: tells, command: with("-sSfi", "--http2"), proxy: lower, trust: curlTrust},
	{id: "curl-1.1", name: "curl, HTTP/1.1", program: "curl", version: tells, command: with("-sSfi", "--http1.1"), proxy: lower, trust: curlTrust},
	{id: "curl-1.0", name: "curl, HTTP/1.0", program: "curl", version: tells, command: with("-sSfi", "--http1.0"), proxy: lower, trust: curlTrust},
	{id: "wget", name: "wget", program: "wget", version: tells, command: with("-q", "-S", "-O-"), proxy: lower, trust: []string{"WGETRC"}},
	{id: "git", path: "team/private.git", name: "git, see below", program: "git", version: tells, command: func(string) []string { return []string{"ls-remote", "https://" + gitHost + "/team/private.git"} },
		proxy: lower, trust: []string{"GIT_SSL_CAINFO"}, action: "git", host: gitHost, silent: true, several: true},
	{id: "go", name: "Go net/http", program: "goclient", version: []string{"version", "go"}, command: with("get"), proxy: upper, trust: openssl},
	{id: "go-grpc", name: "grpc-go: unary, stream", program: "goclient", version: []string{"version", "grpc"}, command: with("grpc"), proxy: upper, trust: openssl, several: true},
	{id: "gh", name: "gh", program: "gh", version: tells, command: func(string) []string { return []string{"api", "/gh"} },
		proxy: upper, trust: openssl, action: "github", host: ghHost, keyed: true},
	{id: "cargo", name: "cargo, a registry of one's own", program: "cargo", version: tells, given: []string{"CARGO_HOME=cargo", "RUSTUP_HOME=" + rustup()},
		command: func(url string) []string { return []string{"search", "thing", "--index", "sparse+" + url + "/"} },
		proxy:   upper, trust: []string{"CARGO_HTTP_CAINFO"}, several: true},
}, pythonClients, nodeClients, otherClients)

// Columns that rows share.
var (
	tells     = []string{"--version"}
	lower     = []string{"https_proxy"}
	upper     = []string{"HTTPS_PROXY"}
	curlTrust = []string{"CURL_CA_BUNDLE"}
	openssl   = []string{"SSL_CERT_FILE"}
	requests  = []string{"REQUESTS_CA_BUNDLE"}
	oldNode   = []string{"HTTPS_PROXY", "NODE_OPTIONS"}
	newNode   = []string{"HTTPS_PROXY", "NODE_USE_ENV_PROXY"}
	nodeTrust = []string{"NODE_EXTRA_CA_CERTS"}
	java      = []string{"JAVA_TOOL_OPTIONS"}
	pythonTLS = []string{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}
)

// rustup is where a cargo that rustup installed looks for the real one.
func rustup() string {
	return cmp.Or(os.Getenv("RUSTUP_HOME"), filepath.Join(os.Getenv("HOME"), ".rustup"))
}

var pythonClients = []client{
	python("urllib", "Python urllib", upper, openssl),
	python("requests", "Python requests", upper, requests),
	python("httpx", "Python httpx", upper, openssl),
	python("aiohttp", "Python aiohttp, trust_env=True", upper, openssl),
	python("grpc", "Python grpcio", lower, pythonTLS),
	python("websocket", "Python websocket-client", lower, openssl),
	python("aiohttp_websocket", "Python aiohttp, WebSocket", upper, openssl),
	{id: "pip", name: "pip, an index of one's own", program: "python3", has: []string{"-m", "pip", "--version"}, version: []string{"-m", "pip", "--version"},
		command: func(url string) []string {
			return []string{"-m", "pip", "index", "versions", "--no-cache-dir", "--index-url", url + "/", "thing-simple"}
		},
		given: []string{"PIP_DISABLE_PIP_VERSION_CHECK=1"}, proxy: upper, trust: []string{"PIP_CERT"}, silent: true},
}

func python(library, name string, proxy, trust []string) client {
	module, _, _ := strings.Cut(library, "_")
	tell := "import " + module + "; print(" + module + ".__version__)"
	if module == "urllib" {
		tell = "import sys; print(sys.version)"
	}
	return client{id: "python-" + library, name: name, program: "python3", has: []string{"-c", "import " + module}, version: []string{"-c", tell},
		command: with("testdata/clients/get.py", library), proxy: proxy, trust: trust}
}

var nodeClients = []client{
	node("node20", "fetch", "Node 20 fetch", oldNode, nodeTrust),
	node("node20", "https", "Node 20 https", oldNode, nodeTrust),
	node("node20", "undici", "Node 20, undici", oldNode, nodeTrust),
	node("node20", "axios", "Node 20, axios", upper, nodeTrust), // reads the variables itself
	node("node20", "undici-WebSocket", "Node 20, undici, WebSocket", oldNode, nodeTrust),
	node("node20", "ws", "Node 20, ws with https-proxy-agent", upper, nodeTrust),
	node("node24", "fetch", "Node 24 fetch", newNode, nodeTrust),
	node("node24", "https", "Node 24 https", newNode, nodeTrust),
	node("node24", "undici", "Node 24, undici", newNode, nodeTrust),
	node("node24", "axios", "Node 24, axios", upper, nodeTrust),
	node("node24", "WebSocket", "Node 24 WebSocket", newNode, nodeTrust),
	node("node24", "ws", "Node 24, ws with https-proxy-agent", upper, nodeTrust),
	node("deno", "fetch", "Deno fetch", upper, []string{"DENO_CERT"}),
	node("deno", "WebSocket", "Deno WebSocket", upper, []string{"DENO_CERT"}),
	node("bun", "fetch", "Bun fetch", upper, nodeTrust),
	node("bun", "https", "Bun https", newNode, nodeTrust),
	node("bun", "bun-WebSocket", "Bun WebSocket, its proxy option", upper, nodeTrust),
	{id: "npm", name: "npm, a registry of one's own", program: "npm", version: tells, given: []string{"npm_config_cache=npm", "npm_config_update_notifier=false"},
		command: func(url string) []string { return []string{"view", "thing-npm", "--registry", url + "/"} },
		proxy:   upper, trust: []string{"npm_config_cafile"}},
}

func node(runtime, library, name string, proxy, trust []string) client {
	c := client{id: runtime + "-" + library, name: name, program: runtime, version: tells,
		command: with("testdata/clients/get.cjs", library), proxy: proxy, trust: trust}
	if runtime == "deno" {
		c.command = with("run", "--quiet", "--allow-all", "testdata/clients/get.cjs", library)
	}
	if modules, err := filepath.Abs(nodeModules); err == nil {
		c.given = []string{"NODE_PATH=" + modules}
	}
	return c
}

var otherClients = []client{
	{id: "java", name: "Java HttpClient", program: "java", version: tells, command: with("testdata/clients/Get.java", "HttpClient"), proxy: java, trust: java},
	{id: "java-url", name: "Java HttpURLConnection", program: "java", version: tells, command: with("testdata/clients/Get.java", "HttpURLConnection"), proxy: java, trust: java},
	{id: "php", name: "PHP curl", program: "php", has: []string{"-r", "exit(extension_loaded('curl') ? 0 : 1);"}, version: tells, command: with("testdata/clients/get.php"), proxy: lower, trust: []string{"PHP_INI_SCAN_DIR"}},
	{id: "ruby", name: "Ruby net/http", program: "ruby", version: tells, command: with("testdata/clients/get.rb"), proxy: []string{"http_proxy"}, trust: openssl},
	{id: "perl", name: "Perl LWP, env_proxy", program: "perl", has: []string{"-MLWP::Protocol::https", "-e", "1"}, version: []string{"-MLWP", "-e", "print $LWP::VERSION"},
		command: with("testdata/clients/get.pl"), proxy: lower, trust: []string{"PERL_LWP_SSL_CA_FILE"}},
}
