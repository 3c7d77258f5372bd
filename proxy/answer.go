package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/latchgate/latchgate/proxy/h1"
	"github.com/latchgate/latchgate/proxy/scrub"
)

// answer is step 10: it takes the run's secrets out of the upstream's answer,
// and everything that belongs to the hop or would lead the client around the
// proxy.
func (x *exchange) answer(resp *http.Response) (*http.Response, *Denial) {
	x.status = resp.StatusCode
	switched := resp.StatusCode == http.StatusSwitchingProtocols
	if switched {
		if denied := x.switched(resp); denied != nil {
			resp.Body.(*exchangeBody).abandon()
			return nil, denied
		}
	}
	x.cleanHeader(resp.Header)
	if switched {
		resp.Header["Connection"], resp.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	}
	if !switched && resp.StatusCode < 200 || resp.StatusCode > 999 {
		resp.Body.(*exchangeBody).abandon()
		return nil, &Denial{Code: UpstreamUnreachable, Message: "the upstream answered with a status that does not exist"}
	}
	if len(resp.Trailer) > 0 && resp.ContentLength > 0 {
		// An HTTP/2 upstream may send both; HTTP/1.1 has trailers only without a length.
		resp.ContentLength = -1
		delete(resp.Header, "Content-Length")
	}
	if x.creds == nil || x.creds.scrub == nil {
		return resp, nil
	}
	resp.Status = x.creds.scrub.String(resp.Status, x.hit)
	scrubHeader(resp.Trailer, x.creds.scrub, x.hit) // its names are announced in the head
	under := resp.Body.(*exchangeBody)
	if switched || under.ReadCloser == http.NoBody || resp.Request.Method == http.MethodHead {
		return resp, nil
	}
	if !mayHaveContent(resp) {
		// HTTP/2 lets a trailer follow all the same.
		resp.Body = &scrubbedBody{Reader: noContent{resp.Body}, x: x, under: under, answer: resp}
		return resp, nil
	}
	if denied := x.scrubBody(resp); denied != nil {
		under.abandon()
		return nil, denied
	}
	return resp, nil
}

// cleanHeader takes out of an answer's head what is not the client's to see.
func (x *exchange) cleanHeader(h http.Header) {
	stripHopByHop(h)
	delete(h, "Latchgate-Error") // says that we refused, so only we say it
	delete(h, "Alt-Svc")         // it would move the client to QUIC, around the proxy
	if x.creds != nil && x.creds.scrub != nil {
		scrubHeader(h, x.creds.scrub, x.hit)
	}
}

func scrubHeader(h http.Header, set *scrub.Set, hit func(int)) {
	for name, values := range h {
		for i, v := range values {
			values[i] = set.String(v, hit)
		}
		// An upstream that echoes a value as a field name gets it dropped.
		if i := set.InName(name); i >= 0 {
			hit(i)
			delete(h, name)
		}
	}
}

func mayHaveContent(resp *http.Response) bool {
	return resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified && resp.ContentLength != 0
}

// noContent is the body of an answer that must not have one: what an upstream
// sends against that is not looked at, and not handed on.
type noContent struct{ body io.Reader }

func (c noContent) Read([]byte) (int, error) {
	var b [1]byte
	n, err := c.body.Read(b[:])
	if n > 0 {
		err = io.EOF
	}
	return 0, err
}

func (x *exchange) scrubBody(resp *http.Response) *Denial {
	body := resp.Body
	coding := strings.Join(resp.Header["Content-Encoding"], ", ")
	kind := strings.Join(resp.Header["Content-Type"], ", ") // of several, who knows which is believed
	var src io.Reader = body
	if coding == "" && !scrub.ScrubbableType(kind) {
		resp.Body = &scrubbedBody{Reader: src, x: x, under: body, answer: resp}
		return nil
	}
	if coding != "" && !strings.EqualFold(coding, "identity") {
		decoded, err := scrub.Decoder(coding, body)
		if err != nil {
			return &Denial{Code: Unscannable, Message: "the upstream's answer is in an encoding that can't be searched for secrets",
				Hint: "ask for identity, gzip, br, zstd or deflate in Accept-Encoding", Cause: err}
		}
		src = decoded
		for _, name := range []string{"Content-Encoding", "Content-Md5", "Digest", "Content-Digest", "Content-Length"} {
			delete(resp.Header, name)
		}
		resp.ContentLength = -1
	}
	if n := resp.ContentLength; n > 0 && n <= smallBody && !scrub.HasMessages(kind) {
		return x.scrubSmall(resp, src)
	}
	resp.ContentLength = -1
	delete(resp.Header, "Content-Length")
	if coding := resp.Header.Get("Grpc-Encoding"); coding != "" && coding != "identity" {
		return &Denial{Code: Unscannable, Message: "the upstream compresses its gRPC messages, which can't be searched for secrets then",
			Hint: "let the client compress no messages; an upstream answers in kind"}
	}
	clean := x.creds.scrub.Reader
	if scrub.HasMessages(kind) {
		clean = x.creds.scrub.Mask
	}
	resp.Body = &scrubbedBody{Reader: clean(scrub.Messages(kind, src, false), x.hit), x: x, under: body, answer: resp}
	return nil
}

// smallBody is the largest body that is looked at in one piece, so that it
// keeps a Content-Length; a larger one is streamed without.
const smallBody = 16 << 10

var smallBodies = sync.Pool{New: func() any { b := make([]byte, smallBody); return &b }}

// scrubSmall looks at a body of known, small length in one piece if it has
// arrived whole with the head, as nearly all do. One that trickles in is
// streamed instead: nothing is held back for the sake of a length.
func (x *exchange) scrubSmall(resp *http.Response, src io.Reader) *Denial {
	body, want := resp.Body, int(resp.ContentLength)
	buf := smallBodies.Get().(*[]byte)
	n, err := src.Read((*buf)[:want])
	if n < want {
		first := bytes.Clone((*buf)[:n])
		smallBodies.Put(buf)
		rest := io.MultiReader(bytes.NewReader(first), &afterError{src, err})
		resp.ContentLength = -1
		delete(resp.Header, "Content-Length")
		resp.Body = &scrubbedBody{Reader: x.creds.scrub.Reader(rest, x.hit), x: x, under: body, answer: resp}
		return nil
	}
	clean := x.creds.scrub.Bytes((*buf)[:n], x.hit)
	if len(clean) != n { // to set it for nothing makes a map of eight grow
		resp.ContentLength = int64(len(clean))
		resp.Header["Content-Length"] = []string{strconv.Itoa(len(clean))}
	}
	x.clean = scrubbedBody{x: x, under: body, drain: err == nil, answer: resp, small: buf, dirty: n}
	x.clean.whole.Reset(clean)
	x.clean.Reader = &x.clean.whole
	resp.Body = &x.clean
	return nil
}

// afterError gives back an error that came with a short read, then goes on.
type afterError struct {
	io.Reader
	err error
}

func (r *afterError) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.Reader.Read(p)
}

// scrubbedBody is the body that the run sees.
type scrubbedBody struct {
	io.Reader
	x      *exchange
	under  io.ReadCloser
	drain  bool // everything was read already: let the connection be reused
	answer *http.Response

	whole bytes.Reader // a small body
	small *[]byte      // what it was read into; goes back to the pool
	dirty int          // how much of that was
}

func (b *scrubbedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if b.drain {
			_, _ = io.CopyN(io.Discard, b.under, 1)
		}
		scrubHeader(b.answer.Trailer, b.x.creds.scrub, b.x.hit)
	}
	return n, err
}

// Waiting satisfies h1.Waiter.
func (b *scrubbedBody) Waiting() bool {
	w, ok := b.Reader.(h1.Waiter)
	return ok && w.Waiting()
}

func (b *scrubbedBody) Close() error {
	if b.small != nil {
		b.whole.Reset(nil)
		clear((*b.small)[:b.dirty])
		smallBodies.Put(b.small)
		b.small = nil
	}
	return b.under.Close()
}

// hit counts a value that was taken out.
func (x *exchange) hit(i int) {
	if x.hits == nil {
		x.hits = map[int]int{}
	}
	x.hits[i]++
}

// exchangeBody ends the exchange when the answer's body is closed.
type exchangeBody struct {
	io.ReadCloser
	x     *exchange
	done  func() // nil: nothing to let go of
	ended bool
}

// Read counts what comes. An answer over the run's budget breaks off.
func (b *exchangeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.x.returned.Add(int64(n))
	if n, over := b.x.run.take(n); over != nil {
		b.x.code = BudgetExhausted
		return n, over
	}
	return n, err
}

func (b *exchangeBody) Close() error {
	err := b.ReadCloser.Close()
	if !b.ended {
		b.ended = true
		b.let()
		b.x.record(nil)
		b.x.releaseSecrets()
	}
	return err
}

// abandon drops the answer without recording it: the refusal that follows is
// what gets recorded.
func (b *exchangeBody) abandon() {
	b.ended = true
	b.let()
	_ = b.ReadCloser.Close()
}

// Waiting satisfies h1.Waiter.
func (b *exchangeBody) Waiting() bool {
	w, ok := b.ReadCloser.(h1.Waiter)
	return ok && w.Waiting()
}

func (b *exchangeBody) let() {
	if b.done != nil {
		b.done()
	}
}

// limitedBody stops a request body of unknown length at max_request_bytes.
// The upstream sees the request break off, never a shortened one that looks whole.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, errTooLarge
	}
	return n, err
}

var errTooLarge = errors.New("request body is larger than max_request_bytes")

func tooLarge(limit int64) *Denial {
	return &Denial{Code: TooLarge, Message: "the request body is larger than " + strconv.FormatInt(limit, 10) + " bytes",
		Hint: "operator: raise proxy.max_request_bytes in latchgate.toml"}
}
