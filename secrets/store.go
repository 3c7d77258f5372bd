package secrets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// TTL is how long a decrypted file stays in memory. It is a constant on purpose.
const TTL = 30 * time.Second

// How the file is decrypted; the values of the setting secrets.backend.
const (
	BackendAuto     = "auto"     // embedded where the file has an age recipient, else sops
	BackendEmbedded = "embedded" // in the process
	BackendSops     = "sops"     // by the sops program
)

// Options say where the secrets are and how to get at them.
type Options struct {
	File           string        // the SOPS file, absolute; "" means that none is configured
	KeyFile        string        // the age key file, absolute; "" leaves finding keys to the sops program
	Backend        string        // "" means BackendAuto
	DecryptTimeout time.Duration // of one decryption; 0 means 10 s
	Metrics        *Metrics      // nil counts nowhere
	Logger         *slog.Logger  // nil discards
}

// Store is the encrypted store. It holds at most one decrypted file, for at most
// [TTL]. Its methods may be called from any goroutine.
type Store struct {
	opts    Options
	log     *slog.Logger
	metrics *Metrics

	current atomic.Pointer[entry] // the cache; written under mu

	mu         sync.Mutex
	flights    map[fileID]*flight
	lastReason string // why the next miss will be one
	generation uint64
	logged     loggedError
	closed     bool

	ctx    context.Context // ends with the store
	cancel context.CancelFunc
	wg     sync.WaitGroup // flights and timers
}

// Open checks the options and returns a Store. The file is not read before a
// value is asked for.
func Open(o Options) (*Store, error) {
	for _, path := range []string{o.File, o.KeyFile} {
		if path != "" && !filepath.IsAbs(path) {
			return nil, fmt.Errorf("open secrets: %s is not an absolute path", path)
		}
	}
	switch o.Backend {
	case "":
		o.Backend = BackendAuto
	case BackendAuto, BackendEmbedded, BackendSops:
	default:
		return nil, fmt.Errorf("open secrets: unknown backend %q: use auto, embedded or sops", o.Backend)
	}
	if o.DecryptTimeout < 0 {
		return nil, errors.New("open secrets: negative decrypt timeout")
	}
	if o.DecryptTimeout == 0 {
		o.DecryptTimeout = 10 * time.Second
	}
	s := &Store{
		opts: o, log: o.Logger, metrics: o.Metrics,
		flights: map[fileID]*flight{}, lastReason: missCold,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.metrics == nil {
		s.metrics = NewMetrics(nil)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Configured reports whether there is a secrets file to read. Where there is
// none, every [Set] is empty and asks for nothing.
func (s *Store) Configured() bool { return s.opts.File != "" }

// File returns the configured secrets file, "" where there is none.
func (s *Store) File() string { return s.opts.File }

// Close forgets what was decrypted, stops decryptions that are under way and
// waits for them. Sets that are held stay readable until they are released.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.dropLocked(s.current.Load(), missCold)
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	return nil
}
