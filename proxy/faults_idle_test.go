package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// TestIdleTunnelsCostLittleAndAreGivenBack opens many tunnels, lets them be
// idle, and closes them. It prints what one costs; the client's ends are in the
// same process and are counted too. LATCHGATE_TEST_TUNNELS sets how many, of
// each kind; two descriptors go to each, and two more where it is blind.
func TestIdleTunnelsCostLittleAndAreGivenBack(t *testing.T) {
	n := 100
	if s := os.Getenv("LATCHGATE_TEST_TUNNELS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t)
	run, tok := h.open(bearerManifest + blindManifest)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.ca.RootPEM())
	speak := func(c net.Conn, roots *x509.CertPool, host string) net.Conn {
		tc := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: host})
		if resp, _ := raw(t, tc, "GET / HTTP/1.1\r\nHost: "+host+":"+h.origin.port+"\r\n\r\n"); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		return tc
	}
	connect := func(host string) net.Conn { // registers nothing with t, which would keep it
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, h.connectHead(run, tok, host+":"+h.origin.port))
		if resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect}); err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		return c
	}
	for kind, open := range map[string]func() net.Conn{
		"intercepted, after a request": func() net.Conn {
			c := connect(apiHost)
			return speak(c, roots, apiHost)
		},
		"intercepted, before the ClientHello": func() net.Conn {
			c := connect(apiHost)
			return c
		},
		"blind": func() net.Conn {
			return connect("127.0.0.1")
		},
	} {
		t.Run(kind, func(t *testing.T) {
			if need := 2*n + 512; descriptors() < need || kind == "blind" && descriptors() < need+2*n {
				t.Skipf("component missing: file descriptors for %d tunnels", n)
			}
			_ = open().Close() // what the first starts for good is not its own
			settled(t, h)
			before := weigh(t)
			conns := make([]net.Conn, 0, n)
			for range n {
				conns = append(conns, open())
			}
			during := weigh(t)
			for _, c := range conns {
				_ = c.Close()
			}
			conns = nil
			settledTo(t, h, before.goroutines)
			after := weigh(t)
			t.Logf("%d tunnels, both ends: %.1f kB of heap, %.1f kB of stacks, %.1f goroutines, %.1f descriptors each", n,
				float64(during.heap-before.heap)/1024/float64(n), float64(during.stack-before.stack)/1024/float64(n),
				float64(during.goroutines-before.goroutines)/float64(n), float64(during.descriptors-before.descriptors)/float64(n))
			t.Logf("heap %d -> %d -> %d kB, resident %d -> %d -> %d kB, goroutines %d -> %d -> %d, descriptors %d -> %d -> %d",
				before.heap/1024, during.heap/1024, after.heap/1024, before.resident, during.resident, after.resident,
				before.goroutines, during.goroutines, after.goroutines, before.descriptors, during.descriptors, after.descriptors)
			if after.descriptors > before.descriptors {
				t.Errorf("%d descriptors before, %d after", before.descriptors, after.descriptors)
			}
			// A tenth of what they cost is room for what is kept to be used again.
			if kept, cost := after.heap-before.heap, during.heap-before.heap; n >= 1000 && kept > cost/10 {
				t.Errorf("%d kB of %d kB of heap are still in use", kept/1024, cost/1024)
			}
		})
	}
}

type weight struct {
	heap, stack, resident   int64 // bytes; resident in kB
	goroutines, descriptors int
}

func weigh(t *testing.T) weight {
	t.Helper()
	for range 3 { // pools are emptied by the second collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w := weight{heap: int64(m.HeapAlloc), stack: int64(m.StackInuse), goroutines: runtime.NumGoroutine()}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		w.descriptors = len(files)
	}
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64
		if _, err := fmt.Sscan(string(data), &size, &resident); err == nil {
			w.resident = resident * int64(os.Getpagesize()) / 1024
		}
	}
	return w
}
