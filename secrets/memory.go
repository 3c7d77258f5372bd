package secrets

// memory owns every buffer that holds plaintext of one decryption, so that all of
// them can be overwritten together.
type memory struct{ bufs [][]byte }

// alloc returns an empty slice of capacity n that wipe will overwrite. Appending
// beyond n would move the bytes out of sight: callers size it exactly.
func (m *memory) alloc(n int) []byte {
	b := make([]byte, 0, n)
	m.adopt(b)
	return b
}

// adopt makes wipe overwrite b as well, its spare capacity included.
func (m *memory) adopt(b []byte) {
	if cap(b) > 0 {
		m.bufs = append(m.bufs, b)
	}
}

// wipe overwrites everything with zeros.
func (m *memory) wipe() {
	for _, b := range m.bufs {
		wipe(b)
	}
	m.bufs = nil
}

func wipe(b []byte) { clear(b[:cap(b)]) }
