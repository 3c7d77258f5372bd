package secrets

import (
	"os"
	"runtime"
	"testing"
)

// A file that is looked at the cheap way is found to be the same as the other way,
// whatever happens to it.
func TestNearbyFileIsIdentifiedAlike(t *testing.T) {
	h := newHouse(t)
	path := h.write("s.yaml", "A: 1\n")
	n := nearbyPath(path)
	if n == nil {
		t.Skip("the folder for temporary files is on no local file system")
	}
	same := func(after string) {
		t.Helper()
		want, err := identify(path)
		got, ok := n.identify()
		if ok != (err == nil) || ok && got != want {
			t.Errorf("%s: %+v %v, want %+v %v", after, got, ok, want, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	same("as it is")
	h.write("s.yaml", "A: 2\n")
	same("rewritten")
	h.write("other.yaml", "A: 22\n")
	must(os.Rename(h.path("other.yaml"), path))
	same("replaced")
	must(os.Rename(path, h.path("other.yaml")))
	same("away")
	must(os.Symlink("other.yaml", path))
	same("a link")
}

func TestOnlyLocalFileSystemsAreNearby(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no path is nearby on this system")
	}
	const strange = "/proc/self/status" // of a type that is not listed
	link := t.TempDir() + "/link"
	if err := os.Symlink(strange, link); err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	detour := link + "-and-back"
	if err := os.Symlink("/proc/self/root"+wd+"/nearby_test.go", detour); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{strange, link, link + "-that-is-not-there", detour} {
		if nearbyPath(path) != nil {
			t.Errorf("%s is nearby", path)
		}
	}
}
