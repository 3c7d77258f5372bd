package main

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// localDoor is a listener on loopback that puts the credentials of exec's run
// on what comes in and passes it on to the proxy. It is for a JVM, whose
// options name a proxy but no credentials for it: it asks the program's own
// Authenticator, and most have none.
//
// Only processes of this user get in ([sameUser]). They could read the
// credentials in the child's environment as well.
type localDoor struct {
	ln            net.Listener
	proxy         string // host:port
	authorization string

	mu    sync.Mutex
	conns map[net.Conn]bool // nil: closed
	wg    sync.WaitGroup
}

// openLocalDoor opens the door to the proxy that the URL names, and nil where
// the system can't tell whose a connection is.
func openLocalDoor(proxyURL string) (*localDoor, error) {
	if !canTellUsers {
		return nil, nil
	}
	u, err := url.Parse(proxyURL)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	password, _ := u.User.Password()
	d := &localDoor{ln: ln, proxy: u.Host, conns: map[net.Conn]bool{},
		authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))}
	d.wg.Go(d.accept)
	return d, nil
}

// close cuts what is still open and waits for all of it.
func (d *localDoor) close() {
	_ = d.ln.Close()
	d.mu.Lock()
	for c := range d.conns {
		_ = c.Close()
	}
	d.conns = nil
	d.mu.Unlock()
	d.wg.Wait()
}

// keep has close cut the connection, unless it was called already.
func (d *localDoor) keep(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		_ = c.Close()
		return false
	}
	d.conns[c] = true
	return true
}

func (d *localDoor) drop(c net.Conn) {
	_ = c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

func (d *localDoor) accept() {
	for {
		c, err := d.ln.Accept()
		if err != nil {
			return // closed
		}
		if d.keep(c) {
			d.wg.Go(func() { defer d.drop(c); d.serve(c.(*net.TCPConn)) })
		}
	}
}

// serve passes on one request, and for a CONNECT the tunnel after it. A client
// with another plain request makes another connection.
func (d *localDoor) serve(client *net.TCPConn) {
	if !sameUser(client.RemoteAddr().(*net.TCPAddr), client.LocalAddr().(*net.TCPAddr)) {
		return
	}
	_ = client.SetReadDeadline(time.Now().Add(30 * time.Second))
	early := bufio.NewReader(client)
	r, err := http.ReadRequest(early)
	if err != nil {
		return
	}
	_ = client.SetReadDeadline(time.Time{})
	c, err := net.Dial("tcp", d.proxy)
	if err != nil || !d.keep(c) {
		return
	}
	defer d.drop(c)
	upstream := c.(*net.TCPConn)
	r.Header.Set("Proxy-Authorization", d.authorization)
	if _, named := r.Header["User-Agent"]; !named {
		r.Header["User-Agent"] = nil // and not Go's
	}
	r.Close = r.Method != http.MethodConnect
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(client, upstream)
		_ = client.CloseWrite()
	}()
	switch err := r.WriteProxy(upstream); {
	case err != nil:
		_ = upstream.Close()
	case r.Method == http.MethodConnect:
		_, _ = io.Copy(upstream, early)
		_ = upstream.CloseWrite()
	}
	<-answered
}
