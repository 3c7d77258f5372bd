package configs

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/knadh/koanf/providers/posflag"
	"github.com/spf13/pflag"
)

// envPrefix begins every variable of ours. LATCHGATE_A__B is the key a.b;
// variables without two underscores, such as LATCHGATE_CONFIG, are not
// configuration.
const envPrefix = "LATCHGATE_"

// envName is the variable that sets key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

// fromEnv turns a variable into a key and a value; an empty key leaves it out.
func (l *loader) fromEnv(name, value string) (string, any) {
	here := origin{source: name}
	key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix), "__", "."))
	if !strings.Contains(key, ".") {
		l.checkSingleUnderscore(name)
		return "", nil
	}
	if data, ok := strings.CutPrefix(key, "policy.data."); ok && data != "" {
		l.origins["policy.data"] = here
		return key, fromJSON(value)
	}
	f, ok := findField(key)
	switch {
	case !ok:
		l.add(here.problem("", "unknown variable; the nearest valid one is %s", envName(nearest(key, Keys()))))
		return "", nil
	case f.typ == typeTable:
		l.add(here.problem(key, "a variable sets one key of this table: write %s__NAME", name))
		return "", nil
	}
	return l.set(f, here, value)
}

// checkSingleUnderscore reports LATCHGATE_PROXY_LISTEN, which nobody would read
// and everybody would believe in.
func (l *loader) checkSingleUnderscore(name string) {
	for _, key := range Keys() {
		if want := envName(key); name == strings.ReplaceAll(want, "__", "_") {
			l.add(origin{source: name}.problem("", "unknown variable; two underscores descend: write %s", want))
		}
	}
}

// fromFlag turns a flag that the user gave into a key and a value.
func (l *loader) fromFlag(flags *pflag.FlagSet, f *pflag.Flag, keys map[string]string) (string, any) {
	key, mapped := keys[f.Name]
	if !mapped || !f.Changed {
		return "", nil
	}
	here := origin{source: "--" + f.Name}
	target, ok := findField(key)
	if !ok {
		l.add(here.problem(key, "unknown key; the nearest valid one is %s", nearest(key, Keys())))
		return "", nil
	}
	if items, ok := posflag.FlagVal(flags, f).([]string); ok && target.typ.Kind() == reflect.Slice {
		return l.accept(target, here, func(t reflect.Type) (any, error) { return fromList(t, items) })
	}
	return l.set(target, here, f.Value.String())
}

// set checks value for the field, and records where it came from.
func (l *loader) set(f field, here origin, value string) (string, any) {
	return l.accept(f, here, func(t reflect.Type) (any, error) { return fromText(t, value) })
}

func (l *loader) accept(f field, here origin, convert func(reflect.Type) (any, error)) (string, any) {
	plain, err := convert(f.typ)
	if err != nil {
		l.add(here.problem(f.key, "%v", err))
		return "", nil
	}
	l.origins[f.key] = here
	return f.key, plain
}

// fromJSON reads a variable below policy.data, whose type nobody declared: JSON
// where it is JSON, else the text itself.
func fromJSON(value string) any {
	var v any
	if json.Unmarshal([]byte(value), &v) != nil || v == nil {
		return value
	}
	return v
}
