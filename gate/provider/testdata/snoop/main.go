//go:build wasip1

// Snoop is a provider that looks everywhere it can for a secret and reports
// what it saw: a test gives it one on the host's side and expects none here.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"
	"unsafe"
)

func main() {}

type input struct {
	Args struct {
		Mask    []byte   `json:"mask"`    // the secret, each byte XORed with 0x5a, so that asking does not plant it
		Paths   []string `json:"paths"`   // files and folders to try
		Request string   `json:"request"` // a request document
	} `json:"args"`
}

type report struct {
	Found   []string `json:"found"` // places where the secret was seen
	Env     []string `json:"env"`
	Args    []string `json:"args"`
	Opened  []string `json:"opened"` // paths that could be opened or listed
	Stdin   int      `json:"stdin"`  // bytes
	Dialled bool     `json:"dialled"`
	Now     int64    `json:"now"`
	Slept   int64    `json:"slept_ms"`
	Random  string   `json:"random"`
	Memory  int      `json:"memory"` // bytes of linear memory searched
	Reply   string   `json:"reply"`
}

//go:wasmexport execute
func execute() int32 {
	raw := make([]byte, inputSize())
	inputRead(ptr(raw), uint32(len(raw)))
	var in input
	if err := json.Unmarshal(raw, &in); err != nil {
		panic(err)
	}
	r := report{Found: []string{}, Env: os.Environ(), Args: os.Args, Opened: []string{}}
	look := func(where string, b []byte) {
		if contains(b, in.Args.Mask) {
			r.Found = append(r.Found, where)
		}
	}

	for _, v := range append(append([]string{os.Getenv("SENTINEL"), os.Getenv("HOME")}, r.Env...), r.Args...) {
		look("environment", []byte(v))
	}
	for _, path := range in.Args.Paths {
		if b, err := os.ReadFile(path); err == nil {
			r.Opened = append(r.Opened, path)
			look(path, b)
		}
		if _, err := os.ReadDir(path); err == nil {
			r.Opened = append(r.Opened, path)
		}
		if os.WriteFile(path+"/x", []byte("x"), 0o600) == nil {
			r.Opened = append(r.Opened, path+"/x")
		}
	}
	stdin, _ := io.ReadAll(os.Stdin)
	r.Stdin = len(stdin)
	look("stdin", stdin)
	for fd := range uintptr(16) {
		b, _ := io.ReadAll(io.LimitReader(os.NewFile(fd, "fd"), 1<<16))
		look(fmt.Sprintf("descriptor %d", fd), b)
	}
	if c, err := net.DialTimeout("tcp", "127.0.0.1:80", time.Second); err == nil {
		r.Dialled = true
		c.Close()
	}

	started := time.Now()
	r.Now = started.UnixMilli()
	time.Sleep(5 * time.Millisecond)
	r.Slept = time.Since(started).Milliseconds()
	r.Random = rand.Text()
	look("randomness", []byte(r.Random))

	if n := httpRequest(ptr([]byte(in.Args.Request)), uint32(len(in.Args.Request)), nil, 0); n >= 0 {
		reply := make([]byte, n)
		responseRead(ptr(reply), uint32(n))
		body := make([]byte, bodySize())
		bodyRead(ptr(body), uint32(len(body)))
		look("reply", reply)
		look("body", body)
		r.Reply = string(reply) + string(body)
	}
	// Reading again, and over the end, must not show more.
	beyond := make([]byte, 1<<16)
	responseRead(ptr(beyond), uint32(len(beyond)))
	look("response_read", beyond)
	bodyRead(ptr(beyond), uint32(len(beyond)))
	look("body_read", beyond)
	inputRead(ptr(beyond), uint32(len(beyond)))
	look("input_read", beyond)

	fmt.Println("snoop prints", in.Args.Paths)
	fmt.Fprintln(os.Stderr, "snoop complains")

	// All of linear memory. The host says where it ends: it takes no log message
	// from beyond.
	for ; hostLog(0, pointer(r.Memory), 1) == 0; r.Memory += 1 << 16 {
		if r.Memory > 0 {
			look("memory", unsafe.Slice((*byte)(pointer(r.Memory-64)), 1<<16+64))
		}
	}

	out, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	outputWrite(ptr(out), uint32(len(out)))
	return 0
}

// contains looks for what mask hides without ever having it in memory. Eight
// bytes a turn, since the host's deadline check makes each turn of a loop dear.
func contains(b, mask []byte) bool {
	first := mask[0] ^ 0x5a
	for ; len(b) >= len(mask)+8; b = b[8:] {
		if b[0] == first || b[1] == first || b[2] == first || b[3] == first || b[4] == first || b[5] == first || b[6] == first || b[7] == first {
			for i := range 8 {
				if hasPrefix(b[i:], mask) {
					return true
				}
			}
		}
	}
	for ; len(b) >= len(mask); b = b[1:] {
		if hasPrefix(b, mask) {
			return true
		}
	}
	return false
}

func hasPrefix(b, mask []byte) bool {
	for i, m := range mask {
		if b[i]^0x5a != m {
			return false
		}
	}
	return true
}

// pointer makes an address, which go vet rightly finds suspicious.
//
//go:noinline
func pointer(at int) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }

func ptr(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

//go:wasmimport latchgate input_size
func inputSize() int32

//go:wasmimport latchgate input_read
func inputRead(buf unsafe.Pointer, size uint32) int32

//go:wasmimport latchgate http_request
func httpRequest(head unsafe.Pointer, headSize uint32, body unsafe.Pointer, bodySize uint32) int32

//go:wasmimport latchgate response_read
func responseRead(buf unsafe.Pointer, size uint32) int32

//go:wasmimport latchgate body_size
func bodySize() int32

//go:wasmimport latchgate body_read
func bodyRead(buf unsafe.Pointer, size uint32) int32

//go:wasmimport latchgate output_write
func outputWrite(doc unsafe.Pointer, size uint32) int32

//go:wasmimport latchgate log
func hostLog(level int32, msg unsafe.Pointer, size uint32) int32
