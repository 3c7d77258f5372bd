package secrets

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nearby is an absolute path that leads over nothing but file systems of this
// machine. To look at what is there waits for nobody, so Go's scheduler need not be
// told. For a file that is looked at on each request that matters: being told keeps
// the runtime's monitor awake, which takes longer than the look.
type nearby struct{ path []byte } // ends in NUL

// nearbyPath returns nil for a path that leads, or may lead, over any other file
// system, as one of a network is, whose server may be gone. A look at that has to be
// one that the scheduler knows of.
func nearbyPath(path string) *nearby {
	if !allLocal(path) {
		return nil
	}
	return &nearby{append([]byte(path), 0)}
}

// allLocal walks an absolute path, and each link on the way, and reports whether all
// that it comes by is on local file systems.
func allLocal(path string) bool {
	at, rest := "/", strings.Split(path, "/")
	for links := 0; isLocal(at); {
		if len(rest) == 0 {
			return true
		}
		part := rest[0]
		rest = rest[1:]
		next := filepath.Join(at, part) // at has no link in it, so ".." is what is above
		link, err := os.Readlink(next)
		if err != nil {
			at = next
			continue
		}
		if links++; links > 40 { // as many as the kernel follows
			return false
		}
		if filepath.IsAbs(link) {
			at = "/"
		}
		rest = append(strings.Split(link, "/"), rest...)
	}
	return false
}

func isLocal(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && slices.Contains(localTypes, uint32(fs.Type)) //nolint:gosec // widths differ between systems
}

// localTypes are those of statfs(2).
var localTypes = []uint32{
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, 0x2fc12fc1, // of ZFS
	unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
}

// identify is as the function of that name; ok is false where that has to be asked.
func (n *nearby) identify() (id fileID, ok bool) {
	if n == nil {
		return fileID{}, false
	}
	var st unix.Statx_t
	_, _, err := unix.RawSyscall6(unix.SYS_STATX, 0, uintptr(unsafe.Pointer(&n.path[0])), 0,
		unix.STATX_INO|unix.STATX_SIZE|unix.STATX_MTIME|unix.STATX_CTIME, uintptr(unsafe.Pointer(&st)), 0)
	nano := func(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }
	return fileID{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino, size: int64(st.Size), mtime: nano(st.Mtime), ctime: nano(st.Ctime)}, err == 0
}
