package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A record is the file at its path, which is appended to, and the full files
// beside it: path.000001 is the oldest, then path.000002, and so on.

// rotated lists the full files of the record, oldest first.
func rotated(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+"."); ok && rotation(suffix) > 0 {
			files = append(files, path+"."+suffix)
		}
	}
	slices.SortFunc(files, func(a, b string) int {
		return cmp.Compare(rotation(a[len(path)+1:]), rotation(b[len(path)+1:]))
	})
	return files, nil
}

// rotation reads the number of a full file; 0 for another file.
func rotation(suffix string) uint64 {
	n, err := strconv.ParseUint(suffix, 10, 64)
	if err != nil || len(suffix) < 6 {
		return 0
	}
	return n
}

// tail is what the end of a file says.
type tail struct {
	last link  // of the last good line
	end  int64 // offset behind that line
}

// errForeign says that a file was not written by this package. Nothing is ever
// cut off such a file.
var errForeign = errors.New("the file has content and no line of an audit record: move it away or set another audit.file")

// readTail finds the last good line among the last 2 MiB of a file. An empty
// file gives the zero tail.
func readTail(f *os.File, size int64) (tail, error) {
	for window := int64(16 << 10); ; window *= 4 {
		window = min(window, size, 2*maxLine)
		from := size - window
		b := make([]byte, window)
		if _, err := f.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
			return tail{}, err
		}
		for {
			end := bytes.LastIndexByte(b, '\n')
			if end < 0 {
				break
			}
			begin := bytes.LastIndexByte(b[:end], '\n') + 1
			if begin == 0 && from > 0 {
				break // the line begins before the window
			}
			if l, _, err := parseLine(b[begin:end]); err == nil {
				return tail{l, from + int64(end) + 1}, nil
			}
			b = b[:begin]
		}
		switch {
		case size == 0:
			return tail{}, nil
		case window == min(size, 2*maxLine):
			return torn(f, size)
		}
	}
}

// torn is the tail of a file without any good line: an incomplete first line is
// what a crash leaves, anything else is not ours.
func torn(f *os.File, size int64) (tail, error) {
	b := make([]byte, min(size, int64(len(seqKey))))
	if _, err := f.ReadAt(b, 0); err != nil {
		return tail{}, err
	}
	if !strings.HasPrefix(seqKey, string(b)) && strings.Trim(string(b), "\x00") != "" {
		return tail{}, errForeign
	}
	return tail{}, nil
}

// continues begins the note that is the first line of every file but the first.
const continues = "continues "

// lastRotated returns the newest full file and the link at its end, or start
// where there is none.
func lastRotated(path string) (name string, l link, err error) {
	files, err := rotated(path)
	if err != nil || len(files) == 0 {
		return "", start, err
	}
	name = files[len(files)-1]
	f, err := os.Open(name)
	if err != nil {
		return name, start, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return name, start, err
	}
	t, err := readTail(f, info.Size())
	if err != nil || t.end == 0 {
		return name, start, err
	}
	return name, t.last, nil
}

// moveAside copies f's bytes from offset end on into a file of their own and
// cuts them off f. It returns the new file's path.
func moveAside(f *os.File, path string, end, size int64) (string, error) {
	aside, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".torn-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(aside, io.NewSectionReader(f, end, size-end))
	if err = errors.Join(err, aside.Sync(), aside.Close()); err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(aside.Name())) // or each attempt would leave one
	}
	if err := f.Truncate(end); err != nil {
		return "", err
	}
	return aside.Name(), f.Sync()
}

// rename makes the file at path the newest full file. It gets a number that none
// before it had, those that were archived elsewhere included: the file's first
// line names the one that it continues.
func rename(path string) error {
	files, err := rotated(path)
	if err != nil {
		return err
	}
	n, err := continued(path)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		n = max(n, rotation(files[len(files)-1][len(path)+1:]))
	}
	return os.Rename(path, fmt.Sprintf("%s.%06d", path, n+1))
}

// continued is the number of the full file that the one at path continues; 0 for
// none.
func continued(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(f, 4096).ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return 0, err
	}
	e, err := decodeLine(line)
	name, ok := strings.CutPrefix(e.Reason, continues)
	if err != nil || e.Kind != Note || !ok { // the first file ever, or one that was begun anew
		return 0, nil
	}
	return rotation(strings.TrimPrefix(name, filepath.Base(path)+".")), nil
}

// openAppend opens the file that is appended to, and says whether it is new.
func openAppend(path string) (f *os.File, created bool, err error) {
	const flags = os.O_RDWR | os.O_APPEND
	f, err = os.OpenFile(path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600)
		created = true
	}
	return f, created, err
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
