package proxy

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// closePatience is how long the two sides of a WebSocket have to end their
// connections once one of them did.
const closePatience = 5 * time.Second

// asksForWebSocket reports whether a request is a WebSocket handshake (RFC 6455
// section 4.1). No other protocol is switched to: what it says could not be
// searched for secrets. One with a body is none: the connection would have a
// second reader while that is sent.
func asksForWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ContentLength == 0 && httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") &&
		len(r.Header["Upgrade"]) == 1 && strings.EqualFold(r.Header["Upgrade"][0], "websocket") && len(r.Header["Sec-Websocket-Key"]) == 1
}

// offerWebSocket makes the request a handshake again, after the hop-by-hop
// fields were stripped. Where frames are looked into no extension is offered:
// what they hold would be compressed.
func (x *exchange) offerWebSocket(r *http.Request) {
	r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	if x.looksIntoFrames() {
		delete(r.Header, "Sec-Websocket-Extensions")
	}
}

// looksIntoFrames reports whether anything can be in a message that must not pass.
func (x *exchange) looksIntoFrames() bool {
	return x.run.placeholders != nil || x.creds != nil && x.creds.scrub != nil
}

// switched checks an upstream's 101.
func (x *exchange) switched(resp *http.Response) *Denial {
	wrong := func(what string) *Denial {
		return &Denial{Code: UpstreamUnreachable, Message: "the upstream's answer to the WebSocket handshake is wrong: " + what}
	}
	switch {
	case !x.websocket:
		return &Denial{Code: Unscannable, Message: "the upstream switched protocols, which was not asked for"}
	case !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket"):
		return wrong("it is about another protocol")
	case resp.Header.Get("Sec-Websocket-Accept") != acceptOf(resp.Request.Header.Get("Sec-Websocket-Key")):
		return wrong("Sec-WebSocket-Accept does not fit the key")
	case x.looksIntoFrames() && len(resp.Header["Sec-Websocket-Extensions"]) > 0:
		return &Denial{Code: Unscannable, Message: "the upstream uses a WebSocket extension that was not offered"}
	}
	return nil
}

// acceptOf is the answer to a handshake's key (RFC 6455 section 4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// handshake sends a WebSocket handshake of a run to the upstream. It is [Wire.Do],
// but that the answer may be 101; its body is the connection then.
func (w *Wire) handshake(run *Run, r *http.Request) (*http.Response, *exchange) {
	x := w.begin(run, r)
	x.websocket = true
	return x.roundTrip(r), x
}

// switchProtocols answers a WebSocket handshake, and relays its messages until
// either side has ended, nothing happened for the idle time, the run ended, or
// the server was shut down.
func (s *Server) switchProtocols(w http.ResponseWriter, r *http.Request, run *Run) {
	if !s.enter() {
		s.refuse(w, r, run, shuttingDown)
		return
	}
	defer s.connects.Done()
	resp, x := s.wire.Load().handshake(run, r)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		var f forwarding
		writeResponse(&answerWriter{ResponseWriter: w}, &http.Response{StatusCode: resp.StatusCode, Header: resp.Header, Body: &watchedBody{resp.Body, &f}})
		if f.broken {
			panic(http.ErrAbortHandler) // as in forward
		}
		return
	}
	body := resp.Body.(*exchangeBody)
	upstream, ok := body.ReadCloser.(io.ReadWriteCloser)
	if !ok {
		return
	}
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = client.Close() }()
	_ = client.SetDeadline(time.Time{})
	resp.Body = nil // the head alone
	err = resp.Write(client)
	resp.Body = body
	if err == nil {
		s.relayMessages(x, client, rw.Reader, &meteredStream{upstream, x})
	}
}

// relayMessages copies a WebSocket both ways.
func (s *Server) relayMessages(x *exchange, client net.Conn, early *bufio.Reader, upstream io.ReadWriteCloser) {
	gauge := s.metrics.tunnels.WithLabelValues("websocket")
	gauge.Inc()
	defer gauge.Dec()
	shut := func() { _ = client.Close(); _ = upstream.Close() }
	watch := newIdleWatch(s.idle, shut)
	defer watch.timer.Stop()
	down := &frames{src: bufio.NewReaderSize(upstream, frameBuffer), dst: client, watch: watch, filter: x.scrubMessages()}
	up := &frames{src: early, dst: upstream, fromClient: true, watch: watch, filter: x.substituteMessages()}
	if !x.looksIntoFrames() {
		up.filter, down.filter = nil, nil
	}
	goingAway := func() { down.close(closeGoingAway, "latchgate is shutting down"); up.close(closeGoingAway, "") }
	defer context.AfterFunc(s.serving, goingAway)()
	defer context.AfterFunc(s.ctx, shut)()
	linger := time.AfterFunc(math.MaxInt64, shut) // whoever reads nothing can't be told anything
	defer linger.Stop()
	defer context.AfterFunc(x.run.ctx, func() {
		linger.Reset(closePatience)
		down.close(closePolicy, "the run has ended")
		shut()
	})()
	var wg sync.WaitGroup
	relay := func(f, back *frames) {
		err := f.relay()
		linger.Reset(closePatience)
		var denied *Denial
		switch {
		case errors.As(err, &denied):
			x.tripped.CompareAndSwap(nil, denied)
			down.close(closePolicy, string(denied.Code))
			up.close(closePolicy, "")
		case errors.Is(err, errProtocol):
			f.close(closeProtocol, "")
			back.close(closeProtocol, "")
		case err != nil, !f.closed():
			shut() // it broke off: there is no close frame to be answered
			return
		}
		_, _ = io.Copy(io.Discard, f.src) // so that closing does not take back what was sent
		shut()
	}
	wg.Go(func() { relay(up, down) })
	relay(down, up)
	wg.Wait()
}
