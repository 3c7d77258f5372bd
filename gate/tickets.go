package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// ticketFile is the file that holds the tickets (0600): JSON, replaced in one
// step, changed under a lock beside it.
type ticketFile struct{ path string }

// read returns the tickets as they are now; none where there is no file.
func (f ticketFile) read() ([]Approval, error) {
	raw, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return []Approval{}, nil
	}
	if err != nil {
		return nil, f.broken(err)
	}
	all := []Approval{}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, f.broken(err)
	}
	return all, nil
}

// update replaces the tickets by what change makes of them.
func (f ticketFile) update(change func([]Approval) ([]Approval, error)) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return f.broken(err)
	}
	lock, err := os.OpenFile(f.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return f.broken(err)
	}
	defer func() { _ = lock.Close() }() // which lets go of the lock
	if err := waitForFile(lock); err != nil {
		return f.broken(err)
	}
	all, err := f.read()
	if err != nil {
		return err
	}
	if all, err = change(all); err != nil {
		return err
	}
	for i := range all {
		for j := range all[i].Arguments {
			all[i].Arguments[j].Value = nil
		}
	}
	raw, err := json.Marshal(all)
	if err == nil {
		err = renameio.WriteFile(f.path, raw, 0o600)
	}
	if err == nil {
		err = syncDir(filepath.Dir(f.path)) // else a used ticket could come back after a power cut
	}
	if err != nil {
		return f.broken(err)
	}
	return nil
}

// broken refuses: an approval that can't be kept is none.
func (f ticketFile) broken(err error) error {
	return &Error{Code: CodeInternal, Message: "the approvals can't be read or written", Hint: "the operator's log has the cause",
		Err: fmt.Errorf("%s: %w", f.path, err)}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
