package scrub

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// TestAValueIsFoundAtEveryPlaceOfATextOfAnyLength puts values, whose rarest bytes
// are late, on either side of where the search by blocks ends.
func TestAValueIsFoundAtEveryPlaceOfATextOfAnyLength(t *testing.T) {
	late := "aaaaaaaaaaaaaaaaaaaaaaaaaaZQXJaaaaaaa"
	for _, value := range []string{"abcd", "hunter22", late, "ghp_0123456789abcdefABCDEF", "\xab\xcd\xef\xba\xdc\xfe"} {
		s := Compile(values(value))
		for _, form := range []string{value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value)))} {
			if len(value) < MinEncodedLen && form != value {
				continue
			}
			for size := windowText - 2; size < windowText+2*teddyBlock; size++ {
				for at := 0; at+len(form) <= size; at += 7 {
					text := bytes.Repeat([]byte{'.'}, size)
					copy(text[at:], form)
					found := 0
					s.Bytes(text, func(int) { found++ })
					if found != 1 {
						t.Fatalf("%s at %d of %d bytes was found %d times", form, at, size, found)
					}
					_, hold := s.scan(text[:at+len(form)-1], false, nil)
					if hold != at {
						t.Fatalf("%s at %d, less its last byte, is held back from %d on", form, at, hold)
					}
				}
			}
		}
	}
}
