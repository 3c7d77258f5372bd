package dialguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// TestANameThatChangesBetweenTwoLookUpsIsCaught rebinds a name with a real DNS
// server: public when somebody looks, this machine when it is dialled.
func TestANameThatChangesBetweenTwoLookUpsIsCaught(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	var guard Guard
	for _, inner := range []string{"127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"} {
		dns := newDNS(t, &testDNS{answers: []netip.Addr{netip.MustParseAddr("93.184.215.14"), netip.MustParseAddr(inner)}})
		first, err := dns.resolver.LookupNetIP(t.Context(), "ip", "rebind.example")
		if err != nil || len(first) != 1 || guard.Check(first[0]) != nil {
			t.Fatalf("the first look-up: %v %v", first, err)
		}
		d := net.Dialer{Control: guard.Control, Resolver: dns.resolver, Timeout: 10 * time.Second}
		c, err := d.DialContext(t.Context(), "tcp", "rebind.example:"+port)
		if err == nil {
			_ = c.Close()
		}
		refused, ok := errors.AsType[*Error](err)
		if !ok || refused.Addr.Unmap() != netip.MustParseAddr(inner).Unmap() {
			t.Errorf("%s: got %v", inner, err)
		}
	}
}

// The addresses of a name are judged one by one: a public one is not refused
// for the company it keeps, and a private one is not dialled for it.
func TestEachAddressOfANameIsJudged(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	dns := newDNS(t, &testDNS{all: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254")}})
	g := New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	d := net.Dialer{Control: g.Control, Resolver: dns.resolver, Timeout: 10 * time.Second}
	c, err := d.DialContext(t.Context(), "tcp", "many.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != ln.Addr().String() {
		t.Errorf("dialled %s", got)
	}
}

// testDNS answers the first question about a name with one address and every
// later one with another; or always with all.
type testDNS struct {
	resolver *net.Resolver
	answers  []netip.Addr
	all      []netip.Addr
	asked    atomic.Int64
}

func newDNS(t *testing.T, s *testDNS) *testDNS {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.resolver = &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := s.answer(buf[:n]); reply != nil {
				_, _ = pc.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() { _ = pc.Close(); <-done })
	return s
}

func (s *testDNS) answer(query []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	h.Response, h.Authoritative = true, true
	b := dnsmessage.NewBuilder(nil, h)
	_ = b.StartQuestions()
	_ = b.Question(q)
	_ = b.StartAnswers()
	addrs := s.all
	if len(addrs) == 0 {
		addrs = s.answers[len(s.answers)-1:]
		// A look-up asks for A and AAAA: two questions are one look-up.
		if s.asked.Add(1) <= 2 {
			addrs = s.answers[:1]
		}
	}
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}
	for _, a := range addrs {
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			_ = b.AResource(head, dnsmessage.AResource{A: a.As4()})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			_ = b.AAAAResource(head, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	reply, err := b.Finish()
	if err != nil {
		return nil
	}
	return reply
}
