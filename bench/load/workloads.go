package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// workload is what the client does, and how much of it at a time.
type workload struct {
	kind
	n int
}

type kind struct {
	name, what string
	run        func(b *bench, t *target, n int) (result, error)
}

func (w workload) String() string { return fmt.Sprintf("%s-%d", w.name, w.n) }

var kinds = []kind{
	{"ka", "GET of 1 KiB over connections that stay open", keepAlive},
	{"h2", "the same over one HTTP/2 connection, streams at a time", http2Streams},
	{"tunnel", "a new tunnel for each request", newTunnels},
	{"resume", "the same, with a TLS session that can be resumed", resumedTunnels},
	{"cold", "the same, to a host that the proxy has not seen", coldHosts},
	{"down", "downloads of 1 MiB", transfers(1<<20, false)},
	{"up", "uploads of 1 MiB", transfers(1<<20, true)},
	{"down64k", "downloads of 64 KiB", transfers(64<<10, false)},
	{"up64k", "uploads of 64 KiB", transfers(64<<10, true)},
	{"down16m", "downloads of 16 MiB", transfers(16<<20, false)},
	{"sse", "event streams; the time from event to client", eventStreams},
	{"idle", "tunnels that were used once and stay open", idleTunnels},
}

func parseWorkloads(s string) (all []workload, err error) {
	for _, one := range strings.Split(s, ",") {
		name, count, _ := strings.Cut(one, "-")
		n, err := strconv.Atoi(count)
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
		if err != nil || n < 1 || i < 0 {
			return nil, fmt.Errorf("%q is no workload; one is NAME-N, such as ka-16", one)
		}
		all = append(all, workload{kinds[i], n})
	}
	return all, nil
}

// measure does one run, and starts no clock before the proxy is warm.
func (b *bench) measure(ctx context.Context, t *target, w workload) (result, error) {
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	return w.run(b, t, w.n)
}

// repeat has n workers repeat an operation for the length of a run. Each makes
// its own with open, and does it warm times before the clock starts.
func (b *bench) repeat(t *target, n, warm int, open func(i int) (op func() error, done func(), err error)) (result, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var ready, finished sync.WaitGroup
	begin := make(chan struct{})
	var until time.Time
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = err
		}
	}
	ready.Add(n)
	for i := range n {
		finished.Go(func() {
			op, done, err := open(i)
			for range warm {
				if err == nil {
					err = op()
				}
			}
			ready.Done()
			if done != nil {
				defer done()
			}
			if err != nil {
				fail(err)
				return
			}
			<-begin
			var took []time.Duration
			for now := time.Now(); now.Before(until); {
				if err := op(); err != nil {
					fail(err)
					return
				}
				end := time.Now()
				took = append(took, end.Sub(now))
				now = end
			}
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
		})
	}
	ready.Wait()
	m := startMeter(t)
	until = time.Now().Add(b.length)
	close(begin)
	finished.Wait()
	r := m.stop(len(all))
	r.p50 = median(all)
	return r, failed
}

func keepAlive(b *bench, t *target, n int) (result, error) {
	return b.repeat(t, n, fewTimes, func(i int) (func() error, func(), error) {
		name, _ := t.client(i)
		head := b.head(t, "GET", name, "/bytes/1024", 0)
		c, err := b.dial(t, i, name, nil, "http/1.1")
		if err != nil {
			return nil, nil, err
		}
		return func() error { return c.do(head, nil) }, func() { _ = c.Close() }, nil
	})
}

func transfers(size int, up bool) func(*bench, *target, int) (result, error) {
	return func(b *bench, t *target, n int) (result, error) {
		var body []byte
		if up {
			body = bytes.Repeat(text, size/len(text)+1)[:size]
		}
		return b.repeat(t, n, fewTimes, func(i int) (func() error, func(), error) {
			name, _ := t.client(i)
			head := b.head(t, "GET", name, "/bytes/"+strconv.Itoa(size), 0)
			if up {
				head = b.head(t, "POST", name, "/sum", size)
			}
			c, err := b.dial(t, i, name, nil, "http/1.1")
			if err != nil {
				return nil, nil, err
			}
			return func() error { return c.do(head, body) }, func() { _ = c.Close() }, nil
		})
	}
}

// fewTimes is how often an operation is done before the clock starts.
const fewTimes = 3

func newTunnels(b *bench, t *target, n int) (result, error) {
	return b.tunnels(t, n, nil, known(t))
}

func resumedTunnels(b *bench, t *target, n int) (result, error) {
	return b.tunnels(t, n, tls.NewLRUClientSessionCache(max(64, t.hosts)), known(t))
}

// known is the host that the i-th tunnel goes to, one of those that the proxy knows.
func known(t *target) func(i int) string {
	return func(i int) string { name, _ := t.client(i); return name }
}

func coldHosts(b *bench, t *target, n int) (result, error) {
	var next atomic.Int64
	next.Store(int64(b.fresh[t.name]))
	r, err := b.tunnels(t, n, nil, func(int) string { return fmt.Sprintf("h%d.%s", next.Add(1), domain) })
	b.fresh[t.name] = int(next.Load())
	return r, err
}

// tunnels opens each tunnel as another client. Before the clock starts each host
// and each run had one.
func (b *bench) tunnels(t *target, n int, cache tls.ClientSessionCache, name func(i int) string) (result, error) {
	var next atomic.Int64
	warm := max(fewTimes, (max(t.hosts, len(t.auths))+n-1)/n)
	return b.repeat(t, n, warm, func(int) (func() error, func(), error) {
		return func() error {
			i := int(next.Add(1)) - 1
			name := name(i)
			c, err := b.dial(t, i, name, cache, "http/1.1")
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			return c.do(b.head(t, "GET", name, "/bytes/1024", 0), nil)
		}, nil, nil
	})
}

func http2Streams(b *bench, t *target, n int) (result, error) {
	name, _ := t.client(0)
	tr := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		c, err := b.dial(t, 0, name, nil, "h2")
		if err != nil {
			return nil, err
		}
		_ = c.SetDeadline(time.Time{})
		return c.Conn, nil
	}}
	defer tr.CloseIdleConnections()
	credential := "Bearer placeholder"
	if t.address == "" {
		credential = "Bearer " + secret
	}
	return b.repeat(t, n, fewTimes, func(int) (func() error, func(), error) {
		return func() error {
			r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, "https://"+net.JoinHostPort(name, b.port)+"/bytes/1024", nil)
			if err != nil {
				return err
			}
			r.Header["Authorization"] = []string{credential}
			resp, err := tr.RoundTrip(r)
			if err != nil {
				return err
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
				return fmt.Errorf("%s %s", resp.Proto, resp.Status)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		}, nil, nil
	})
}

func eventStreams(b *bench, t *target, n int) (result, error) {
	const events = 50
	var mu sync.Mutex
	var late []time.Duration
	var failed error
	m := startMeter(t)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			took, err := b.events(t, i, events)
			mu.Lock()
			defer mu.Unlock()
			if late = append(late, took...); err != nil {
				failed = err
			}
		})
	}
	all.Wait()
	r := m.stop(len(late))
	r.p50 = median(late)
	return r, failed
}

// events reads a stream and says how long each event was on its way.
func (b *bench) events(t *target, i, n int) (late []time.Duration, err error) {
	name, _ := t.client(i)
	c, err := b.dial(t, i, name, nil, "http/1.1")
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	resp, err := c.ask(b.head(t, "GET", name, "/events/"+strconv.Itoa(n), 0), nil)
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(resp.Body); len(late) < n && lines.Scan(); {
		if sent, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			ns, _ := strconv.ParseInt(string(sent), 10, 64)
			late = append(late, time.Since(time.Unix(0, ns)))
		}
	}
	if len(late) < n {
		return nil, fmt.Errorf("%d events of %d", len(late), n)
	}
	return late, nil
}

func idleTunnels(b *bench, t *target, n int) (result, error) {
	open := make([]*conn, n)
	before := residentKiB(t.pid)
	defer func() {
		for _, c := range open {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	m := startMeter(t)
	for i := range open {
		name, _ := t.client(i)
		c, err := b.dial(t, i, name, nil, "http/1.1")
		if err != nil {
			return result{}, err
		}
		open[i] = c
		if err := c.do(b.head(t, "GET", name, "/bytes/1024", 0), nil); err != nil {
			return result{}, err
		}
	}
	r := m.stop(n)
	time.Sleep(time.Second) // for what a proxy puts away only when nothing happens
	r.kib = float64(residentKiB(t.pid)-before) / float64(n)
	return r, nil
}
