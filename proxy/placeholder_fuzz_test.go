package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/latchgate/latchgate/manifests"
)

// bareExchange is an exchange with one placeholder, TOKEN's, that may stand in
// those parts, and value in its place.
func bareExchange(tb testing.TB, value string, parts ...string) *exchange {
	tb.Helper()
	b := &binding{Binding: &manifests.Binding{As: manifests.Placeholder, In: parts}, action: "a", secret: "TOKEN"}
	m := &manifests.Manifest{ActionID: "a", File: "a.yaml", Secrets: []manifests.Secret{{Name: "TOKEN", Env: "TOKEN"}}}
	x := &exchange{run: &Run{placeholders: newPlaceholders(RunConfig{Grants: []Grant{{Manifest: m}}, Placeholders: map[string]string{"TOKEN": phToken}})}}
	x.matched = []*binding{b}
	x.creds = &credentials{stamps: []stamp{{ready: true, value: []byte(value)}}}
	x.creds.refs.Store(1)
	return x
}

// FuzzPlaceholderSubstitution holds a streamed body against one that is there
// at once, however it is cut: they give the same bytes or the same refusal, the
// token is never in what is sent, and the rest is as it was.
func FuzzPlaceholderSubstitution(f *testing.F) {
	for _, kind := range []string{"text/plain", "application/json", "application/x-www-form-urlencoded", ""} {
		f.Add("a "+phToken+" b", kind, uint8(3), true)
		f.Add("%67hp_"+phToken[4:], kind, uint8(1), true)
		f.Add(`\u0067hp_`+phToken[4:]+phToken, kind, uint8(7), true)
		f.Add(phToken[:12]+phToken, kind, uint8(5), false)
	}
	f.Fuzz(func(t *testing.T, body, kind string, cut uint8, allowed bool) {
		parts := []string{manifests.InBody}
		if !allowed {
			parts = []string{manifests.InQuery}
		}
		const value = `v"\&=+ v`
		enc := bodyEncoding(kind)
		whole, denied := bareExchange(t, value, parts...).replaceIn(body, manifests.InBody, enc)

		x := bareExchange(t, value, parts...)
		var src io.Reader = strings.NewReader(body)
		if cut > 0 {
			src = &pieces{src, int(cut)}
		} else {
			src = iotest.DataErrReader(src)
		}
		r := &http.Request{Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(src)}
		streamed, err := io.ReadAll(x.streamBody(r, enc))

		if (denied != nil) != (err != nil) || (denied != nil) != (x.tripped.Load() != nil) {
			t.Fatalf("whole: %v, streamed: %v", denied, err)
		}
		if strings.Contains(string(streamed), phToken) || strings.Contains(whole, phToken) {
			t.Fatal("the token was sent")
		}
		if denied == nil && string(streamed) != whole {
			t.Fatalf("whole  %q\nstream %q", whole, streamed)
		}
		if !allowed && denied == nil && whole != body {
			t.Fatal("a body without the token was changed")
		}
		if allowed && denied == nil && enc == literal && !strings.ContainsAny(body, "%+") && whole != strings.ReplaceAll(body, phToken, value) {
			t.Fatalf("got %q of %q", whole, body)
		}
	})
}

// pieces gives at most n bytes a read.
type pieces struct {
	io.Reader
	n int
}

func (p *pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.n)]) }
