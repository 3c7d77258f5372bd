package target

// Character classes of RFC 3986.
const (
	unreserved uint8 = 1 << iota // §2.3
	pathChar                     // pchar of §3.3 without escapes, and "/"
)

var classes = func() (t [256]uint8) {
	for c := range t {
		switch b := byte(c); {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '.', b == '_', b == '~':
			t[c] = unreserved | pathChar
		case b == '!', b == '$', '&' <= b && b <= ',', b == ';', b == '=', b == ':', b == '@', b == '/':
			t[c] = pathChar
		}
	}
	return t
}()

func is(c byte, class uint8) bool { return classes[c]&class != 0 }

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}
