package proxy

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchgate/latchgate/policy"
)

// Behind an upstream proxy everything goes through it: what is intercepted, over
// HTTP/1.1 and HTTP/2, WebSockets, plain requests and blind tunnels.
func TestEverythingGoesThroughTheUpstreamProxy(t *testing.T) {
	ca := newAuthority(t, "proxy root")
	cert := ca.issue(t, newECKey(t), withAddresses(net.IPv4(127, 0, 0, 1)))
	for scheme, serve := range map[string]func(*chain, net.Conn){
		"http":   (*chain).serveHTTP,
		"https":  func(p *chain, c net.Conn) { p.serveHTTP(tls.Server(c, serving(cert))) },
		"socks5": (*chain).serveSOCKS,
	} {
		t.Run(scheme, func(t *testing.T) {
			p := &chain{t: t}
			port := listen(t, func(c net.Conn) { serve(p, c) })
			via := &url.URL{Scheme: scheme, User: url.UserPassword("us", "pass:word"), Host: "127.0.0.1:" + port}
			h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policy.Options) {
				w.Upstream.Proxy = via
				w.Upstream.Roots.AddCert(ca.cert)
			})
			plain := listen(t, func(c net.Conn) {
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				p.check(c.RemoteAddr())
				_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s %s", r.Host, r.URL.Path)
			})
			run, tok := h.open(bearerManifest + blindManifest + fmt.Sprintf(`
---
action_id: plain
egress: {profile: proxy_allowlist, allowed_domains: ["plain.example:%s"], allowed_methods: [GET]}
`, plain))
			seen := func(w http.ResponseWriter, r *http.Request) {
				addr, err := net.ResolveTCPAddr("tcp", r.RemoteAddr)
				if err != nil {
					t.Error(err)
				}
				p.check(addr)
				_, _ = fmt.Fprintf(w, "%s%s%s", r.Proto, r.Header["Proxy-Authorization"], r.Header["Authorization"])
			}
			h.origin.on("/seen", seen)
			for _, h2 := range []bool{false, true} {
				resp, body := get(t, h.client(run, tok, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = h2 }), h.url("/seen"))
				if resp.StatusCode != 200 || body != "HTTP/2.0[][Bearer ***REDACTED***]" {
					t.Errorf("%s %s\n%s", resp.Status, body, h.log)
				}
			}
			if resp, body := get(t, h.client(run, tok), "http://plain.example:"+plain+"/path"); body != "plain.example:"+plain+" /path" {
				t.Errorf("plain: %s %s", resp.Status, body)
			}
			blind := h.client(run, tok, func(tr *http.Transport) { tr.TLSClientConfig = &tls.Config{RootCAs: h.origin.roots()} })
			if resp, body := get(t, blind, "https://127.0.0.1:"+h.origin.port+"/seen"); body != "HTTP/1.1[][]" {
				t.Errorf("blind: %s %s", resp.Status, body)
			}
			peers := h.origin.serveWebSocket(t, "/ws")
			if _, resp := h.dialWebSocket(run, tok, "/ws", ""); resp.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("WebSocket: %s", resp.Status)
			} else {
				p.check((<-peers).c.(net.Conn).RemoteAddr())
			}
			if n := p.checked(); n != 5 {
				t.Errorf("%d connections were checked", n)
			}
		})
	}
}

// An upstream proxy that says no is reported, without what it said.
func TestAnUpstreamProxyThatRefusesIsUnreachable(t *testing.T) {
	for name, said := range map[string]string{
		"407":     "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
		"garbage": "\x05\xff\x00",
		"nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			port := listen(t, func(c net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, said)
			})
			h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policy.Options) {
				w.Upstream.Proxy = &url.URL{Scheme: "http", User: url.UserPassword("us", "proxy-password"), Host: "127.0.0.1:" + port}
			})
			run, tok := h.open(bearerManifest)
			resp, body := get(t, h.client(run, tok), h.url("/"))
			denied(t, resp, body, UpstreamUnreachable)
			if strings.Contains(body+h.log.String(), "proxy-password") {
				t.Errorf("the proxy's password is told: %s\n%s", body, h.log)
			}
		})
	}
}

// chain is the proxy of a company. It knows every name as this machine.
type chain struct {
	t     *testing.T
	mu    sync.Mutex
	ours  map[string]bool // its connections' local addresses
	count int
}

// check notes that a connection arrived that must have come through the proxy.
func (p *chain) check(addr net.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	if !p.ours[addr.String()] {
		p.t.Errorf("%s did not come through the proxy", addr)
	}
}

func (p *chain) checked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *chain) dial(authority string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(authority)
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ours == nil {
		p.ours = map[string]bool{}
	}
	p.ours[c.LocalAddr().String()] = true
	return c, nil
}

func (p *chain) serveHTTP(c net.Conn) {
	br := bufio.NewReader(c)
	r, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("us:pass:word")) {
		p.t.Errorf("%s without the proxy's credentials", r.Method)
	}
	up, err := p.dial(r.Host)
	if err != nil {
		_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer func() { _ = up.Close() }()
	if r.Method == http.MethodConnect {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	} else if r.URL.Host == "" {
		p.t.Errorf("%s is not in absolute form", r.RequestURI)
	} else {
		r.Header.Del("Proxy-Authorization")
		_ = r.Write(up)
	}
	both(c, up, br)
}

func both(c, up net.Conn, br *bufio.Reader) {
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(up, br); _ = up.Close() })
	_, _ = io.Copy(c, up)
	_ = c.Close()
	wg.Wait()
}

// serveSOCKS is RFC 1928 with the user name and password of RFC 1929.
func (p *chain) serveSOCKS(c net.Conn) {
	br := bufio.NewReader(c)
	part := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(br, b)
		return b
	}
	part(int(part(2)[1]))
	_, _ = c.Write([]byte{5, 2})
	user := part(int(part(2)[1]))
	if password := part(int(part(1)[0])); string(user) != "us" || string(password) != "pass:word" {
		p.t.Errorf("the proxy was given %q and %q", user, password)
	}
	_, _ = c.Write([]byte{1, 0})
	var host string
	switch part(4)[3] {
	case 1:
		host = net.IP(part(4)).String()
	case 3:
		host = string(part(int(part(1)[0])))
	case 4:
		host = net.IP(part(16)).String()
	}
	up, err := p.dial(fmt.Sprintf("%s:%d", host, binary.BigEndian.Uint16(part(2))))
	if err != nil {
		_, _ = c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer func() { _ = up.Close() }()
	_, _ = c.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0})
	both(c, up, br)
}

// Nobody is left to take a tunnel whose run ended while its upstream was dialled.
func TestABlindTunnelsDialEndsWithItsRun(t *testing.T) {
	asked, silent := make(chan struct{}), make(chan struct{})
	defer close(silent)
	port := listen(t, func(net.Conn) { // a proxy that never answers
		close(asked)
		<-silent
	})
	h := newHouse(t, func(w *WireConfig, _ *ServerConfig, _ *policy.Options) {
		w.Upstream.Proxy = &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}
	})
	run, tok := h.open(bearerManifest + blindManifest)
	c := h.dial()
	_, _ = io.WriteString(c, h.connectHead(run, tok, "127.0.0.1:"+h.origin.port))
	<-asked
	h.runs.Close(run.ID, ErrRunRevoked)
	_ = c.SetReadDeadline(time.Now().Add(dialTimeout / 2))
	resp, body := raw(t, c, "")
	denied(t, resp, body, RunUnknown)
}
