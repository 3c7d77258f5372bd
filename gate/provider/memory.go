package provider

import (
	"sync"

	"github.com/tetratelabs/wazero/experimental"
)

const (
	// pageSize is the unit in which a guest's memory grows (WebAssembly core
	// specification 4.2.8).
	pageSize = 64 << 10
	// pooledSize is what most guests get by with; their memory is used again.
	pooledSize = 2 << 20
)

// A memoryPool holds buffers of pooledSize bytes, all zero.
type memoryPool struct{ pool sync.Pool }

func (p *memoryPool) get() *[pooledSize]byte {
	if b, ok := p.pool.Get().(*[pooledSize]byte); ok {
		return b
	}
	return new([pooledSize]byte)
}

// memory is the linear memory of one execution, capped at limit bytes. wazero's
// own cap belongs to a whole runtime; a manifest's memory_mb belongs to an
// action, so each execution brings its memory along.
type memory struct {
	pool    *memoryPool
	limit   uint64
	refused bool              // a growth beyond limit was asked for
	peak    uint64            // bytes, the largest size reached
	bytes   []byte            // the memory as the guest sees it
	pooled  *[pooledSize]byte // what bytes lie in, or lay in before they grew out of it
}

// Allocate implements experimental.MemoryAllocator.
func (m *memory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory. Capacity doubles, so that a
// guest that grows page by page does not cost the host a copy for each page.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	m.peak = max(m.peak, size)
	switch {
	case size <= uint64(cap(m.bytes)):
		m.bytes = m.bytes[:size]
	case size <= pooledSize:
		m.pooled = m.pool.get()
		m.bytes = m.pooled[:size]
	default:
		grown := make([]byte, size, min(max(size, 2*uint64(cap(m.bytes))), m.limit))
		copy(grown, m.bytes)
		m.bytes = grown
	}
	return m.bytes
}

// Free implements experimental.LinearMemory; release does its work.
func (m *memory) Free() {}

// release gives the memory back once nothing of the guest runs any more.
//
// The next execution gets these bytes, which is why they are cleared here: no
// guest ever sees what another has left.
func (m *memory) release() {
	if m.pooled != nil {
		clear(m.pooled[:min(m.peak, pooledSize)])
		m.pool.pool.Put(m.pooled)
	}
	m.bytes, m.pooled = nil, nil
}
