package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/elazarl/goproxy"
)

// serveGoproxy is the yardstick: goproxy as its README has it, with HTTP/2 for
// clients, leaves that are kept, and upstream connections that are kept too.
func serveGoproxy(dir string) error {
	ca, err := tls.LoadX509KeyPair(dir+"/ca.pem", dir+"/ca.key")
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(dir + "/origin.pem")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	p := goproxy.NewProxyHttpServer()
	p.CertStore = &leaves{}
	p.AllowHTTP2 = true
	p.Tr = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 1024, DialContext: dialLoopback}
	intercept := &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: goproxy.TLSConfigFromCA(&ca)}
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) { return intercept, host })
	p.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		r.Header.Set("Authorization", "Bearer "+secret)
		return r, nil
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, p)
}

// dialLoopback: all names of a measurement are this machine.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// leaves keeps what goproxy signs.
type leaves struct{ m sync.Map }

// Fetch satisfies goproxy.CertStorage.
func (l *leaves) Fetch(host string, sign func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	if c, ok := l.m.Load(host); ok {
		return c.(*tls.Certificate), nil
	}
	c, err := sign()
	if err == nil {
		l.m.Store(host, c)
	}
	return c, err
}
