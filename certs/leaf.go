package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/latchgate/latchgate/manifests"
)

const (
	leafLifetime  = 24 * time.Hour
	leafCacheSize = 4096
	leafShards    = 16
)

// ErrHost: the name given to Leaf is not a canonical host.
var ErrHost = errors.New("not a canonical host name or address")

// Leaf returns a certificate for host, which is as manifests.CanonicalHost gives
// it: a DNS name or an IP literal without brackets. It lasts 24 hours and is
// renewed in the last quarter of its life. The result is shared; the caller
// does not change it.
//
// Equal hosts that are asked for at the same time are signed once. It returns
// ErrHost for a name that no certificate can carry, and ErrExpired once the CA
// itself has run out.
func (c *CA) Leaf(host string) (*tls.Certificate, error) {
	if l, ok := c.leaves.get(host); ok && l.fresh(c.clock()) {
		c.metrics.hits.Inc()
		return l.cert, nil
	}
	c.metrics.misses.Inc()
	v, err, _ := c.minting.Do(host, func() (any, error) {
		// Whoever comes just after a flight has landed finds its leaf here.
		if l, ok := c.leaves.get(host); ok && l.fresh(c.clock()) {
			return l.cert, nil
		}
		l, err := c.mint(host, c.clock())
		if err != nil {
			return nil, err
		}
		c.leaves.add(host, l)
		return l.cert, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*tls.Certificate), nil
}

// leaf is a certificate with the moment from which it is due for renewal.
type leaf struct {
	cert    *tls.Certificate
	renewAt time.Time
}

// fresh is false too when the clock was set back to before the leaf begins.
func (l *leaf) fresh(now time.Time) bool {
	return now.Before(l.renewAt) && !now.Before(l.cert.Leaf.NotBefore)
}

func (c *CA) mint(host string, now time.Time) (*leaf, error) {
	if err := validNow(c.root, now); err != nil {
		return nil, fmt.Errorf("sign leaf: %w", err)
	}
	if canonical, err := manifests.CanonicalHost(host); err != nil || canonical != host {
		return nil, fmt.Errorf("sign leaf for %q: %w", host, ErrHost)
	}
	notAfter := earliest(now.Add(leafLifetime), c.root.NotAfter)
	der, err := c.leafMint.sign(host, latest(now.Add(-backDate), c.root.NotBefore), notAfter)
	if err != nil {
		return nil, fmt.Errorf("sign leaf for %q: %w", host, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign leaf for %q: %w", host, err)
	}
	return &leaf{
		cert:    &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.leafKey, Leaf: parsed},
		renewAt: now.Add(notAfter.Sub(now) / 4 * 3),
	}, nil
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// leafCache is an LRU in shards, so that a look-up waits for a sixteenth of
// the others at most and for none that signs.
type leafCache struct {
	seed   maphash.Seed
	shards []leafShard
}

type leafShard struct {
	mu  sync.Mutex
	lru *simplelru.LRU[string, *leaf]
	_   [40]byte // keeps two shards' locks out of one cache line
}

func newLeafCache(size int) leafCache {
	c := leafCache{seed: maphash.MakeSeed(), shards: make([]leafShard, leafShards)}
	for i := range c.shards {
		c.shards[i].lru, _ = simplelru.NewLRU[string, *leaf](size/leafShards, nil) // fails for a size of 0 only
	}
	return c
}

func (c *leafCache) shard(host string) *leafShard {
	return &c.shards[maphash.String(c.seed, host)%leafShards]
}

func (c *leafCache) get(host string) (*leaf, bool) {
	s := c.shard(host)
	s.mu.Lock()
	l, ok := s.lru.Get(host)
	s.mu.Unlock()
	return l, ok
}

func (c *leafCache) add(host string, l *leaf) {
	s := c.shard(host)
	s.mu.Lock()
	s.lru.Add(host, l)
	s.mu.Unlock()
}
