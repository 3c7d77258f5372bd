package proxy

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
)

// informing is how a door hands informational answers (RFC 9110 section 15.2)
// to its client, before the final one.
type informing func(status int, h http.Header)

type informingKey struct{}

// informational passes the upstream's informational answers on, scrubbed like
// any other; 103 Early Hints is what they are for today. 100 is not among them:
// each hop asks for the body by itself, when it is wanted.
//
// They arrive on a goroutine of the upstream's connection, which other runs may
// share: it is never made to wait for a client. One that comes while maxWaiting
// wait is dropped, which is allowed to any of them.
type informational struct {
	trace httptrace.ClientTrace
	x     *exchange
	mu    sync.Mutex
	over  bool
	wait  chan informed // nil before the first
	done  chan struct{}
}

const maxWaiting = 8

type informed struct {
	status int
	header http.Header
}

// listen returns the context to send a request with, and whom to tell when its
// final answer is there: until end has returned, the client is being written to.
func (x *exchange) listen(ctx context.Context) (context.Context, *informational) {
	i := &informational{x: x}
	if httptrace.ContextClientTrace(ctx) == nil { // that of an upload sees to it
		i.trace.GotConn = settle
	}
	if x.inform != nil {
		i.trace.Got1xxResponse = i.got
	}
	return httptrace.WithClientTrace(ctx, &i.trace), i
}

func (i *informational) got(status int, h textproto.MIMEHeader) error {
	if status <= http.StatusSwitchingProtocols {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return nil
	}
	if i.wait == nil {
		i.wait, i.done = make(chan informed, maxWaiting), make(chan struct{})
		go i.write()
	}
	select {
	case i.wait <- informed{status, http.Header(h).Clone()}:
	default:
	}
	return nil
}

func (i *informational) write() {
	defer close(i.done)
	for in := range i.wait {
		i.x.cleanHeader(in.header)
		i.x.inform(in.status, in.header)
	}
}

func (i *informational) end() {
	i.mu.Lock()
	i.over = true
	started := i.wait != nil
	if started {
		close(i.wait)
	}
	i.mu.Unlock()
	if started {
		<-i.done
	}
}
