package provider

import "log/slog"

// maxStream is how much of a guest's standard output, and of its standard
// error, is kept.
const maxStream = 4 << 10

// capture keeps the first maxStream bytes written to it and takes the rest
// without an error, so that a chatty guest does not fail for it.
type capture struct{ kept []byte }

func (c *capture) Write(p []byte) (int, error) {
	c.kept = append(c.kept, p[:min(len(p), maxStream-len(c.kept))]...)
	return len(p), nil
}

// flushStreams hands what the guest printed to the log.
func (e *execution) flushStreams() {
	for _, s := range []struct {
		name string
		c    *capture
	}{{"stdout: ", &e.stdout}, {"stderr: ", &e.stderr}} {
		if len(s.c.kept) > 0 {
			e.log(slog.LevelDebug, s.name+string(s.c.kept))
		}
	}
}
