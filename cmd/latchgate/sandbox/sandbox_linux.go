package sandbox

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// leastABI is the first version of Landlock that restricts TCP; Linux 6.7.
const leastABI = 4

// scopesABI is the first that keeps signals and abstract sockets in; Linux 6.12.
const scopesABI = 6

// Check returns an error that wraps [ErrUnsupported] if the kernel lacks what a
// sandbox needs. missing names what it would be good to have too.
func Check() (missing []string, err error) {
	abi, err := ll.LandlockGetABIVersion()
	switch {
	case err != nil || abi < 1:
		return nil, fmt.Errorf("%w: it has no Landlock, or not switched on", ErrUnsupported)
	case abi < leastABI:
		return nil, fmt.Errorf("%w: its Landlock can't restrict TCP (version %d, %d is needed: Linux 6.7)", ErrUnsupported, abi, leastABI)
	case nativeArch() == 0:
		return nil, fmt.Errorf("%w: no filter of system calls for %s", ErrUnsupported, runtime.GOARCH)
	case abi < scopesABI:
		return []string{"signals to processes outside are not kept back (Linux 6.12 does it)"}, nil
	}
	return nil, nil
}

// Enter makes this process the command, in the sandbox. It returns only if
// that fails.
func (s *Spec) Enter(program string, argv, environ []string) error {
	if _, err := Check(); err != nil {
		return err
	}
	// The thread that is restricted last is the one that becomes the command.
	runtime.LockOSThread()
	if err := s.restrictPaths(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err := filterCalls(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	// What is open already is beyond Landlock: a socket of the user's session, a folder, a file that is hidden.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what was inherited: %w", err)
	}
	return fmt.Errorf("start %s: %w", argv[0], syscall.Exec(program, argv, environ))
}

func (s *Spec) restrictPaths() error {
	const listing = landlock.AccessFSSet(ll.AccessFSReadDir)
	rules := []landlock.Rule{landlock.PathAccess(listing, s.Fixed...)}
	for _, port := range s.Ports {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	add := func(paths []string, dirs, files func(...string) landlock.FSRule) {
		for _, p := range paths {
			switch st, err := os.Stat(p); {
			case err != nil: // gone since it was listed
			case st.IsDir():
				rules = append(rules, dirs(p).IgnoreIfMissing())
			default:
				rules = append(rules, files(p).IgnoreIfMissing())
			}
		}
	}
	add(s.Writable, func(p ...string) landlock.FSRule { return landlock.RWDirs(p...).WithRefer().WithIoctlDev() },
		func(p ...string) landlock.FSRule { return landlock.RWFiles(p...).WithIoctlDev() })
	add(s.ReadOnly, landlock.RODirs, landlock.ROFiles)
	// Binding is left free: a command may serve on a port of its own.
	config := landlock.Config{HandledAccessFS: landlock.V5.HandledAccessFS, HandledAccessNet: ll.AccessNetConnectTCP, Scoped: landlock.V6.Scoped}
	return config.BestEffort().Restrict(rules...)
}

// filterCalls leaves the command TCP and netlink (which lists interfaces).
// Unix sockets lead to the control socket, to agents that hold keys and to
// whatever else runs for the user, and so does a pair of datagram sockets, which
// sends to any address; UDP, raw sockets and the other protocols of streams
// (multipath TCP, SCTP, SMC) lead around Landlock, and so does a send that opens
// its connection itself (TCP Fast Open). io_uring leads around this filter. Two
// requests to a terminal type into it what the shell outside would run.
func filterCalls() error {
	const (
		number, arch, arg0, arg1, arg2, arg3 = 0, 4, 16, 24, 32, 40 // of struct seccomp_data; the low halves
		x32                                  = 0x40000000
	)
	load := func(offset uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offset, Size: 4} }
	// skip steps over the next n instructions if what was loaded is the value.
	skip := func(n uint8, value uint32) bpf.Instruction {
		return bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: n}
	}
	allow := bpf.RetConstant{Val: 0x7fff0000}
	refuse := bpf.RetConstant{Val: 0x00050000 | uint32(unix.EACCES)}
	kind := bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf} // without SOCK_CLOEXEC and SOCK_NONBLOCK
	opening := func(flags uint32) []bpf.Instruction {
		return []bpf.Instruction{load(flags), bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: unix.MSG_FASTOPEN, SkipTrue: 1}, allow, refuse}
	}
	all := []bpf.Instruction{
		load(arch), skip(1, nativeArch()), refuse,
		load(number), bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1}, refuse,
	}
	for _, call := range []struct {
		number uint32
		then   []bpf.Instruction // each ends with a verdict
	}{
		{unix.SYS_IO_URING_SETUP, []bpf.Instruction{refuse}},
		{unix.SYS_SENDTO, opening(arg3)},
		{unix.SYS_SENDMMSG, opening(arg3)},
		{unix.SYS_SENDMSG, opening(arg2)},
		{unix.SYS_IOCTL, []bpf.Instruction{load(arg1), skip(2, unix.TIOCSTI), skip(1, unix.TIOCLINUX), allow, refuse}},
		{unix.SYS_SOCKETPAIR, []bpf.Instruction{
			load(arg0), skip(1, unix.AF_UNIX), refuse,
			load(arg1), kind, skip(2, unix.SOCK_STREAM), skip(1, unix.SOCK_SEQPACKET), refuse, allow}},
		{unix.SYS_SOCKET, []bpf.Instruction{
			load(arg0), skip(3, unix.AF_INET), skip(2, unix.AF_INET6), skip(9, unix.AF_NETLINK), refuse,
			load(arg1), kind, skip(1, unix.SOCK_STREAM), refuse,
			load(arg2), skip(2, 0), skip(1, unix.IPPROTO_TCP), refuse, allow}},
	} {
		all = append(all, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call.number, SkipTrue: uint8(len(call.then))})
		all = append(all, call.then...)
	}
	program, err := bpf.Assemble(append(all, allow))
	if err != nil {
		return err
	}
	filters := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filters[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filters)
	if errno != 0 {
		return fmt.Errorf("install the filter of system calls: %w", errno)
	}
	return nil
}

// harmless are the capabilities that a root user's command keeps: those over
// files that it may reach. Others read the memory of any process, load code into
// the kernel or set up its network, whatever Landlock says.
var harmless = []uintptr{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL,
	unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_NET_BIND_SERVICE}

// dropCapabilities gives up all others, for this thread and what it becomes.
func dropCapabilities() error {
	kept := uint32(0) // all of harmless are below 32
	for _, c := range harmless {
		kept |= 1 << c
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if c < 32 && kept&(1<<c) != 0 {
			continue
		}
		// Who may not change the set of what can be gained gains nothing: no_new_privs is set.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EPERM && err != unix.EINVAL {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("drop ambient capabilities: %w", err)
	}
	var caps [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	caps[0] = unix.CapUserData{Effective: caps[0].Effective & kept, Permitted: caps[0].Permitted & kept}
	caps[1] = unix.CapUserData{}
	if err := unix.Capset(&header, &caps[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// devices are the ways to a file around the file system: disks, and memory.
// Root may open them without a capability, and so may the group disk.
func devices() []string {
	entries, _ := os.ReadDir("/dev")
	var all []string
	for _, e := range entries {
		block := e.Type()&fs.ModeDevice != 0 && e.Type()&fs.ModeCharDevice == 0
		for _, pattern := range []string{"mem", "kmem", "port", "sg[0-9]*", "bsg", "nvme*", "raw"} {
			match, _ := filepath.Match(pattern, e.Name())
			block = block || match
		}
		if block {
			all = append(all, filepath.Join("/dev", e.Name()))
		}
	}
	return all
}

// settings are the kernel's own files, among them the names of programs that it
// starts outside of any sandbox. Root may write them without a capability.
func settings() []string {
	if os.Geteuid() == 0 {
		return []string{"/proc", "/sys"}
	}
	return nil
}

// nativeArch is this program's architecture as seccomp names it, 0 for one
// whose system calls are numbered in a way that the filter does not know.
func nativeArch() uint32 {
	switch strings.ToLower(runtime.GOARCH) {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64
	case "riscv64":
		return unix.AUDIT_ARCH_RISCV64
	}
	return 0
}

// Harden keeps this process's memory from others of the same user: no core
// file, no tracing, no /proc/PID/mem. confined also gives up ever gaining
// privileges, which a child would inherit.
func Harden(confined bool) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	limit.Cur = 0 // a command that we run may raise it again, for itself
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process not dumpable: %w", err)
	}
	if confined {
		// It belongs to a thread, and any of them may start a child.
		if err := ll.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("give up new privileges: %w", err)
		}
	}
	return nil
}
