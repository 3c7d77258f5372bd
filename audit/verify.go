package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ChainError is the first place where a record is not what was written.
type ChainError struct {
	File    string // base name of the file
	Line    int    // 1-based line in File; 0 where lines are missing behind the last
	Problem string
}

func (e *ChainError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Problem
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
}

// ErrHistoryMissing says that whole files are missing before the oldest one:
// they were archived elsewhere, or removed. What is there is whole.
var ErrHistoryMissing = errors.New("the record's oldest file continues one that is not there")

// Verify checks the record at path, with its full files, while others may
// append to it. It returns the number of good lines.
//
// A line that was changed, removed, inserted or cut gives a *ChainError that
// names the first bad one; lines removed from the end are missed by the
// <path>.head file. A record that is whole but for older files gives
// ErrHistoryMissing. The chain is no signature: who may write the files can
// write another whole chain, unless a hash was kept elsewhere.
func Verify(path string) (n int, err error) {
	s, err := openSnapshot(path)
	if err != nil {
		return 0, fmt.Errorf("verify the audit record: %w", err)
	}
	defer s.close()
	last, begun, partial := start, false, false
	for _, part := range s.parts {
		for line, at := range part.lines {
			at := &ChainError{File: filepath.Base(part.file.Name()), Line: at}
			if line[len(line)-1] != '\n' {
				at.Problem = "the line is incomplete: a crash or an edit cut it"
				return n, at
			}
			next, prev, err := parseLine(line[:len(line)-1])
			switch {
			case err != nil:
				at.Problem = err.Error()
			case !begun && next.seq > 1 && beginsFile(line):
				partial = true
			case !begun && next.seq > 1:
				at.Problem = fmt.Sprintf("this is line %d of the record: the lines before it were removed", next.seq)
			case next.seq != last.seq+1:
				at.Problem = fmt.Sprintf("line %d of the record follows line %d: lines between them were removed or moved", next.seq, last.seq)
			case prev != last.hash:
				at.Problem = "the line does not continue the one before: one of them was exchanged"
			}
			if at.Problem != "" {
				return n, at
			}
			last, begun = next, true
			if next.seq == s.head.seq && next != s.head {
				at.Problem = fmt.Sprintf("the line is not the one that %s knows", filepath.Base(path)+headSuffix)
				return n, at
			}
			n++
		}
		if part.err != nil {
			return n, fmt.Errorf("verify the audit record: %w", part.err)
		}
	}
	if last.seq < s.head.seq {
		return n, &ChainError{File: filepath.Base(path), Problem: fmt.Sprintf(
			"lines %d to %d of the record were removed from its end", last.seq+1, s.head.seq)}
	}
	if partial {
		return n, ErrHistoryMissing
	}
	return n, nil
}

// beginsFile reports whether line is the note that a rotation begins a file
// with.
func beginsFile(line []byte) bool {
	e, err := decodeLine(line)
	return err == nil && e.Kind == Note && strings.HasPrefix(e.Reason, continues)
}

// snapshot is a record at a moment between two batches.
type snapshot struct {
	parts []*part
	head  link
}

// part is a stretch of a file of a record.
type part struct {
	file     *os.File
	from, to int64
	err      error // of lines
}

// openSnapshot opens all files of the record under its lock. A copy of a record
// that came without its head, or can't be locked because it is read-only, is
// taken as it is.
func openSnapshot(path string) (*snapshot, error) {
	s := &snapshot{head: start}
	h, err := openHead(path)
	if err != nil {
		return nil, err
	}
	if h != nil {
		defer h.close()
		if s.head, err = h.read(); err != nil {
			return nil, err
		}
	}
	files, err := rotated(path)
	if err != nil {
		return nil, err
	}
	for i, name := range append(files, path) {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && i > 0 { // a crash right after the rotation
			break
		}
		if err != nil {
			s.close()
			return nil, err
		}
		p := &part{file: f}
		s.parts = append(s.parts, p)
		info, err := f.Stat()
		if err != nil {
			s.close()
			return nil, err
		}
		p.to = info.Size()
	}
	return s, nil
}

// openHead opens and locks the head of the record at path; nil where there is
// none.
func openHead(path string) (*head, error) {
	f, err := os.Open(path + headSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := &head{path: path + headSuffix, file: f}
	if err := h.lock(); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (s *snapshot) close() {
	for _, p := range s.parts {
		_ = p.file.Close() // read only
	}
}

// lines yields each line with its line break, which an incomplete last one
// lacks, and its number. A line is valid until the next.
func (p *part) lines(yield func([]byte, int) bool) {
	r := bufio.NewReaderSize(io.NewSectionReader(p.file, p.from, p.to-p.from), 64<<10)
	var long []byte
	for n := 1; ; {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			continue
		}
		if len(long) > 0 {
			line = append(long, line...)
			long = long[:0]
		}
		if err != nil && err != io.EOF {
			p.err = err
			return
		}
		if len(line) > 0 && !yield(line, n) || err != nil {
			return
		}
		n++
	}
}
