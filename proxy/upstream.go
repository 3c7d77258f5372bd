package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	netproxy "golang.org/x/net/proxy"

	"github.com/latchgate/latchgate/proxy/dialguard"
	"github.com/latchgate/latchgate/proxy/h1"
)

// How long each part of reaching an upstream may take. There is no limit on
// the answer itself: a slow model call is not a fault.
const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	upstreamIdle     = 90 * time.Second
)

// How many idle connections each pool keeps, where there are descriptors for them:
// a wildcard must not fill these.
const (
	maxIdlePerHost = 256 // at net/http's 2, latency grows tenfold with 32 concurrent requests
	maxIdle        = 1024
	maxInlined     = 4096 // one for each of so many clients, be it at one host
)

// UpstreamConfig says how upstreams are reached.
type UpstreamConfig struct {
	Roots        *x509.CertPool // nil: the system's
	Proxy        *url.URL       // http, https or socks5 proxy that everything goes through; nil: none
	AllowPrivate []netip.Prefix // addresses that may be dialled although they are not public
}

// upstream is steps 8 and 9: the dial guard and the connection pools.
type upstream struct {
	*http.Transport             // HTTP/2 where it is offered
	inlined         *h1.Client  // HTTP/1.1, on the goroutine of a request that is all there
	alone           sync.Map    // authority -> "h2" or "h1": takes nothing else
	noted           atomic.Bool // alone holds something
	guard           *dialguard.Guard
	direct          net.Dialer // guarded: the address that is checked is the address that is dialled
	plain           net.Dialer // to the operator's own upstream proxy
	proxy           *url.URL
	tls             *tls.Config
}

func newUpstream(c UpstreamConfig, guard *dialguard.Guard) (*upstream, error) {
	u := &upstream{guard: guard, proxy: c.Proxy}
	u.direct = net.Dialer{Timeout: dialTimeout, Control: guard.Control}
	u.plain = net.Dialer{Timeout: dialTimeout}
	u.tls = upstreamTLS(c.Roots)
	u.Transport = &http.Transport{
		DialContext:           u.dialWatched,
		TLSClientConfig:       u.tls.Clone(),
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // the client's Accept-Encoding is the client's
		TLSHandshakeTimeout:   handshakeTimeout,
		MaxIdleConnsPerHost:   maxIdlePerHost,
		MaxIdleConns:          min(maxIdle, descriptors()/8),
		IdleConnTimeout:       upstreamIdle,
		ExpectContinueTimeout: time.Second,
		ReadBufferSize:        16 << 10,
		WriteBufferSize:       16 << 10,
	}
	u.inlined = u.inlineClient(handshakeTimeout)
	if c.Proxy != nil {
		switch c.Proxy.Scheme {
		case "http", "https", "socks5":
			u.Transport.Proxy = http.ProxyURL(c.Proxy)
		default:
			return nil, fmt.Errorf("upstream_proxy: scheme %q is none of http, https, socks5", c.Proxy.Scheme)
		}
	}
	return u, nil
}

func (u *upstream) inlineClient(handshake time.Duration) *h1.Client {
	return h1.NewClient(h1.Options{Dial: u.dial, TLS: u.tls, HandshakeTimeout: handshake, IdleTimeout: upstreamIdle,
		MaxIdlePerHost: maxInlined, MaxIdle: min(maxInlined, descriptors()/8)})
}

func (u *upstream) close() {
	u.CloseIdleConnections()
	u.inlined.Close()
}

// RoundTrip sends the request. Behind an upstream proxy it is that proxy that
// resolves names; an address that the client wrote itself is checked here.
func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	if u.proxy != nil {
		return u.throughProxy(r)
	}
	resp, err := u.Transport.RoundTrip(r)
	if err == nil && resp.ProtoMajor == 1 && r.URL.Scheme == "https" {
		u.note(r, "h1")
	}
	return resp, err
}

func (u *upstream) throughProxy(r *http.Request) (*http.Response, error) {
	if err := u.checkLiteral(r.URL.Hostname()); err != nil {
		return nil, err
	}
	if u.proxy.Scheme != "socks5" && r.URL.Scheme == "http" {
		// A proxy wants the absolute form (RFC 9112 section 3.2.2), which net/http
		// does not make of an opaque path; it puts the scheme before "//".
		absolute := *r.URL
		absolute.Opaque = "//" + r.Host + strings.TrimPrefix(r.URL.Opaque, "*")
		r.URL = &absolute
	}
	return u.Transport.RoundTrip(r)
}

// inline reports whether r, from a client that speaks HTTP/1.1, is sent on by
// [upstream.exchange]. What has a body goes over HTTP/2 where that is offered: an
// HTTP/1.1 server may stop to read it once it has begun to answer.
func (u *upstream) inline(r *http.Request) bool {
	if u.proxy != nil || !u.inlined.Takes(r) {
		return false
	}
	var alone any
	if u.noted.Load() {
		alone, _ = u.alone.Load(r.URL.Host)
	}
	if r.ContentLength > 0 && r.URL.Scheme == "https" {
		return alone == "h1"
	}
	return alone != "h2"
}

// exchange sends the request on the caller's goroutine.
func (u *upstream) exchange(r *http.Request) (*http.Response, error) {
	resp, err := u.inlined.RoundTrip(r)
	if err != nil && noCommonProtocol(err) {
		u.note(r, "h2")
		return u.Transport.RoundTrip(r)
	}
	return resp, err
}

// note remembers what an upstream speaks, for as long as the wire lives.
func (u *upstream) note(r *http.Request, protocol string) {
	if have, ok := u.alone.Load(r.URL.Host); !ok || have != protocol {
		u.alone.Store(r.URL.Host, protocol)
		u.noted.Store(true)
	}
}

// noCommonProtocol recognises the alert of a server that speaks none of the
// protocols offered (RFC 7301 section 3.2); crypto/tls has its text alone.
func noCommonProtocol(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && strings.HasSuffix(op.Err.Error(), "no application protocol")
}

func (u *upstream) checkLiteral(host string) error {
	if u.proxy == nil {
		return nil // the dialer checks it
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return u.guard.Check(ip)
	}
	return nil
}

func (u *upstream) dialWatched(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := u.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newDialled(h1.Socket(c)), nil
}

// dial connects to an upstream, or to the upstream proxy. Only that one
// address, which the operator wrote, may be private without being listed.
func (u *upstream) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if u.proxy != nil && address == proxyAddress(u.proxy) {
		return u.plain.DialContext(ctx, network, address)
	}
	return u.dialDirect(ctx, network, address)
}

// dialDirect dials through the guard. A name under localhost is this machine,
// whatever a resolver says of it (RFC 6761 section 6.3); that is also what
// lets a secret go to it over plain http where the operator allowed that.
func (u *upstream) dialDirect(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !localName(host) {
		return u.direct.DialContext(ctx, network, address)
	}
	c, err := u.direct.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		if c6, err6 := u.direct.DialContext(ctx, network, net.JoinHostPort("::1", port)); err6 == nil {
			return c6, nil
		}
	}
	return c, err
}

// tunnel connects to address for a blind tunnel.
func (u *upstream) tunnel(ctx context.Context, host, address string) (net.Conn, error) {
	if err := u.checkLiteral(host); err != nil {
		return nil, err
	}
	switch {
	case u.proxy == nil:
		return u.dialDirect(ctx, "tcp", address)
	case u.proxy.Scheme == "socks5":
		d, err := netproxy.FromURL(u.proxy, &u.plain)
		if err != nil {
			return nil, err
		}
		return d.(netproxy.ContextDialer).DialContext(ctx, "tcp", address)
	}
	return u.connectThrough(ctx, address)
}

// connectThrough asks the upstream http or https proxy for a tunnel.
func (u *upstream) connectThrough(ctx context.Context, address string) (_ net.Conn, err error) {
	c, err := u.plain.DialContext(ctx, "tcp", proxyAddress(u.proxy))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if u.proxy.Scheme == "https" {
		cfg := u.tls.Clone()
		cfg.ServerName = u.proxy.Hostname()
		tc := tls.Client(c, cfg)
		if err = tc.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		c = tc
	}
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if user := u.proxy.User; user != nil {
		password, _ := user.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err = r.Write(c); err != nil {
		return nil, err
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("upstream proxy answered CONNECT with %d", resp.StatusCode)
	}
	return &replayConn{Conn: c, early: br}, nil
}

func proxyAddress(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	port := map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme]
	return net.JoinHostPort(u.Hostname(), port)
}
