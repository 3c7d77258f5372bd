package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// An answer ends the exchange while its request's body still comes.
func TestAPlaceholderMayComeAfterTheAnswer(t *testing.T) {
	h := rawH1(t, func(c net.Conn, r *http.Request) bool {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = io.Copy(io.Discard, r.Body)
		return err == nil
	})
	run, tok := h.openPlaceholders("body")
	for range 30 {
		c := h.tunnelTLS(run, tok, apiHost)
		_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s:%s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", apiHost, h.origin.port)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(phToken), phToken); err != nil {
					return
				}
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, _ = io.ReadAll(resp.Body)
		}
		_ = c.Close()
		<-done
	}
	eventually(t, func() error {
		if n := run.creds.Load().refs.Load(); n != 1 {
			return fmt.Errorf("%d hold the secrets", n)
		}
		return nil
	})
	if n := metricsOf(t, h)["latchgate_proxy_tripwire_total"]; n != 0 {
		t.Errorf("%v trips", n)
	}
}

// answering is an upstream that answers each request with that text.
func answering(t *testing.T, text string) *house {
	return rawH1(t, func(c net.Conn, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		_, err := io.WriteString(c, text)
		return err == nil
	})
}

// wireBytes are all bytes of the answer to a GET in a tunnel, as they came.
func (h *house) wireBytes(run *Run, tok, extra string) string {
	h.t.Helper()
	c := h.tunnelTLS(run, tok, apiHost)
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n%s\r\n", apiHost, h.origin.port, extra); err != nil {
		h.t.Fatal(err)
	}
	b, _ := io.ReadAll(c)
	return string(b)
}

// HTTP/1.1 clients and servers spell a field's name anew, so a value in one has
// lost its case and nothing else.
func TestAValueInAFieldsNameIsDropped(t *testing.T) {
	for name, text := range map[string]string{
		"header":           "HTTP/1.1 200 OK\r\n" + other + ": 1\r\nX-" + other + "-X: 2\r\nContent-Length: 2\r\n\r\nok",
		"early hints":      "HTTP/1.1 103 Early Hints\r\n" + other + ": 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"announced":        "HTTP/1.1 200 OK\r\nTrailer: " + other + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + other + ": 1\r\n\r\n",
		"announced, raw":   "HTTP/1.1 200 OK\r\nTrailer: " + token + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"unannounced":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + other + ": 1\r\n\r\n",
		"announced no one": "HTTP/1.1 200 OK\r\nTrailer: " + other + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := answering(t, text)
			run, tok := h.open(bearerManifest + "\n---\n" + strings.NewReplacer("action_id: api", "action_id: b", "TOKEN", "OTHER", "required: true", "inject: [{as: header, header: X-Key}]").Replace(bearerManifest))
			got := h.wireBytes(run, tok, "")
			if !strings.Contains(got, "ok") || strings.Contains(strings.ToLower(got), other) || strings.Contains(got, token) {
				t.Errorf("the client read %q", got)
			}
		})
	}
}

func TestTwoContentTypesAreNoPicture(t *testing.T) {
	h := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Type: text/html\r\nContent-Length: "+fmt.Sprint(len(token))+"\r\n\r\n"+token)
	run, tok := h.open(bearerManifest)
	if got := h.wireBytes(run, tok, ""); strings.Contains(got, token) {
		t.Errorf("the client read %q", got)
	}
}

// net/http, like most, takes blanks off the end of a field that it sends.
func TestAValueThatEndsInBlanksIsScrubbedAsItArrived(t *testing.T) {
	h := newHouse(t)
	setSecrets(t, h.store, map[string]string{"TOKEN": token + " \t"})
	run, tok := h.open(bearerManifest)
	if _, body := get(t, h.client(run, tok), h.url("/")); strings.Contains(body, token) {
		t.Errorf("the client read %q", body)
	}
}

func TestAClientCannotAskForACharsetThatHidesAValue(t *testing.T) {
	h := newHouse(t)
	run, tok := h.open(bearerManifest)
	get(t, h.client(run, tok), h.url("/"), "Accept-Charset", "utf-16le")
	if got := h.origin.last(t).Header["Accept-Charset"]; got != nil {
		t.Errorf("the upstream was asked for %q", got)
	}
}

func TestAPlaceholderInATrailerTripsWhateverTheBody(t *testing.T) {
	for name, head := range map[string]string{
		"text": "Trailer: X-T\r\n", "compressed": "Content-Encoding: gzip\r\nTrailer: X-T\r\n", "picture": "Content-Type: image/png\r\nTrailer: X-T\r\n",
		"name": "Trailer: X-T, " + phToken + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			got := h.origin.record("/p")
			run, tok := h.openPlaceholders("header, query, body")
			value := phToken
			if name == "name" {
				value = "1"
			}
			c := h.tunnelTLS(run, tok, apiHost)
			resp, body := raw(t, c, "POST /p HTTP/1.1\r\nHost: "+apiHost+":"+h.origin.port+"\r\nTransfer-Encoding: chunked\r\n"+head+"\r\n2\r\nok\r\n0\r\nX-T: "+value+"\r\n\r\n")
			denied(t, resp, body, Tripwire)
			select {
			case a := <-got:
				t.Errorf("arrived whole, with %v", a.Trailer)
			default:
			}
		})
	}
}

func TestAMalformedJSONTypeStillEscapes(t *testing.T) {
	h := newHouse(t)
	setSecrets(t, h.store, map[string]string{"TOKEN": nasty})
	got := h.origin.record("/p")
	run, tok := h.openPlaceholders("body")
	r, _ := http.NewRequest(http.MethodPost, h.url("/p"), strings.NewReader(`{"a":"`+phToken+`"}`))
	r.Header.Set("Content-Type", "Application/JSON; charset=utf-8; charset=latin1")
	do(t, h.client(run, tok), r)
	if a := <-got; a.body != `{"a":"q\"b\\s p&x=y/+%ü"}` {
		t.Errorf("got %q", a.body)
	}
}

func TestASecretThatCannotBeSentIsNotCountedAsInjected(t *testing.T) {
	h := newHouse(t)
	setSecrets(t, h.store, map[string]string{"TOKEN": "two\nlines"})
	run, tok := h.openPlaceholders("body")
	h.origin.record("/p") // it answers when it has read all
	c := h.tunnelTLS(run, tok, apiHost)
	resp, body := raw(t, c, "POST /p HTTP/1.1\r\nHost: "+apiHost+":"+h.origin.port+"\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n"+phToken+"\r\n0\r\n\r\n")
	denied(t, resp, body, SecretUnavailable)
	if n := metricsOf(t, h)["latchgate_secrets_injections_total"]; n != 0 {
		t.Errorf("%v injections", n)
	}
}
