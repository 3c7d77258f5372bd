package scrub

// windows finds the unescaped needles of a small set: by four bytes of each, the
// rarest that are near its beginning, all at once. With more needles a teddy
// tells too little, and a gramTable, which looks at fewer places, is faster.
type windows struct {
	teddy
	at []place // of each needle, the window's first character
}

const (
	maxWindows = 16  // two needles to a pattern
	windowSpan = 28  // places for a window in a needle
	windowText = 256 // bytes from which on a text is worth it
)

// newWindows returns nil if there are too many needles, or no vectors.
func newWindows(needles []needle) *windows {
	if !hasVectors || len(needles) > maxWindows {
		return nil
	}
	w := &windows{at: make([]place, 0, len(needles))}
	for i := range needles {
		n := &needles[i]
		at, least := 0, 1<<30
		for from := range min(len(n.text)-teddyLen+1, windowSpan) {
			c := n.text[from : from+teddyLen]
			// Two bytes decide whether the other two are looked at.
			if often := 4*(frequency(c[0])+frequency(c[1])) + frequency(c[2]) + frequency(c[3]); often < least {
				at, least = from, often
			}
		}
		w.add(i%8, n.cases(n.text[at]), n.cases(n.text[at+1]), n.cases(n.text[at+2]), n.cases(n.text[at+3]))
		w.at = append(w.at, place{int32(i), int32(at)})
	}
	return w
}

// frequency says roughly how often c is in what upstreams send.
func frequency(c byte) int {
	switch {
	case 'a' <= c && c <= 'z', c == ' ', c == '"':
		return 8
	case '0' <= c && c <= '9', c == '/', c == ':', c == ',', c == '-', c == '.', c == '_':
		return 5
	case 'A' <= c && c <= 'Z':
		return 3
	}
	return 1
}

// scanWindows is scanRaw for b up to done: for the needles whose window begins
// before that.
func (s *Set) scanWindows(b []byte, hold int, spans []span) (done int, _ []span, _ int) {
	var masks [64]uint64
	for {
		n := s.windows.mark(masks[:], b[done:])
		if n == 0 {
			return done, spans, hold
		}
		for p := range marked(masks[:n/teddyBlock]) {
			for _, at := range s.windows.at {
				spans, hold = s.rawAt(b, done+p-int(at.index), &s.needles[at.needle], hold, spans)
			}
		}
		done += n
	}
}

// rawAt adds the needle at b[p], if it is there.
func (s *Set) rawAt(b []byte, p int, n *needle, hold int, spans []span) ([]span, int) {
	switch {
	case p < 0 || !n.at(b, p):
	case p+len(n.text) <= len(b):
		spans = append(spans, span{p, p + len(n.text), n.secret})
	default:
		hold = min(hold, p)
	}
	return spans, hold
}
