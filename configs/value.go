package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A value travels through koanf in a plain form: string, bool, int64,
// []string or map. fromTOML and fromText check it against the Go type of its
// field and give that form, so that koanf's own, lenient conversion never has
// anything to decide.

var (
	typeString   = reflect.TypeFor[string]()
	typeBool     = reflect.TypeFor[bool]()
	typeInt      = reflect.TypeFor[int]()
	typeInt64    = reflect.TypeFor[int64]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typeStrings  = reflect.TypeFor[[]string]()
	typePrefixes = reflect.TypeFor[[]netip.Prefix]()
	typeURL      = reflect.TypeFor[URL]()
	typeTable    = reflect.TypeFor[map[string]any]()
)

// wanted says how a value of type t is written.
func wanted(t reflect.Type) string {
	switch t {
	case typeBool:
		return "write true or false"
	case typeInt, typeInt64:
		return "write a whole number"
	case typeDuration:
		return `write a duration in quotes, such as "30s"`
	case typeStrings:
		return `write a list of strings, such as ["a", "b"]`
	case typePrefixes:
		return `write a list of networks, such as ["10.0.0.0/8"]`
	case typeTable:
		return "write a table, such as [policy.data]"
	}
	return "write a string in quotes"
}

// fromTOML checks a value that the TOML decoder gave for a field of type t.
func fromTOML(t reflect.Type, v any) (any, error) {
	wrong := errors.New(wanted(t))
	switch v := v.(type) {
	case string:
		switch t {
		case typeString, typeDuration, typeURL:
			return fromText(t, v)
		}
	case bool:
		if t == typeBool {
			return v, nil
		}
	case int64:
		if t == typeInt || t == typeInt64 {
			return v, nil
		}
	case []any:
		if t != typeStrings && t != typePrefixes {
			break
		}
		items := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, wrong
			}
			items[i] = text
		}
		return fromList(t, items)
	case map[string]any:
		if t == typeTable {
			return v, nil
		}
	}
	return nil, wrong
}

// fromText checks a value written as text: a string of the file, a variable or
// a flag. Lists are separated by commas.
func fromText(t reflect.Type, s string) (any, error) {
	switch t {
	case typeBool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, errors.New("write true or false")
		}
		return b, nil
	case typeInt, typeInt64:
		n, err := strconv.ParseInt(s, 10, t.Bits())
		if err != nil {
			return nil, errors.New("write a whole number")
		}
		return n, nil
	case typeDuration:
		if _, err := time.ParseDuration(s); err != nil {
			return nil, fmt.Errorf("%q is not a duration: write a number and a unit, such as 500ms, 30s or 2m", s)
		}
	case typeURL:
		if _, err := parseProxyURL(s); err != nil {
			return nil, err
		}
	case typeStrings, typePrefixes:
		var items []string
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		return fromList(t, items)
	}
	return s, nil
}

// fromList checks the items of a list.
func fromList(t reflect.Type, items []string) (any, error) {
	out := make([]string, 0, len(items))
	for _, item := range items {
		if t == typePrefixes {
			prefix, err := parsePrefix(item)
			if err != nil {
				return nil, err
			}
			item = prefix.String()
		} else if item == "" {
			return nil, errors.New("an item of the list is empty: remove it")
		}
		out = append(out, item)
	}
	return out, nil
}

// parsePrefix reads a network in CIDR notation; a bare address is a network of
// one. Forms that would never match an address on the wire are refused.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is not a network: write an address or CIDR, such as 192.168.1.10 or 10.0.0.0/8", s)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q is an IPv4 network in IPv6 form: write it as IPv4", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits set behind its prefix: write %s", s, p.Masked())
	}
	return p, nil
}

// parseProxyURL reads the address of an upstream proxy; "" gives nil. The text
// may hold a password, so errors do not repeat it.
func parseProxyURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return nil, errors.New("not a URL with a host: write http://host:port, https://host:port or socks5://host:port")
	}
	switch u.Scheme {
	case "http", "https", "socks5":
	default:
		return nil, errors.New("this scheme is not supported: write http://host:port, https://host:port or socks5://host:port")
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("a path, query or fragment has no meaning here: write scheme://host:port only")
	}
	return u, nil
}
