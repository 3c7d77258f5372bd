// Package h1 speaks HTTP/1.1 on the caller's goroutine.
//
// net/http gives each connection goroutines of its own, and hands every request
// and answer from one to the other; that is most of what a small exchange costs.
// Here the goroutine that read a request writes it upstream, reads the answer
// and writes that back.
//
// The package takes the plain part of the protocol and nothing else. A head that
// is not beyond doubt is not interpreted: [ParseRequest] says no and consumes
// nothing, and net/http, which is strict where it has to be, reads the same
// bytes and decides. So what this package accepts is a subset of what net/http
// accepts, with the same meaning; a fuzz test holds it to that.
package h1
