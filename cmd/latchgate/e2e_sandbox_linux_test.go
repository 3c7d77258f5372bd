package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/latchgate/latchgate/cmd/latchgate/sandbox"
)

// probe tries what a hostile command would, and prints what it got away with.
const probe = `
import ctypes, fcntl, json, os, pty, socket, stat, subprocess, sys
home, got = sys.argv[1], {}
def tried(name, f):
    try:
        f()
        got[name] = True
    except (OSError, PermissionError):
        got[name] = False
    except subprocess.CalledProcessError:
        got[name] = False
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    if libc.syscall(number, *args) < 0:
        raise OSError(ctypes.get_errno(), "")
def proc(pid, name):
    with open("/proc/%d/%s" % (pid, name), "rb") as f:
        f.read(1)
def trace(pid):
    if libc.ptrace(16, pid, 0, 0) < 0: # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "")
read = lambda name: open(os.path.join(home, name), "rb").read()
write = lambda name: open(os.path.join(home, name), "ab").write(b"#")
for name in ["keys/age.key", "secrets.enc.yaml", ".latchgate/ca/ca.key", ".latchgate/audit.jsonl", "latchgate.toml", "manifests/api.yaml", "other.txt"]:
    tried("read " + name, lambda: read(name))
for name in ["latchgate.toml", "manifests/api.yaml", "other.txt"]:
    tried("write " + name, lambda: write(name))
tried("plant a manifest", lambda: open(os.path.join(home, "manifests/new.yaml"), "w"))
tried("replace the configuration", lambda: os.rename("mine", os.path.join(home, "latchgate.toml")))
tried("link the key", lambda: os.link(os.path.join(home, "keys/age.key"), "linked"))
tried("read the trusted roots", lambda: open(os.environ["SSL_CERT_FILE"]).read())
tried("make and move files where it works", lambda: (os.makedirs("a/b"), open("a/x", "w").close(), os.rename("a/x", "a/b/x"), os.remove("a/b/x")))
tried("connect to the control socket", lambda: socket.socket(socket.AF_UNIX).connect(os.path.join(home, "gate.sock")))
tried("make a pair of sockets", socket.socketpair)
tried("send a datagram", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)))
tried("open multipath TCP", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
def refused(name, f): # by the sandbox, and not for want of it in the kernel or of the right to it
    try:
        f()
        got[name] = True
    except OSError as e:
        got[name] = e.errno != 13
for name, number in [("SMC", 256), ("SCTP", 132)]:
    refused("open " + name, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, number))
refused("send a datagram to a unix socket", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", "/run/systemd/notify"))
refused("send a raw datagram to a unix socket", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW)[0].sendto(b"x", "/run/systemd/notify"))
tried("make a pair of packet sockets", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
def in_terminal(request): # a terminal of its own: who holds one may type into it
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(0, request, b"x")
        except OSError as e:
            os._exit(e.errno)
        os._exit(0)
    error = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if error:
        raise OSError(error, "")
refused("type into the terminal", lambda: in_terminal(0x5412)) # TIOCSTI
refused("paste into the console", lambda: in_terminal(0x541c)) # TIOCLINUX
for name in sorted(os.listdir("/dev")):
    if stat.S_ISBLK(os.lstat("/dev/" + name).st_mode):
        refused("open the disk " + name, lambda: open("/dev/" + name, "rb"))
if os.geteuid() == 0:
    refused("name a program for the kernel to start", lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
def reopen(name):
    with open("/proc/self/fd/%d" % os.open(os.path.join(home, name), os.O_PATH)) as f:
        f.read(1)
tried("open the key by a descriptor of its path", lambda: reopen("keys/age.key"))
for root in ["/proc/self/root", "/proc/%d/root" % os.getppid(), "/proc/1/root"]:
    tried("read the key below " + root.replace(str(os.getppid()), "parent"), lambda: read(root + os.path.join(home, "keys/age.key")))
tried("use what was open before", lambda: os.pread(4, 1, 0))
def mount():
    pid = os.fork()
    if pid == 0:
        if libc.unshare(0x10020000) < 0: # CLONE_NEWUSER | CLONE_NEWNS
            os._exit(1)
        os._exit(1 if libc.mount(os.path.join(home, "keys").encode(), b"a", None, 4096, None) < 0 else 0) # MS_BIND
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise PermissionError()
tried("mount the key's folder elsewhere", mount)
tried("set up io_uring", lambda: call(425, 1, ctypes.create_string_buffer(120)))
tried("connect to another port", lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5))
open_fast = lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).sendto(b"GET", socket.MSG_FASTOPEN, ("127.0.0.1", int(sys.argv[2])))
tried("connect to another port by sending", open_fast)
tried("connect to another port by sending a message", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).sendmsg([b"GET"], [], socket.MSG_FASTOPEN, ("127.0.0.1", int(sys.argv[2]))))
tried("connect to the proxy", lambda: socket.create_connection(("127.0.0.1", int(os.environ["HTTP_PROXY"].rsplit(":", 1)[1])), 5))
tried("serve on a port", lambda: socket.create_server(("127.0.0.1", 0)))
proxy = int(sys.argv[3]) or os.getppid()
tried("signal the proxy", lambda: os.kill(proxy, 0))
tried("trace the proxy", lambda: trace(proxy))
for name in ["mem", "environ", "maps"]:
    tried("read the proxy's " + name, lambda: proc(proxy, name))
tried("use the API", lambda: subprocess.run(["curl", "-fsS", "-o", "answer", "https://api.example.com/"], check=True))
json.dump(got, sys.stdout)
`

// allowed is what is left to a command in the sandbox.
var allowed = []string{"read latchgate.toml", "read manifests/api.yaml", "read other.txt", "write other.txt", "read the trusted roots",
	"make and move files where it works", "make a pair of sockets", "make a pair of packet sockets", "connect to the proxy", "serve on a port", "use the API"}

func TestASandboxedCommandReachesTheProxyAndNothingThatIsOurs(t *testing.T) {
	if _, err := sandbox.Check(); err != nil {
		t.Skipf("component missing: %v", err)
	}
	need(t, "python3", "curl")
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			h := newHome(t)
			h.write("other.txt", "x")
			h.write("work/probe.py", probe)
			h.write("work/mine", "[policy]")
			pid := 0 // the command's parent is the proxy
			if mode.daemon {
				pid = h.start().cmd.Process.Pid
			}
			_, port, _ := strings.Cut(h.origin.addr, ":")
			c := h.command("--config", h.path("latchgate.toml"), "exec", "--sandbox", "-a", "api", "--", "python3", "probe.py", h.dir, port, strconv.Itoa(pid))
			c.Dir = h.path("work")
			for range 2 { // the sandbox's own plan comes on descriptor 3
				key, err := os.Open(h.path("keys/age.key"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = key.Close() }()
				c.ExtraFiles = append(c.ExtraFiles, key)
			}
			var out, errOut strings.Builder
			c.Stdout, c.Stderr = &out, &errOut
			if err := c.Run(); err != nil {
				t.Fatalf("%v\n%s%s", err, out.String(), errOut.String())
			}
			var got map[string]bool
			if err := json.Unmarshal([]byte(out.String()), &got); err != nil || len(got) < 40 {
				t.Fatalf("%v: %s", err, out.String())
			}
			want := map[string]bool{}
			for _, name := range allowed {
				want[name] = true
			}
			for name, ok := range got {
				if ok != want[name] {
					t.Errorf("%s: %v, want %v", name, ok, want[name])
				}
			}
			if strings.Contains(errOut.String(), "sandbox") {
				t.Errorf("stderr: %s", errOut.String())
			}
		})
	}
}

func TestASandboxSaysWhereNothingCanBeMade(t *testing.T) {
	if _, err := sandbox.Check(); err != nil {
		t.Skipf("component missing: %v", err)
	}
	h := newHome(t)
	o := h.run("exec", "--sandbox", "-a", "api", "--", "mkdir", "new")
	if o.status == 0 || !strings.Contains(o.stderr, "can make and remove nothing in "+h.dir) {
		t.Errorf("status %d: %s", o.status, o.stderr)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "new")); err == nil {
		t.Error("it was made")
	}
	if o = h.run("sandboxed"); o.status != exitUsage {
		t.Errorf("by itself: status %d: %s", o.status, o.stderr)
	}
	if o = h.run("exec", "--sandbox", "-a", "api", "--", "sh", "-c", "exit 7"); o.status != 7 {
		t.Errorf("the command's status: %d", o.status)
	}
}
