package manifests

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPathPatternMatchesWhatItSays(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/", "/", true},
		{"/", "", false},
		{"/", "/a", false},
		{"/a", "/a", true},
		{"/a", "/a/", false},
		{"/a", "a", false},
		{"/a", "/A", false},
		{"/a/", "/a/", true},
		{"/a/", "/a", false},
		{"/repos/*/*/issues", "/repos/o/r/issues", true},
		{"/repos/*/*/issues", "/repos/o/issues", false},
		{"/repos/*/*/issues", "/repos/o/r/s/issues", false},
		{"/repos/*/*/issues", "/repos/o/r/issues/7", false},
		{"/repos/*/*/issues", "/repos//r/issues", false},
		{"/repos/*", "/repos/", false},
		{"/repos/*", "/repos/a%2Fb", true},
		{"/repos/a%2Fb", "/repos/a/b", false},
		{"/v*", "/v", true},
		{"/v*", "/v1", true},
		{"/v*", "/v1/x", false},
		{"/*.git", "/a.git", true},
		{"/*.git", "/a.git.git", true},
		{"/*.git", "/a.gitx", false},
		{"/a*b*c", "/abc", true},
		{"/a*b*c", "/aXbYc", true},
		{"/a*b*c", "/aXcYb", false},
		{"/**", "/", true},
		{"/**", "/a/b/c", true},
		{"/v1/**", "/v1", true},
		{"/v1/**", "/v1/", true},
		{"/v1/**", "/v1/a/b", true},
		{"/v1/**", "/v10", false},
		{"/v1/**", "/v", false},
		{"/**/b", "/b", true},
		{"/**/b", "/a/a/b", true},
		{"/**/b", "/ab", false},
		{"/a/**/b", "/a/b", true},
		{"/a/**/b", "/a/x/y/b", true},
		{"/a/**/b", "/a/x/y/b/z", false},
		{"/a/**/b/**", "/a/b", true},
		{"/a/**/b/**/c", "/a/b/b/x/c", true},
		{"/**/**", "/", true},
		{"/**/x/**/x", "/x", false},
		{"/**/x/**/x", "/x/x", true},
	} {
		if got := path(t, c.pattern).Match(c.path); got != c.want {
			t.Errorf("%s matches %s: %v", c.pattern, c.path, got)
		}
	}
	if (PathPattern{}).Match("/") || (PathPattern{}).Match("") {
		t.Error("the zero pattern matches")
	}
}

func TestPathPatternIsWrittenAsThePathIsSent(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                       "a path begins with /",
		"a":                      "a path begins with /",
		"*":                      "a path begins with /",
		"https://x/a":            "a path begins with /",
		"//a":                    "// never reaches a rule: the wire resolves it",
		"/a//b":                  "// never reaches a rule: the wire resolves it",
		"/./a":                   ". never reaches a rule: the wire resolves it",
		"/a/..":                  ".. never reaches a rule: the wire resolves it",
		"/a**":                   "** stands for whole segments: write it between slashes",
		"/***":                   "** stands for whole segments: write it between slashes",
		"/a?b":                   "rules match the path alone, without ? and what follows",
		"/a#b":                   "rules match the path alone, without # and what follows",
		"/{id}":                  "variables are not known here: * stands for one segment",
		`/a\b`:                   "a backslash never reaches a rule: the wire refuses it",
		"/a b":                   `" " is written %20 in a path`,
		"/\x00":                  `"\x00" is written %00 in a path`,
		"/é":                     `"é" is written %C3%A9 in a path`,
		"/%":                     "% is not followed by two hex digits",
		"/%2":                    "% is not followed by two hex digits",
		"/%zz":                   "% is not followed by two hex digits",
		"/%00":                   "%00 never reaches a rule: the wire refuses it",
		"/%2f":                   "write %2f as %2F",
		"/%41":                   "write %41 as A",
		"/%2e%2e":                "write %2e as .",
		strings.Repeat("/a", 64): "more than 63 segments",
	} {
		p, err := ParsePathPattern(pattern)
		if got := message(err); got != want {
			t.Errorf("%q: %v, %q; want %q", pattern, p, got, want)
		}
	}
	for _, pattern := range []string{"/", "/a%2Fb", "/a:b@c;d=e,f+g(h)'!$&", "/~u/-._", "/%C3%A9", strings.Repeat("/a", 63)} {
		if got := path(t, pattern).String(); got != pattern {
			t.Errorf("%s prints as %s", pattern, got)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// slow is the meaning of a pattern, said by a regular expression.
func slow(pattern string) *regexp.Regexp {
	var re strings.Builder
	for _, seg := range strings.Split(pattern[1:], "/") {
		switch seg {
		case "**":
			re.WriteString("(/[^/]*)*")
		case "*":
			re.WriteString("/[^/]+")
		default:
			re.WriteString("/" + strings.ReplaceAll(regexp.QuoteMeta(seg), `\*`, "[^/]*"))
		}
	}
	return regexp.MustCompile(`\A` + re.String() + `\z`)
}

func TestPathPatternAgreesWithItsMeaning(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(parts ...string) string { return parts[rng.IntN(len(parts))] }
	for range 20000 {
		var pattern, path string
		for range 1 + rng.IntN(5) {
			pattern += "/" + pick("a", "b", "*", "**", "a*", "*b", "a*b", "*a*b*")
		}
		for range 1 + rng.IntN(6) {
			path += "/" + pick("a", "b", "ab", "aab", "bab", "")
		}
		p, err := ParsePathPattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.Match(path), slow(pattern).MatchString(path); got != want {
			t.Fatalf("%s matches %s: %v, want %v", pattern, path, got, want)
		}
	}
}

func TestAnAwkwardPathCostsNoTime(t *testing.T) {
	// An exponential matcher takes years over these, a quadratic one minutes.
	many := path(t, strings.Repeat("/**/a*a*a*b", 30))
	stars := path(t, "/"+strings.Repeat("*a", 100)+"b")
	long := "/" + strings.Repeat("a", 1<<16)
	deep := strings.Repeat("/aaaa", 1<<14)
	start := time.Now()
	if many.Match(long) || many.Match(deep) || stars.Match(long) {
		t.Error("matches")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzPathPattern(f *testing.F) {
	for _, s := range [][2]string{
		{"/repos/*/*/issues", "/repos/o/r/issues"}, {"/**", "/"}, {"/a/**/b", "/a/b"}, {"/a%2Fb", "/a/b"}, {"/*a*", "/xax"}, {"/{x}", "/x"}, {"/%zz", "/"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := ParsePathPattern(pattern)
		if err != nil {
			return
		}
		if p.String() != pattern {
			t.Errorf("%q prints as %q", pattern, p)
		}
		if !strings.Contains(pattern, "*") && !p.Match(pattern) {
			t.Errorf("%q does not match itself", pattern)
		}
		if strings.HasPrefix(path, "/") && strings.ToValidUTF8(path, "") == path {
			if got, want := p.Match(path), slow(pattern).MatchString(path); got != want {
				t.Errorf("%q matches %q: %v, want %v", pattern, path, got, want)
			}
		}
	})
}

func BenchmarkPathPatternMatch(b *testing.B) {
	for _, c := range []struct{ name, pattern, path string }{
		{"exact", "/v1/chat/completions", "/v1/chat/completions"},
		{"segments", "/repos/*/*/issues", "/repos/latchgate/latchgate/issues"},
		{"across", "/repos/**/comments", "/repos/latchgate/latchgate/issues/7/comments"},
		{"miss", "/repos/*/*/issues", "/user/repos"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := ParsePathPattern(c.pattern)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Match(c.path)
			}
		})
	}
}
