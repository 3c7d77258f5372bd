package provider

import (
	"github.com/tetratelabs/wazero/experimental"
)

// pageSize is the unit in which a guest's memory grows (WebAssembly core
// specification 4.2.8).
const pageSize = 64 << 10

// memory is the linear memory of one execution, capped at limit bytes. wazero's
// own cap belongs to a whole runtime; a manifest's memory_mb belongs to an
// action, so each execution brings its memory along.
type memory struct {
	limit   uint64
	refused bool   // a growth beyond limit was asked for
	peak    uint64 // bytes, the largest size reached
	bytes   []byte
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
	if size > uint64(cap(m.bytes)) {
		grown := make([]byte, size, min(max(size, 2*uint64(cap(m.bytes))), m.limit))
		copy(grown, m.bytes)
		m.bytes = grown
	}
	m.bytes = m.bytes[:size]
	return m.bytes
}

// Free implements experimental.LinearMemory.
func (m *memory) Free() { m.bytes = nil }
