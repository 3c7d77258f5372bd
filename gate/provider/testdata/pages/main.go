//go:build wasip1

// A guest of the tests: it asks a JSON API for the pages of a list
// and returns them as one, in several requests an execution.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w' -o provider.wasm main.go
//
// The functions and documents are those of docs/provider-abi.md.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"unsafe"
)

func main() {} // never called; execute is

// Args are the action's arguments, as the manifest's request_schema has them.
type Args struct {
	URL   string `json:"url"`   // a list; page N of it is at URL?page=N
	Pages int    `json:"pages"` // how many to ask for
}

//go:wasmexport execute
func execute() int32 {
	result, err := run()
	if err != nil {
		write(map[string]any{"error": map[string]string{"code": "list_failed", "message": err.Error()}})
		return 1
	}
	write(result)
	return 0
}

func run() (any, error) {
	var input struct {
		Action string `json:"action"`
		Args   Args   `json:"args"`
	}
	if err := json.Unmarshal(read(inputSize(), inputRead), &input); err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	items := []json.RawMessage{}
	for page := 1; page <= input.Args.Pages; page++ {
		status, body, err := get(fmt.Sprintf("%s?page=%d", input.Args.URL, page))
		if err != nil {
			return nil, err
		}
		if status >= 400 {
			return nil, fmt.Errorf("page %d: status %d", page, status)
		}
		var more []json.RawMessage
		if err := json.Unmarshal(body, &more); err != nil {
			return nil, fmt.Errorf("page %d: %w", page, err)
		}
		if len(more) == 0 {
			break
		}
		items = append(items, more...)
		info(fmt.Sprintf("page %d has %d items", page, len(more)))
	}
	return map[string]any{"ok": true, "items": items}, nil
}

// get sends one request. There is no credential to add: latchgate does that on
// the way.
func get(url string) (status int, body []byte, err error) {
	request, err := json.Marshal(map[string]any{
		"method":  "GET",
		"url":     url,
		"headers": [][2]string{{"accept", "application/json"}},
	})
	if err != nil {
		return 0, nil, err
	}
	n := httpRequest(ptr(request), uint32(len(request)), nil, 0)
	switch {
	case n == -4:
		return 0, nil, errors.New("the upstream took too long")
	case n < 0:
		return 0, nil, fmt.Errorf("the request failed with %d", n)
	}
	var response struct {
		Status int `json:"status"`
	}
	if err := json.Unmarshal(read(n, responseRead), &response); err != nil {
		return 0, nil, err
	}
	return response.Status, read(bodySize(), bodyRead), nil
}

// The rest is the same in every provider.

func write(doc any) {
	out, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	outputWrite(ptr(out), uint32(len(out)))
}

func info(msg string) { hostLog(1, unsafe.Pointer(unsafe.StringData(msg)), uint32(len(msg))) }

func read(size int32, from func(unsafe.Pointer, uint32) int32) []byte {
	buf := make([]byte, max(size, 0))
	return buf[:max(from(ptr(buf), uint32(len(buf))), 0)]
}

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
