//go:build !linux

package sandbox

import (
	"fmt"
	"runtime"
)

// Check says that there is no sandbox here.
func Check() (missing []string, err error) {
	return nil, fmt.Errorf("%w: it is %s, and the sandbox is Linux' Landlock", ErrUnsupported, runtime.GOOS)
}

// Enter fails.
func (s *Spec) Enter(string, []string, []string) error {
	_, err := Check()
	return err
}

// Harden does nothing here.
func Harden(bool) error { return nil }

func devices() []string  { return nil }
func settings() []string { return nil }
