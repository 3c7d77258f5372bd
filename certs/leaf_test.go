package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func mustLeaf(t testing.TB, ca *CA, host string) *tls.Certificate {
	t.Helper()
	cert, err := ca.Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestLeafIsValidForItsHostAndNoOther(t *testing.T) {
	ca := openCA(t, Options{})
	roots := x509.NewCertPool()
	roots.AddCert(ca.Root())
	long := strings.Repeat("a23456789.", 24) + "example.com"
	for _, host := range []string{"api.github.com", "localhost", "a_b.example.com", "xn--bcher-kva.example", "127.0.0.1", "2001:db8::1", long} {
		cert := mustLeaf(t, ca, host)
		l := cert.Leaf
		if _, err := l.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if l.VerifyHostname("www."+host) == nil || l.VerifyHostname("other.example") == nil {
			t.Errorf("%s: valid for other names: %v %v", host, l.DNSNames, l.IPAddresses)
		}
		if len(l.DNSNames)+len(l.IPAddresses) != 1 || len(cert.Certificate) != 1 || l.IsCA {
			t.Errorf("%s: names %v %v, chain of %d, CA %v", host, l.DNSNames, l.IPAddresses, len(cert.Certificate), l.IsCA)
		}
		if !bytes.Equal(l.AuthorityKeyId, ca.Root().SubjectKeyId) || len(l.SubjectKeyId) != 20 {
			t.Errorf("%s: AKI %x, SKI %x", host, l.AuthorityKeyId, l.SubjectKeyId)
		}
	}
	if a, b := mustLeaf(t, ca, "localhost").Leaf, mustLeaf(t, ca, "api.github.com").Leaf; a.SerialNumber.Cmp(b.SerialNumber) == 0 {
		t.Error("two leaves with one serial number")
	}
}

func TestWhatIsNotACanonicalHostGetsNoLeaf(t *testing.T) {
	ca := openCA(t, Options{})
	for _, host := range []string{"", ".", "API.github.com", "api.github.com.", "*.github.com", "a..b", "a b", "a/b", "host:443",
		"[2001:db8::1]", "2001:DB8::1", "::ffff:127.0.0.1", "fe80::1%eth0", "127.1", "bücher.example", "a\x00b", strings.Repeat("a", 64) + ".com"} {
		if _, err := ca.Leaf(host); !errors.Is(err, ErrHost) {
			t.Errorf("%q: got %v, want %v", host, err, ErrHost)
		}
	}
}

func TestEqualHostsAskedForTogetherAreSignedOnce(t *testing.T) {
	ca := openCA(t, Options{})
	for i := range 50 {
		host := fmt.Sprintf("h%d.example.com", i)
		var got [16]*tls.Certificate
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for j := range got {
			wg.Go(func() {
				<-begin
				got[j], _ = ca.Leaf(host)
			})
		}
		close(begin)
		wg.Wait()
		for _, cert := range got {
			if cert == nil || cert != got[0] {
				t.Fatalf("%s was signed more than once", host)
			}
		}
	}
}

func TestWhoComesJustAfterASigningGetsItsLeaf(t *testing.T) {
	now := time.Now()
	var ca *CA
	var between func()
	ca = openCA(t, Options{Clock: func() time.Time {
		if f := between; f != nil {
			between = nil
			f()
		}
		return now
	}})
	mustLeaf(t, ca, "example.com")
	now = now.Add(20 * time.Hour) // due for renewal
	var renewed *tls.Certificate
	between = func() { renewed = mustLeaf(t, ca, "example.com") }
	if got := mustLeaf(t, ca, "example.com"); renewed == nil || got != renewed {
		t.Error("signed again what had just been signed")
	}
}

func TestLeafLastsADayAndIsRenewedInItsLastQuarter(t *testing.T) {
	c := &clock{now: time.Now()}
	ca := openCA(t, Options{Clock: c.Now})
	c.add(48 * time.Hour)
	first := mustLeaf(t, ca, "example.com")
	if got := first.Leaf.NotAfter.Sub(c.Now()).Round(time.Minute); got != 24*time.Hour {
		t.Errorf("lasts %v", got)
	}
	if got := c.Now().Sub(first.Leaf.NotBefore).Round(time.Minute); got != time.Hour {
		t.Errorf("begins %v ago", got)
	}
	c.add(18*time.Hour - time.Minute)
	if mustLeaf(t, ca, "example.com") != first {
		t.Error("renewed too early")
	}
	c.add(time.Minute)
	second := mustLeaf(t, ca, "example.com")
	if second == first || second.Leaf.NotAfter.Sub(c.Now()).Round(time.Minute) != 24*time.Hour {
		t.Error("not renewed when a quarter was left")
	}
	c.add(-3 * time.Hour)
	if l := mustLeaf(t, ca, "example.com").Leaf; c.Now().Before(l.NotBefore) {
		t.Error("a leaf that has not begun after the clock was set back")
	}
}

func TestLeafNeverOutlivesTheAuthority(t *testing.T) {
	c := &clock{now: time.Now()}
	ca := openCA(t, Options{Clock: c.Now})
	c.add(rootLifetime - 4*time.Hour)
	l := mustLeaf(t, ca, "example.com")
	if !l.Leaf.NotAfter.Equal(ca.Expires()) {
		t.Errorf("leaf ends %v, authority %v", l.Leaf.NotAfter, ca.Expires())
	}
	if mustLeaf(t, ca, "example.com") != l {
		t.Error("not cached near the authority's end")
	}
	c.add(4*time.Hour + time.Second)
	if _, err := ca.Leaf("example.com"); !errors.Is(err, ErrExpired) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := Open(filepath.Dir(ca.RootFile()), Options{Clock: c.Now}); !errors.Is(err, ErrExpired) {
		t.Errorf("Open after the end: %v", err)
	}
}

func TestLeafCacheIsBoundedAndCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	ca := openCA(t, Options{Registerer: reg})
	const hosts = 200
	ca.leaves = newLeafCache(leafShards * 4)
	for i := range hosts {
		mustLeaf(t, ca, fmt.Sprintf("h%d.example.com", i))
	}
	cached := 0
	for i := range ca.leaves.shards {
		cached += ca.leaves.shards[i].lru.Len()
	}
	if cached > leafShards*4 {
		t.Errorf("%d leaves cached", cached)
	}
	for range 3 {
		mustLeaf(t, ca, fmt.Sprintf("h%d.example.com", hosts-1))
	}
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP latchgate_certs_leaf_cache_hits_total Leaf certificates served from the cache.
# TYPE latchgate_certs_leaf_cache_hits_total counter
latchgate_certs_leaf_cache_hits_total 3
# HELP latchgate_certs_leaf_cache_misses_total Leaf certificates that were not in the cache or due for renewal.
# TYPE latchgate_certs_leaf_cache_misses_total counter
latchgate_certs_leaf_cache_misses_total 200
`))
	if err != nil {
		t.Error(err)
	}
}

func TestCachedLeafCostsNoAllocation(t *testing.T) {
	ca := openCA(t, Options{})
	mustLeaf(t, ca, "example.com")
	if n := testing.AllocsPerRun(1000, func() { mustLeaf(t, ca, "example.com") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLeafCached(b *testing.B) {
	ca := openCA(b, Options{})
	mustLeaf(b, ca, "example.com")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mustLeaf(b, ca, "example.com")
		}
	})
}

func BenchmarkLeafNewHost(b *testing.B) {
	ca := openCA(b, Options{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		mustLeaf(b, ca, fmt.Sprintf("h%d.example.com", i))
	}
}
