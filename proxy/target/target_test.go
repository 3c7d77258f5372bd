package target

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestAuthorityHasOneSpelling(t *testing.T) {
	for _, c := range []struct {
		in   string
		def  uint16
		host string
		port uint16
	}{
		{"api.github.com:443", 0, "api.github.com", 443},
		{"API.GitHub.COM.:443", 0, "api.github.com", 443},
		{"api.github.com", 443, "api.github.com", 443},
		{"api.github.com:", 80, "api.github.com", 80},
		{"api.github.com:08443", 443, "api.github.com", 8443},
		{"[2001:DB8:0::1]:8443", 0, "2001:db8::1", 8443},
		{"[2001:db8::1]", 443, "2001:db8::1", 443},
		{"[::ffff:192.0.2.1]:443", 0, "192.0.2.1", 443},
		{"192.0.2.1:80", 0, "192.0.2.1", 80},
		{"bücher.example:443", 0, "xn--bcher-kva.example", 443},
		{"my_host.internal:65535", 0, "my_host.internal", 65535},
	} {
		host, port, err := ParseAuthority(c.in, c.def)
		if err != nil || host != c.host || port != c.port {
			t.Errorf("%q: %q %d %v", c.in, host, port, err)
		}
	}
}

func TestAuthorityThatIsAmbiguousIsRefused(t *testing.T) {
	for _, s := range []string{
		"", ":443", "host", "host:", "host:0", "host:65536", "host:-1", "host:+1", "host:4_3", "host:443443", "host:x", "host: 443",
		"user@host:443", "user:pw@host:443", "@host:443", "::1:443", "2001:db8::1", "[::1:443", "::1]:443", "[::1]x:443", "[]:443",
		"[fe80::1%eth0]:443", "[fe80::1%25eth0]:443", "[192.0.2.1]:443", "host:1:2", "a/b:443", "a?b:443", "a#b:443", "a\\b:443",
		"a b:443", "a\x00b:443", "a\r\nb:443", "a..b:443", ".a:443", "127.1:443", "0x7f.0.0.1:443", "2130706433:443", "0177.0.0.1:443",
		"%61.example:443", "*.example:443", "host\xff:443", strings.Repeat("a", 64) + ":443", "http://host:443",
	} {
		host, port, err := ParseAuthority(s, 0)
		var typed *Error
		if !errors.As(err, &typed) || host != "" || port != 0 {
			t.Errorf("%q: %q %d %v", s, host, port, err)
		}
	}
}

func TestTargetPrintsAsAuthorityAndAsHost(t *testing.T) {
	for _, c := range []struct {
		target          Target
		authority, host string
	}{
		{Target{"https", "example.com", 443}, "example.com:443", "example.com"},
		{Target{"https", "example.com", 80}, "example.com:80", "example.com:80"},
		{Target{"http", "example.com", 80}, "example.com:80", "example.com"},
		{Target{"http", "example.com", 443}, "example.com:443", "example.com:443"},
		{Target{"https", "2001:db8::1", 443}, "[2001:db8::1]:443", "[2001:db8::1]"},
		{Target{"https", "2001:db8::1", 8443}, "[2001:db8::1]:8443", "[2001:db8::1]:8443"},
	} {
		if got := c.target.Authority(); got != c.authority {
			t.Errorf("%+v: authority %q", c.target, got)
		}
		if got := c.target.HostHeader(); got != c.host {
			t.Errorf("%+v: Host %q", c.target, got)
		}
	}
}

func TestAbsoluteURLGivesTargetAndPathAsWritten(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Target
		path string
	}{
		{"https://API.example.com/a/b?x=1", Target{"https", "api.example.com", 443}, "/a/b"},
		{"HTTP://example.com.:8080", Target{"http", "example.com", 8080}, ""},
		{"http://example.com:443/", Target{"http", "example.com", 443}, "/"},
		{"https://[2001:db8::1]:8443/%2F%72", Target{"https", "2001:db8::1", 8443}, "/%2F%72"},
		{"https://example.com/{a}%2Fb", Target{"https", "example.com", 443}, "/{a}%2Fb"},
		{"https://example.com/a#fragment", Target{"https", "example.com", 443}, "/a"},
	} {
		u, err := url.Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		got, path, err := FromURL(u)
		if err != nil || got != c.want || path != c.path {
			t.Errorf("%s: %+v %q %v", c.in, got, path, err)
		}
	}
}

func TestURLThatIsNoTargetIsRefusedWithoutShowingIt(t *testing.T) {
	for _, s := range []string{
		"https://user:hunter2@example.com/", "https://hunter2@example.com/", "ftp://example.com/hunter2", "/hunter2", "//example.com/hunter2",
		"https:hunter2", "https:///hunter2", "https://:443/hunter2", "https://hunter2_%zz/", "wss://example.com/hunter2", "https://hunter2..example/", "*",
	} {
		u, err := url.Parse(s)
		if err != nil {
			continue
		}
		_, _, err = FromURL(u)
		var typed *Error
		if !errors.As(err, &typed) {
			t.Errorf("%s: %v", s, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows it: %v", s, err)
		}
	}
}

func TestURLWhosePathWasChangedByHandIsReadFromThePath(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "example.com", Path: "/new path", RawPath: "/old%2Fpath"}
	if _, path, err := FromURL(u); err != nil || path != "/new%20path" {
		t.Errorf("%q %v", path, err)
	}
}

func TestCanonicalInputDoesNotAllocate(t *testing.T) {
	u, err := url.Parse("https://api.github.com/repos/o/r/issues")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := ParseAuthority("api.github.com:443", 0); err != nil {
			t.Fatal(err)
		}
		if _, path, err := FromURL(u); err != nil || path == "" {
			t.Fatal(err)
		}
		for _, p := range []string{"/repos/o/r/issues", "/.well-known/x", "/projects/group%2Fproject/issues", "/caf%C3%A9"} {
			if _, err := CanonicalPath(p); err != nil {
				t.Fatal(err)
			}
		}
		Loosened("/repos/o/caf%C3%A9")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAuthority(f *testing.F) {
	for _, s := range []string{"api.github.com:443", "[::1]:80", "EXAMPLE.com.", "bücher.example:1", "127.1:80", "a@b:1", "[fe80::1%x]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := ParseAuthority(s, 443)
		if err != nil {
			var typed *Error
			if !errors.As(err, &typed) {
				t.Fatalf("%T", err)
			}
			return
		}
		again := Target{"https", host, port}
		for _, form := range []string{again.Authority(), again.HostHeader()} {
			if h, p, err := ParseAuthority(form, 443); err != nil || h != host || p != port {
				t.Errorf("%q gives %q %d, and %q gives %q %d %v", s, host, port, form, h, p, err)
			}
		}
		if u, err := url.Parse("https://" + again.Authority() + "/"); err != nil {
			t.Errorf("%q: %v", again.Authority(), err)
		} else if got, _, err := FromURL(u); err != nil || got != again {
			t.Errorf("%q: %+v %v", s, got, err)
		}
	})
}

func BenchmarkParseAuthority(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseAuthority("api.github.com:443", 0); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzRequestTarget reads request targets as the door does: as net/http parsed
// them. What comes out is one place, written in one way.
func FuzzRequestTarget(f *testing.F) {
	for _, s := range []string{
		"/", "/a?b", "*", "http://api.example.com/x?y#z", "HTTPS://API.example.com.:443", "https://[::1]:8443//a/../b", "https://u:p@h/", "h:443",
		"https:///x", "https:x", "http://[fe80::1%25lo]/", "https://h/%2f%zz", "https://h:0/", "https://h:65536/", "//h/x", "https://h\\@g/",
		"https://h/%c3%a9?\x7f", "https://127.1/", "https://０.com/", "ftp://h/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			return
		}
		got, written, err := FromURL(u)
		if err != nil {
			if strings.Contains(err.Error(), raw) && len(raw) > 3 {
				t.Errorf("the error shows the target: %v", err)
			}
			return
		}
		path, err := CanonicalPath(written)
		if err != nil || CheckQuery(u.RawQuery) != nil {
			return
		}
		sent := got.Scheme + "://" + got.Authority() + path
		again, err := url.ParseRequestURI(sent)
		if err != nil {
			t.Fatalf("%q gives %q: %v", raw, sent, err)
		}
		twice, written, err := FromURL(again)
		if err != nil || twice != got || written != path {
			t.Errorf("%q gives %+v %q, and that %+v %q %v", raw, got, path, twice, written, err)
		}
		if strings.ContainsAny(got.Authority(), " \r\n\t\x00\\#?@%/") {
			t.Errorf("%q gives the authority %q", raw, got.Authority())
		}
	})
}
