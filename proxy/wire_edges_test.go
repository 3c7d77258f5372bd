package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestATrailerIsNoWayToChooseTheCredential(t *testing.T) {
	trailers := make(chan http.Header, 1)
	h := rawH1(t, func(c net.Conn, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		return true
	})
	run, tok := h.open(bearerManifest)
	c := h.tunnelTLS(run, tok, apiHost)
	resp, _ := raw(t, c, "POST /trailer HTTP/1.1\r\nHost: "+apiHost+":"+h.origin.port+"\r\nTransfer-Encoding: chunked\r\n"+
		"Trailer: Authorization, X-Sum\r\n\r\n1\r\nx\r\n0\r\n"+
		"Authorization: Bearer agent\r\nX-Sum: 1\r\nX-Other: unannounced\r\nProxy-Authorization: Basic agent\r\n\r\n")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	got := <-trailers
	if got.Get("X-Sum") != "1" {
		t.Errorf("the request's own trailer was lost: %v", got)
	}
	for name := range got {
		if name != "X-Sum" {
			t.Errorf("trailer %s arrived: %v", name, got)
		}
	}
}

func TestAClientsConnectionCloseStaysOnItsHop(t *testing.T) {
	var addrs distinct
	h := rawH1(t, func(c net.Conn, _ *http.Request) bool {
		addrs.add(c.RemoteAddr().String())
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		return true
	})
	run, tok := h.open(bearerManifest)
	client := h.client(run, tok)
	for range 3 {
		r, _ := http.NewRequest(http.MethodGet, h.url("/addr"), nil)
		r.Close = true
		do(t, client, r)
	}
	if n := addrs.count(); n != 1 {
		t.Errorf("%d upstream connections for three requests", n)
	}
	for name, c := range map[string]net.Conn{"in a tunnel": h.tunnelTLS(run, tok, apiHost), "outside": h.dial()} {
		head := fmt.Sprintf("GET https://%s:%s/addr HTTP/1.1\r\nHost: %[1]s:%[2]s\r\nConnection: close\r\nProxy-Authorization: Bearer %s\r\n\r\n", apiHost, h.origin.port, tok)
		if resp, body := raw(t, c, head); resp.StatusCode != 200 || !resp.Close {
			t.Errorf("%s: %s %v %q", name, resp.Status, resp.Header, body)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: the connection stays open: %v", name, err)
		}
	}
}

func TestOptionsStarGoesUpstreamLikeAnyRequest(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	c := h.tunnelTLS(run, tok, apiHost)
	_, _ = raw(t, c, "OPTIONS * HTTP/1.1\r\nHost: "+apiHost+":"+h.origin.port+"\r\n\r\n")
	if n := run.Requests(); n != 1 {
		t.Errorf("the run made %d requests", n)
	}
	c2, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c2.Close() }()
	resp, body := raw(t, c2, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	denied(t, resp, body, RunUnknown)
}

func TestPlainHTTPReachesAnUpstreamProxyInAbsoluteForm(t *testing.T) {
	lines := make(chan string, 4)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			br := bufio.NewReader(c)
			line, _ := br.ReadString('\n')
			lines <- strings.TrimSpace(line)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = c.Close()
		}
	}()
	h := newHouse(t, throughPort(t, ln.Addr().(*net.TCPAddr)))
	run, _ := h.open("action_id: plain\negress: {profile: proxy_allowlist, allowed_domains: [\"api.example.com\"]}\n")
	r, _ := http.NewRequest(http.MethodGet, "http://api.example.com/a//b?q=1", nil)
	resp := h.wire.Do(run, r)
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if got := <-lines; got != "GET http://api.example.com/a/b?q=1 HTTP/1.1" {
		t.Errorf("the proxy was sent %q", got)
	}
}

func TestASecretDoesNotGoOverPlainHTTPThroughAnUpstreamProxy(t *testing.T) {
	seen := make(chan string, 4)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				seen <- r.Header.Get("Authorization")
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = c.Close()
		}
	}()
	h := newHouse(t, throughPort(t, ln.Addr().(*net.TCPAddr)))
	run, _ := h.open(bearerManifest)
	r, _ := http.NewRequest(http.MethodGet, "http://"+apiHost+":"+h.origin.port+"/", nil)
	resp := h.wire.Do(run, r)
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	select {
	case got := <-seen:
		t.Errorf("the upstream proxy was sent %q in the clear", got)
	default:
	}
	denied(t, resp, string(body), InsecureTransport)
}

func TestTheServerNameIsCheckedInAResumedSessionToo(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	cache := &oneSession{}
	try := func(sni string) (*tls.Conn, int) {
		c, _, _ := h.connect(run, tok, apiHost+":"+h.origin.port, "")
		tc := tls.Client(c, &tls.Config{ServerName: sni, InsecureSkipVerify: true, ClientSessionCache: cache})
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		resp, _ := raw(t, tc, "GET / HTTP/1.1\r\nHost: "+apiHost+":"+h.origin.port+"\r\n\r\n")
		return tc, resp.StatusCode
	}
	if _, status := try(apiHost); status != 200 {
		t.Fatal(status)
	}
	tc, status := try(evilHost)
	if !tc.ConnectionState().DidResume {
		t.Fatal("not resumed")
	}
	if status != http.StatusMisdirectedRequest {
		t.Errorf("status %d", status)
	}
}

func TestExceptPathsCoverWhatALenientServerReads(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(`
action_id: api
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: TOKEN, required: true, inject: [{as: bearer, except_paths: ["/admin/**"]}]}]
`)
	for _, path := range []string{"/admin/x", "/admin%2Fx", "/a/../admin/x", "/%61dmin/x", "/x%2F..;/admin/x"} {
		c := h.tunnelTLS(run, tok, apiHost)
		before := len(h.origin.requests())
		resp, _ := raw(t, c, "GET "+path+" HTTP/1.1\r\nHost: "+apiHost+":"+h.origin.port+"\r\n\r\n")
		if resp.StatusCode != 200 {
			continue
		}
		if seen := h.origin.requests()[before]; seen.Header.Get("Authorization") != "" {
			t.Errorf("%s was stamped", path)
		}
	}
}

func TestAHostFieldBesideTheAuthorityChangesNothingInHTTP2(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	c, _, _ := h.connect(run, tok, apiHost+":"+h.origin.port, "")
	tc := tls.Client(c, &tls.Config{ServerName: apiHost, InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	ask := func(fr *http2.Framer, id uint32, fields ...string) string {
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true, BlockFragment: block(fields...)})
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
				_ = fr.WriteSettingsAck()
			}
			if r, ok := f.(*http2.RSTStreamFrame); ok && r.StreamID == id {
				return "reset"
			}
			if m, ok := f.(*http2.MetaHeadersFrame); ok && m.StreamID == id {
				return m.PseudoValue("status")
			}
		}
	}
	_, _ = io.WriteString(tc, http2.ClientPreface)
	fr := http2.NewFramer(tc, tc)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = fr.WriteSettings()
	authority := apiHost + ":" + h.origin.port
	for i, q := range []struct {
		fields []string
		want   string
	}{
		{[]string{":method", "GET", ":scheme", "https", ":authority", authority, ":path", "/"}, "200"},
		{[]string{":method", "GET", ":scheme", "https", ":authority", evilHost, ":path", "/"}, "421"},
		{[]string{":method", "GET", ":scheme", "https", ":authority", authority, ":path", "https://" + evilHost + "/"}, "421"},
		{[]string{":method", "CONNECT", ":authority", authority}, "400"},
		{[]string{":method", "GET", ":scheme", "http", ":authority", authority, ":path", "//" + evilHost + "/"}, "200"},
		{[]string{":method", "GET", ":scheme", "https", ":authority", authority, ":path", "/", "host", evilHost}, "200"},
	} {
		if got := ask(fr, uint32(2*i+1), q.fields...); got != q.want {
			t.Errorf("%v: %s, want %s", q.fields, got, q.want)
		}
	}
	for _, r := range h.origin.requests() {
		if r.Host != authority {
			t.Errorf("Host %q arrived", r.Host)
		}
	}
}

func TestABodyOverTheLimitIsRefusedOnHTTP2Too(t *testing.T) {
	h := newHouse(t, func(wc *WireConfig, _ *ServerConfig, _ *policyOptions) { wc.MaxRequestBytes = 1000 })
	run, tok := h.open(bearerManifest)
	h.origin.on("/up", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	r, _ := http.NewRequest(http.MethodPost, h.url("/up"), io.MultiReader(strings.NewReader(strings.Repeat("x", 2000))))
	resp, body := do(t, h.client(run, tok), r)
	denied(t, resp, body, TooLarge)
}

func TestAValueThatNoHeaderCanHoldIsTheSecretsFault(t *testing.T) {
	h := newHouse(t)
	setSecrets(t, h.store, map[string]string{"TOKEN": "abc\x01defghi"})
	run, tok := h.open(bearerManifest)
	resp, body := get(t, h.client(run, tok), h.url("/"))
	denied(t, resp, body, SecretUnavailable)
	if strings.Contains(h.log.String(), "defghi") {
		t.Error("the value is in the log")
	}
}

func TestAnEmptySecretInThePathDoesNotMakeItAnAuthority(t *testing.T) {
	lines := make(chan string, 1)
	h := rawH1(t, func(c net.Conn, r *http.Request) bool {
		lines <- r.RequestURI
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		return true
	})
	setSecrets(t, h.store, map[string]string{"TOKEN": ""})
	run, tok := h.open(`
action_id: api
egress: {profile: proxy_allowlist, allowed_domains: ["api.localhost:PORT"]}
secrets: [{name: TOKEN, required: true, inject: [{as: path, format: "/{value}"}]}]
`)
	resp, body := get(t, h.client(run, tok), h.url("/"+evilHost+"/x"))
	select {
	case line := <-lines:
		if strings.HasPrefix(line, "https:") || strings.HasPrefix(line, "//") {
			t.Errorf("sent %q", line)
		}
	default:
		denied(t, resp, body, SecretUnavailable)
	}
}
